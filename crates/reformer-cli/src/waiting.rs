//! A sign of life while text is made and not shown: a spinner with a count on stderr, where someone looks.

use std::cell::Cell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::Terminal;

/// Counts tokens where nothing else moves.
pub(crate) struct Waiting {
    bar: Option<ProgressBar>,
    tokens: Cell<u64>,
}

impl Waiting {
    /// Draws if `silent` (nothing is streamed) and stderr is a terminal that wants to hear.
    pub(crate) fn new(terminal: Terminal, silent: bool, max_tokens: usize) -> Self {
        let bar = (silent && terminal.stderr && !terminal.quiet()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(max_tokens as u64), ProgressDrawTarget::stderr());
            let style = "{spinner} {pos}/{len} tokens, {per_sec}, {elapsed}";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, tokens: Cell::new(0) }
    }

    /// One more.
    pub(crate) fn token(&self) {
        if let Some(bar) = &self.bar {
            self.tokens.set(self.tokens.get() + 1);
            bar.set_position(self.tokens.get());
        }
    }

    /// Leaves no trace.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
