//! Training, drawn: one bar on a terminal, a line per interval in a pipe.
//!
//! ```text
//! step 00240/02000 (12.00%) | loss 1.8342 | lr 9.8e-4 | dt 0.52s | tok/s 15,754 | total 2m05s | eta 15m12s | mem 612 MiB
//! ```
//!
//! The library emits events and knows nothing of this. Lines go to stderr: what `train` prints on stdout is its result.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::number;
use crate::terminal::{BOLD, DIM, PLAIN, Terminal};

/// Seconds between lines in a pipe; long enough to read along, short enough to see that it lives.
const INTERVAL: f64 = 5.0;

/// What is known after a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepView {
    pub(crate) step: u64,
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    pub(crate) tokens_per_second: f64,
    pub(crate) seconds: f64,
}

/// Draws the training.
pub(crate) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    steps: u64,
    first: Option<(u64, f64)>,
    smooth: Option<f64>,
    last_line: f64,
    clock: Box<dyn Fn() -> f64>,
}

impl Progress {
    /// A bar where stderr is a terminal, lines elsewhere, nothing when quiet.
    pub(crate) fn new(terminal: Terminal, clock: Box<dyn Fn() -> f64>) -> Self {
        let bar = (terminal.stderr && !terminal.quiet()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = "{bar:24} {pos}/{len} {msg}";
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { terminal, bar, steps: 0, first: None, smooth: None, last_line: f64::NEG_INFINITY, clock }
    }

    /// How many steps there will be.
    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
        }
    }

    /// Says something without tearing the bar.
    pub(crate) fn say(&self, words: impl std::fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.say(words)),
            None => self.terminal.say(words),
        }
    }

    /// A warning, quiet or not.
    pub(crate) fn warn(&self, words: impl std::fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.warn(words)),
            None => self.terminal.warn(words),
        }
    }

    /// After a step.
    pub(crate) fn step(&mut self, view: StepView) {
        let now = (self.clock)();
        let &mut (first_step, first_time) = self.first.get_or_insert((view.step, now));
        // A single batch's loss jumps; what a person wants to see is its course.
        let smooth = self.smooth.map_or(view.loss, |smooth| 0.9 * smooth + 0.1 * view.loss);
        self.smooth = Some(smooth);
        let done = view.step - first_step;
        let left = self.steps.saturating_sub(view.step);
        let eta = if done == 0 { view.seconds * left as f64 } else { (now - first_time) / done as f64 * left as f64 };
        let memory = resident_bytes().map(number::bytes);
        let memory = memory.as_deref().unwrap_or("?");
        let rate = number::count(view.tokens_per_second as usize);
        if let Some(bar) = &self.bar {
            bar.set_position(view.step);
            let (lr, eta) = (view.learning_rate, number::span(eta));
            bar.set_message(format!("loss {smooth:.4}  lr {lr:.2e}  {rate} tok/s  eta {eta}  mem {memory}"));
        } else if now - self.last_line >= INTERVAL || view.step == self.steps {
            self.last_line = now;
            let width = self.steps.to_string().len();
            let share = view.step as f64 / self.steps.max(1) as f64 * 100.0;
            self.terminal.say(format_args!(
                "step {:0width$}/{} ({share:.2}%) | loss {smooth:.4} | lr {:.2e} | dt {:.2}s | tok/s {rate} | total {} | eta {} | mem {memory}",
                view.step,
                self.steps,
                view.learning_rate,
                view.seconds,
                number::span(now),
                number::span(eta),
            ));
        }
    }

    /// An evaluation.
    pub(crate) fn eval(&self, step: u64, loss: f64, bits_per_byte: f64, accuracy: f64, best: bool) {
        let mark = if best { " (best)" } else { "" };
        self.say(format_args!(
            "{BOLD}eval{PLAIN} step {step}: loss {loss:.4}, {bits_per_byte:.4} bits per byte, accuracy {:.1} %{mark}",
            accuracy * 100.0
        ));
    }

    /// A sample of what the model says by now.
    pub(crate) fn sample(&self, step: u64, text: &str) {
        self.say(format_args!("{DIM}sample at step {step}{PLAIN}\n{}", indent(text)));
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

/// The memory this process holds, where the system says.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib * 1024)
}
