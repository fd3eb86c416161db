//! What a run would cost, before it runs: `--dry-run`.
//!
//! Arithmetic only, so that it answers at once for a model of any size: parameters and operations are counted, memory
//! is the model's formula. Corpora are looked for and not read; what is in them stops a run, and not its plan, which
//! only says which of them are not there.

use std::path::Path;

use reformer_model::memory::{MemoryEstimate, parameter_count};
use serde::Serialize;

use crate::error::TrainError;
use crate::plan::{Budget, planned_config, setup};
use crate::recipe::Recipe;
use crate::recipe::{DEMO_CORPUS, HOLD_OUT};

/// What a run would cost.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Parameters of the model, with the vocabulary that the recipe names.
    pub parameters: usize,
    /// Entries of the vocabulary, at most.
    pub vocab_size: usize,
    /// Bytes of the training corpus's file, packed as it is; none of the built-in one, or if it is not there.
    pub corpus_bytes: Option<u64>,
    /// Corpora that the recipe names and that are not there: the run will want them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Optimizer steps; none if the recipe counts epochs, as only the corpus tells.
    pub steps: Option<u64>,
    /// Epochs, if the recipe counts them.
    pub epochs: Option<f64>,
    /// Tokens of a step.
    pub tokens_per_step: usize,
    /// Tokens of the run.
    pub tokens: Option<u64>,
    /// Operations of a step.
    pub flops_per_step: f64,
    /// Memory by part.
    pub memory: MemoryEstimate,
}

/// Adds a run up.
pub fn dry_run(recipe: &Recipe) -> Result<Plan, TrainError> {
    let config = planned_config(recipe)?;
    let mut missing = Vec::new();
    let corpus_bytes = size("data", &recipe.data, &mut missing)?;
    size("valid", &recipe.valid, &mut missing)?;
    let tokens_per_step = recipe.tokens_per_step();
    let steps = (recipe.epochs == 0.0).then_some(recipe.steps);
    Ok(Plan {
        parameters: parameter_count(&config),
        vocab_size: config.vocab_size,
        corpus_bytes,
        missing,
        steps,
        epochs: (recipe.epochs > 0.0).then_some(recipe.epochs),
        tokens_per_step,
        tokens: steps.map(|steps| steps.saturating_mul(tokens_per_step as u64)),
        flops_per_step: Budget::of(recipe, &config).flops_per_step,
        memory: MemoryEstimate::of(&config, recipe.batch, recipe.length, &setup(recipe)),
    })
}

/// The bytes of a corpus's file, if it is one that can be there; its name goes to `missing` if it is not.
fn size(key: &'static str, name: &str, missing: &mut Vec<String>) -> Result<Option<u64>, TrainError> {
    if [DEMO_CORPUS, HOLD_OUT].contains(&name) {
        return Ok(None);
    }
    let path = Path::new(name);
    match path.metadata() {
        Ok(about) => Ok(Some(about.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            missing.push(name.to_owned());
            Ok(None)
        }
        Err(error) => Err(TrainError::Corpus { key, path: path.to_owned(), problem: error.to_string() }),
    }
}
