//! Training, drawn: one bar on a terminal, a line per interval in a pipe.
//!
//! ```text
//! step 00240/02000 (12.00%) | loss 1.8342 | lr 9.8e-4 | tok/s 15,754 | total 2m05s | eta 15m12s | mem 612 MiB
//! ```
//!
//! The library emits events and knows nothing of this. Lines go to stderr: what `train` prints on stdout is its result.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reformer::train::Event;

use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{number, process};

/// Seconds between lines in a pipe; long enough to read along, short enough to see that it lives.
const INTERVAL: f64 = 5.0;

/// Draws the training.
pub(crate) struct Progress<'a> {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    /// The first step seen and its time: a resumed run's rate is its own.
    first: Option<(u64, f64)>,
    smooth: f64,
    last_line: f64,
    clock: &'a dyn Fn() -> f64,
}

impl<'a> Progress<'a> {
    /// A bar where stderr is a terminal, lines elsewhere, nothing when quiet.
    pub(crate) fn new(terminal: Terminal, clock: &'a dyn Fn() -> f64) -> Self {
        let bar = (terminal.stderr && !terminal.quiet()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // `wide_msg` is cut at the terminal's width: a line that wraps is torn whenever the bar moves.
            let style = "{bar:10} {pos}/{len} {wide_msg}";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        Self { terminal, bar, first: None, smooth: 0.0, last_line: f64::NEG_INFINITY, clock }
    }

    /// Draws an event.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Start {
                step,
                steps,
                parameters,
                dialogues,
                unit,
                epoch_tokens,
                tokens_per_step,
                threads,
                ..
            } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*steps);
                    bar.set_position(*step);
                }
                let from = if *step > 0 {
                    format!(", continuing after step {}", number::count(*step as usize))
                } else {
                    String::new()
                };
                self.say(format_args!(
                    "{} parameters; {} {unit}, {} tokens; {} steps of {} tokens on {}{from}",
                    number::count(*parameters),
                    number::count(*dialogues),
                    number::count(*epoch_tokens),
                    number::count(*steps as usize),
                    number::count(*tokens_per_step),
                    number::threads(*threads),
                ));
            }
            Event::Step { step, steps, loss, learning_rate, tokens_per_second, .. } => {
                self.step(*step, *steps, *loss, *learning_rate, *tokens_per_second);
            }
            Event::Saved { path, .. } => {
                // What follows a save can take a while: an evaluation, samples.
                if let Some(bar) = &self.bar {
                    bar.set_message("saved, evaluating …");
                    bar.tick();
                }
                self.detail(format_args!("saved {}", path.display()));
            }
            Event::Eval { step, report, best, .. } => {
                let mark = if *best { ", the best so far" } else { "" };
                let of_text = report.bits_per_byte.map(|bits| format!(", {bits:.4} bits per byte"));
                let of_images = report.bits_per_pixel.map(|bits| format!(", {bits:.4} bits per pixel"));
                let bits = of_text.or(of_images);
                self.say(format_args!(
                    "{BOLD}eval{PLAIN} at step {step}: loss {:.4}, perplexity {:.2}{}, accuracy {:.1} %{mark}",
                    report.loss,
                    report.perplexity,
                    bits.unwrap_or_default(),
                    report.accuracy * 100.0
                ));
            }
            Event::Sample { step, texts } => {
                self.say(format_args!("{BOLD}sample{PLAIN} at step {step}"));
                for text in texts {
                    self.say(indent(text));
                }
            }
            Event::Initialized { report, .. } => self.say(report),
            Event::Warning { message, .. } => self.warn(format_args!("warning: {message}")),
            // How a run ended is the command's to tell, after the bar is gone.
            _ => {}
        }
    }

    /// Says something without tearing the bar.
    pub(crate) fn say(&self, words: impl std::fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.say(words)),
            None => self.terminal.say(words),
        }
    }

    fn detail(&self, words: impl std::fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.detail(words)),
            None => self.terminal.detail(words),
        }
    }

    /// A warning, quiet or not.
    pub(crate) fn warn(&self, words: impl std::fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.warn(words)),
            None => self.terminal.warn(words),
        }
    }

    fn step(&mut self, step: u64, steps: u64, loss: f64, learning_rate: f64, tokens_per_second: f64) {
        let now = (self.clock)();
        let &mut (first_step, first_time) = self.first.get_or_insert((step, now));
        let done = step - first_step;
        // A single batch's loss jumps; what a person wants to see is its course: the mean of the last ten or so.
        let share = (1.0 / (done + 1) as f64).max(0.1);
        self.smooth += share * (loss - self.smooth);
        let smooth = self.smooth;
        let left = steps.saturating_sub(step) as f64;
        let eta = if done == 0 { "?".into() } else { number::span((now - first_time) / done as f64 * left) };
        let memory = process::now().map_or_else(|| "?".into(), number::bytes);
        let rate = number::count(tokens_per_second as usize);
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(format!(
                "loss {smooth:.4}  lr {learning_rate:.1e}  {rate} tok/s  eta {eta}  {memory}"
            ));
        } else if now - self.last_line >= INTERVAL || step == steps {
            self.last_line = now;
            let width = steps.to_string().len();
            let share = step as f64 / steps.max(1) as f64 * 100.0;
            let total = number::span(now);
            self.terminal.say(format_args!(
                "step {step:0width$}/{steps} ({share:.2}%) | loss {smooth:.4} | lr {learning_rate:.2e} | tok/s {rate} | \
                 total {total} | eta {eta} | mem {memory}"
            ));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
