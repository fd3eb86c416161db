//! What a run would cost, before it runs: `--dry-run`.
//!
//! Parameters, tokens and epochs are counted, memory is the model's formula, time is three timed steps. The corpora are
//! read and the tokenizer is trained, so everything that would stop a run at its beginning stops its plan too.

use reformer_model::memory::MemoryEstimate;
use serde::Serialize;

use crate::budget::setup;
use crate::error::TrainError;
use crate::recipe::Recipe;
use crate::run::{Prepared, prepare};

/// Steps that are timed; the first also warms the workspace up and is left out of the mean.
const TIMED: usize = 3;

/// What a run would cost.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Parameters of the model.
    pub parameters: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Training dialogues.
    pub dialogues: usize,
    /// Training tokens of an epoch.
    pub epoch_tokens: usize,
    /// Validation tokens.
    pub valid_tokens: usize,
    /// UTF-8 bytes of text a training token stands for.
    pub bytes_per_token: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens of a step.
    pub tokens_per_step: usize,
    /// Tokens of the run.
    pub tokens: u64,
    /// Epochs of the run.
    pub epochs: f64,
    /// Memory by part.
    pub memory: MemoryEstimate,
    /// Seconds of a timed step.
    pub seconds_per_step: f64,
    /// Seconds of the run's steps; evaluations and samples come on top.
    pub seconds: f64,
}

/// Prepares a run, takes three steps that are thrown away, and adds up.
pub fn dry_run(recipe: &Recipe, threads: usize, clock: &dyn Fn() -> f64) -> Result<Plan, TrainError> {
    let Prepared { mut trainer, tokenizer, valid, .. } = prepare(recipe, threads, None)?;
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let before = clock();
        trainer.step()?;
        times.push(clock() - before);
    }
    let warm = &times[1..];
    let seconds_per_step = warm.iter().sum::<f64>() / warm.len() as f64;
    let model = trainer.model();
    let corpus = trainer.packer().corpus();
    let tokens_per_step = recipe.tokens_per_step();
    Ok(Plan {
        parameters: model.parameters().count(),
        vocab_size: tokenizer.vocab_size(),
        dialogues: corpus.dialogues(),
        epoch_tokens: corpus.len(),
        valid_tokens: valid.len(),
        bytes_per_token: corpus.text_bytes() as f64 / corpus.len() as f64,
        steps: recipe.steps,
        tokens_per_step,
        tokens: recipe.steps * tokens_per_step as u64,
        epochs: (recipe.steps * recipe.accumulate as u64) as f64 / trainer.packer().batches_per_epoch(),
        memory: MemoryEstimate::of(model.config(), recipe.batch, recipe.length, &setup(recipe)),
        seconds_per_step,
        seconds: seconds_per_step * recipe.steps as f64,
    })
}
