//! What a run is asked for, what it is told from outside, and how it ends.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use reformer_model::Model;
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;

use crate::evaluate::EvalReport;
use crate::event::Event;
use crate::recipe::Recipe;

/// The resolved recipe's name in a run directory.
pub const RECIPE: &str = "recipe.toml";

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At step 0, in a directory that holds no run.
    Fresh,
    /// At step 0, in a directory that holds no run, with what fits of the weights in this checkpoint directory.
    Init(PathBuf),
    /// At step 0; a run in the directory is removed when this one has saved its first checkpoint.
    Overwrite,
    /// At the newest complete checkpoint.
    Newest,
    /// At this checkpoint: the newest of the directory's own run, or one of another run to begin a directory with.
    From(PathBuf),
}

/// What to train and where.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The recipe.
    pub recipe: Recipe,
    /// The run directory.
    pub out: PathBuf,
    /// Where to begin.
    pub resume: Resume,
    /// Threads; the result does not depend on it.
    pub threads: usize,
    /// Bytes of memory that a step may take, if anybody knows.
    pub memory: Option<usize>,
    /// Who trains, for whoever finds the directory locked: `process 7 on host`.
    pub holder: String,
}

/// What a sampler is given: model, tokenizer, and the recipe's prompts; it gives one text a prompt.
pub type Sampler<'a> = &'a mut dyn FnMut(&Cpu, &Model, &Tokenizer, &[String]) -> Vec<String>;

/// What the run is told from outside.
pub struct Surroundings<'a> {
    /// Seconds from any beginning; only differences are used.
    pub clock: &'a dyn Fn() -> f64,
    /// Is told every event.
    pub events: &'a mut dyn FnMut(&Event),
    /// Writes the samples, if somebody can.
    pub sampler: Option<Sampler<'a>>,
    /// Set to save and stop after the step at hand.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished {
        /// The last checkpoint.
        checkpoint: PathBuf,
        /// The best evaluation.
        best: Option<EvalReport>,
    },
    /// There was nothing to do: all steps had been done before.
    Complete {
        /// The last checkpoint.
        checkpoint: PathBuf,
        /// The best evaluation.
        best: Option<EvalReport>,
        /// Its step.
        step: u64,
        /// The recipe's steps.
        steps: u64,
    },
    /// Stopped by wish; resuming continues exactly here.
    Interrupted {
        /// The checkpoint that was saved; none before the first step.
        checkpoint: Option<PathBuf>,
        /// Its step.
        step: u64,
    },
}
