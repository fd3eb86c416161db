//! What a run tells while it goes: a stream of events for whoever draws it.
//!
//! The trainer prints nothing. It hands each event to a callback and writes the same event as one JSON object a
//! line to `metrics.jsonl` and as one line of text ([`Display`](std::fmt::Display)) to `train.log`.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::evaluate::EvalReport;
use crate::init::InitReport;

/// One event. Steps count from 1; `seconds` is training time, resumed time included.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run is about to take its first step.
    Start {
        /// Steps already done: 0, or where a resumed run continues.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
        /// Parameters of the model.
        parameters: usize,
        /// Entries of the vocabulary.
        vocab_size: usize,
        /// Training dialogues, pieces of text or images.
        dialogues: usize,
        /// Which of these they are.
        unit: &'static str,
        /// Training tokens of an epoch.
        epoch_tokens: usize,
        /// Validation tokens, all of them.
        valid_tokens: usize,
        /// Tokens of an optimizer step.
        tokens_per_step: usize,
        /// Threads.
        threads: usize,
    },
    /// The run begins with another model's weights.
    Initialized {
        /// The step.
        step: u64,
        /// What was taken of them.
        report: InitReport,
    },
    /// An optimizer step was taken.
    Step {
        /// The step.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
        /// Mean nats a weighted token, before the update.
        loss: f64,
        /// Share of weighted tokens that were the likeliest.
        accuracy: f64,
        /// Learning rate.
        learning_rate: f64,
        /// Global gradient norm before clipping.
        gradient_norm: f64,
        /// Tokens since the run's beginning.
        tokens: u64,
        /// Epochs since the run's beginning.
        epoch: f64,
        /// Tokens a second of this step.
        tokens_per_second: f64,
        /// Training seconds since the run's beginning.
        seconds: f64,
    },
    /// A checkpoint is complete on disk.
    Saved {
        /// The step.
        step: u64,
        /// Its directory.
        path: PathBuf,
    },
    /// The model was evaluated.
    Eval {
        /// The step.
        step: u64,
        /// What was found.
        #[serde(flatten)]
        report: EvalReport,
        /// Whether it is the best so far.
        best: bool,
        /// Training seconds since the run's beginning.
        seconds: f64,
    },
    /// The model wrote something.
    Sample {
        /// The step.
        step: u64,
        /// One text a prompt.
        texts: Vec<String>,
    },
    /// Something the person should know; the run goes on.
    Warning {
        /// The step.
        step: u64,
        /// What.
        message: String,
    },
    /// The run stopped at the person's wish, its state saved.
    Interrupted {
        /// The step.
        step: u64,
        /// The checkpoint.
        path: PathBuf,
    },
    /// The run is over.
    Done {
        /// The step.
        step: u64,
        /// Training seconds since the run's beginning.
        seconds: f64,
        /// The best evaluation's loss.
        best_loss: Option<f64>,
    },
}

impl Event {
    /// The step it happened at.
    pub fn step(&self) -> u64 {
        match self {
            Self::Start { step, .. }
            | Self::Initialized { step, .. }
            | Self::Step { step, .. }
            | Self::Saved { step, .. }
            | Self::Eval { step, .. }
            | Self::Sample { step, .. }
            | Self::Warning { step, .. }
            | Self::Interrupted { step, .. }
            | Self::Done { step, .. } => *step,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start {
                step,
                steps,
                parameters,
                vocab_size,
                dialogues,
                unit,
                epoch_tokens,
                tokens_per_step,
                ..
            } => write!(
                f,
                "start at step {step} of {steps}: {parameters} parameters, vocabulary {vocab_size}, \
                 {dialogues} {unit} of {epoch_tokens} tokens, {tokens_per_step} tokens a step"
            ),
            Self::Initialized { report, .. } => report.fmt(f),
            Self::Step {
                step,
                steps,
                loss,
                learning_rate,
                gradient_norm,
                tokens_per_second,
                seconds,
                ..
            } => {
                let left = seconds / (*step).max(1) as f64 * steps.saturating_sub(*step) as f64;
                write!(
                    f,
                    "step {step}/{steps}  loss {loss:.4}  lr {learning_rate:.2e}  norm {gradient_norm:.2}  \
                     {tokens_per_second:.0} tok/s  {}  eta {}",
                    Span(*seconds),
                    Span(left)
                )
            }
            Self::Saved { step, path } => write!(f, "step {step}: saved {}", path.display()),
            Self::Eval { step, report, best, .. } => {
                write!(f, "step {step}: valid loss {:.4}  perplexity {:.2}", report.loss, report.perplexity)?;
                report.bits_per_byte.map_or(Ok(()), |bits| write!(f, "  bits/byte {bits:.4}"))?;
                report.bits_per_pixel.map_or(Ok(()), |bits| write!(f, "  bits/pixel {bits:.4}"))?;
                let mark = if *best { "  (best)" } else { "" };
                write!(f, "  accuracy {:.1} %{mark}", 100.0 * report.accuracy)
            }
            Self::Sample { step, texts } => {
                write!(f, "step {step}: sample")?;
                texts.iter().try_for_each(|text| write!(f, "\n    {}", text.replace('\n', "\n    ")))
            }
            Self::Warning { message, .. } => write!(f, "warning: {message}"),
            Self::Interrupted { step, path } => {
                write!(f, "interrupted at step {step}; saved {}, continue with --resume", path.display())
            }
            Self::Done { step, seconds, best_loss } => {
                write!(f, "done: {step} steps in {}", Span(*seconds))?;
                best_loss.map_or(Ok(()), |loss| write!(f, ", best valid loss {loss:.4}"))
            }
        }
    }
}

/// Seconds for the eye: `3725.0` → `1h02m`, `65.0` → `1m05s`, `42.0` → `42s`, `4.2` → `4.2s`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub f64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        if !seconds.is_finite() || seconds < 0.0 {
            return f.write_str("?");
        }
        let whole = seconds.round() as u64;
        match whole {
            0..10 => write!(f, "{seconds:.1}s"),
            10..60 => write!(f, "{whole}s"),
            60..3600 => write!(f, "{}m{:02}s", whole / 60, whole % 60),
            _ => write!(f, "{}h{:02}m", whole / 3600, whole % 3600 / 60),
        }
    }
}
