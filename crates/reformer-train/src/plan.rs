//! What a recipe's step will cost before anything is read or allocated: parameters, operations, memory by part for the
//! model as it is and for what it could have been, and which changes bring it under a limit.
//!
//! ```text
//! operations   reformer_model::flops, a token and a step
//! memory       reformer_model::memory, for {LSH, exact} × {reversible, everything kept}
//! changes      from what costs nothing to what costs most: batch rows in turn · no whole set of gradients ·
//!              factored optimizer state · shorter rows
//! ```
//!
//! The formulas are those that tests hold to what steps really take. Heads are no change to propose: attention takes
//! few of them at a time by itself where rows are long.

use reformer_model::config::{Config, Fields, Kind};
use reformer_model::flops::{Flops, PartFlops, flops_by_part, flops_per_token};
use reformer_model::memory::{MemoryEstimate, Setup, check_step, parameter_count, score_matrix_bytes};
use reformer_text::Tokenizer;
use serde::Serialize;

use crate::error::TrainError;
use crate::recipe::{ClipBy, ModelTokens, OptimizerKind, Recipe, RecipeError, TokenizerKind};

/// A step's cost.
#[derive(Clone, Debug, Serialize)]
pub struct Budget {
    /// Parameters of the model.
    pub parameters: usize,
    /// Tokens of a row.
    pub length: usize,
    /// Rows of a pass.
    pub batch: usize,
    /// Tokens of an optimizer step.
    pub tokens_per_step: usize,
    /// Operations a token, by part.
    pub flops_by_part: Vec<PartFlops>,
    /// Operations a token.
    pub flops_per_token: Flops,
    /// Operations a token if every LSH layer attended exactly.
    pub exact_flops_per_token: Flops,
    /// Operations of a step, the second pass of a global norm in the reverse pass included.
    pub flops_per_step: f64,
    /// Memory by part: the recipe's own way first.
    pub ways: Vec<Way>,
    /// What a plain implementation of exact attention would keep besides: every layer's scores.
    pub score_matrix_bytes: usize,
}

/// One way to take the step.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// The layers' own attention, or exact attention in place of LSH.
    pub exact: bool,
    /// Activations recomputed, or kept.
    pub reversible: bool,
    /// Bytes by part.
    pub memory: MemoryEstimate,
    /// Bytes in all.
    pub total_bytes: usize,
}

/// A change of the recipe that takes memory off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// `--set` arguments, earlier changes' among them.
    pub sets: Vec<(String, String)>,
    /// What it means.
    pub meaning: &'static str,
    /// Bytes after it.
    pub total_bytes: usize,
    /// Whether that is within the limit.
    pub fits: bool,
}

impl Budget {
    /// The cost of a step by this recipe of the model that it describes.
    pub fn of(recipe: &Recipe, config: &Config) -> Self {
        let (length, own) = (recipe.length, setup(recipe));
        let way = |exact: bool, reversible: bool| {
            let attention = exact.then_some(Kind::Full);
            let memory =
                MemoryEstimate::of(config, recipe.batch, length, &Setup { attention, reversible, ..own });
            Way { exact, reversible, memory, total_bytes: memory.total_bytes() }
        };
        let flops = flops_per_token(config, length);
        let twice = recipe.optimizer.in_backward
            && recipe.optimizer.clip > 0.0
            && recipe.optimizer.clip_by == ClipBy::Global;
        let passes = if twice { 2.0 } else { 1.0 };
        Self {
            parameters: parameter_count(config),
            length,
            batch: recipe.batch,
            tokens_per_step: recipe.tokens_per_step(),
            flops_by_part: flops_by_part(config, length).to_vec(),
            flops_per_token: flops,
            exact_flops_per_token: exactly(config, length),
            flops_per_step: passes * flops.training as f64 * recipe.tokens_per_step() as f64,
            ways: vec![way(false, true), way(false, false), way(true, true), way(true, false)],
            score_matrix_bytes: score_matrix_bytes(config, recipe.batch, length),
        }
    }

    /// Bytes of the recipe's own way.
    pub fn total_bytes(&self) -> usize {
        self.ways[0].total_bytes
    }
}

/// The configuration of a recipe's model before its tokenizer is trained: a trained vocabulary has at most the size
/// that the recipe names. Sizes beyond any machine are an error here, so that the formulas cannot overflow.
pub fn planned_config(recipe: &Recipe) -> Result<Config, RecipeError> {
    let vocab_size = match recipe.tokenizer.kind {
        TokenizerKind::Bytes => Tokenizer::bytes().vocab_size(),
        TokenizerKind::Bpe => recipe.tokenizer.vocab_size,
        // The levels, and the token before an image.
        TokenizerKind::Pixels => recipe.tokenizer.levels + 1,
    };
    let config = recipe.model.config(ModelTokens { vocab_size, pad: 0, end: None }, recipe.seed)?;
    let checked = check_step(&config, recipe.batch, recipe.length);
    checked.map_err(|error| RecipeError::TooLarge(error.to_string()))?;
    Ok(config)
}

/// Fails if a step takes more than `available` bytes.
pub(crate) fn check_memory(
    recipe: &Recipe,
    config: &Config,
    available: Option<usize>,
) -> Result<(), TrainError> {
    let Some(available) = available else { return Ok(()) };
    let estimate = MemoryEstimate::of(config, recipe.batch, recipe.length, &setup(recipe));
    // The formula counts one batch; all of a step are made before the first is used.
    let batches = estimate.batch.saturating_mul(recipe.accumulate);
    let needed = (estimate.total_bytes() - estimate.batch).saturating_add(batches);
    if needed <= available {
        return Ok(());
    }
    let mut parts = estimate.parts();
    parts.sort_by_key(|part| std::cmp::Reverse(part.1));
    let parts: Vec<String> = parts[..3].iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
    Err(TrainError::Memory { needed, available, parts: parts.join(", ") })
}

/// How a recipe's step uses memory.
pub(crate) fn setup(recipe: &Recipe) -> Setup {
    Setup {
        in_backward: recipe.optimizer.in_backward,
        gradient_streams: recipe.gradient_streams,
        ..Setup::trainer(recipe.optimizer.kind.state_bytes())
    }
}

/// Operations with every LSH layer on its exact path.
fn exactly(config: &Config, length: usize) -> Flops {
    let fields = Fields { lsh_exact_below: Some(length), ..config.fields().clone() };
    Config::check(fields)
        .map_or_else(|_| flops_per_token(config, length), |exact| flops_per_token(&exact, length))
}

/// The changes that bring the recipe's step within `limit` bytes, each on top of the ones before, until it fits or
/// nothing is left to change; none if it fits as it is. What takes off less than a tenth of what is too much is not
/// worth changing and is left out.
pub fn changes_to_fit(recipe: &Recipe, config: &Config, limit: usize) -> Vec<Change> {
    let bytes = |recipe: &Recipe| {
        MemoryEstimate::of(config, recipe.batch, recipe.length, &setup(recipe)).total_bytes()
    };
    let mut now = recipe.clone();
    let mut changes = Vec::new();
    let mut sets: Vec<(String, String)> = Vec::new();
    let mut least = bytes(&now);
    let mut try_change = |now: &mut Recipe, changed: Recipe, new: &[(&str, String)], meaning| {
        let total_bytes = bytes(&changed);
        let worth = least.saturating_sub(limit) / 10;
        if least <= limit || total_bytes > limit && total_bytes + worth >= least {
            return;
        }
        for (key, value) in new {
            sets.retain(|(set, _)| set != key);
            sets.push(((*key).to_owned(), value.clone()));
        }
        (*now, least) = (changed, total_bytes);
        changes.push(Change { sets: sets.clone(), meaning, total_bytes, fits: total_bytes <= limit });
    };

    // The most rows at a time that fit and that divide the batch, else one; the step's tokens stay the same.
    let divisors = (1..now.batch).rev().filter(|rows| now.batch.is_multiple_of(*rows));
    let with_rows = |rows: usize| Recipe {
        batch: rows,
        accumulate: recipe.accumulate * (recipe.batch / rows),
        ..recipe.clone()
    };
    // An update in the reverse pass cannot wait for other rows.
    if now.batch > 1 && !now.optimizer.in_backward {
        let rows = divisors.clone().find(|&rows| bytes(&with_rows(rows)) <= limit).unwrap_or(1);
        let changed = with_rows(rows);
        let new = [("batch", rows.to_string()), ("accumulate", changed.accumulate.to_string())];
        try_change(&mut now, changed, &new, "rows in turn: the same step, the same result");
    }
    if !now.optimizer.in_backward {
        let mut changed = Recipe { accumulate: 1, ..now.clone() };
        changed.optimizer.in_backward = true;
        changed.optimizer.clip_by = ClipBy::Group;
        let mut new =
            vec![("optimizer.in_backward", "true".to_owned()), ("optimizer.clip_by", "group".to_owned())];
        if now.accumulate > 1 {
            new.push(("accumulate", "1".to_owned()));
        }
        let meaning = if now.accumulate > 1 {
            "layers updated in the reverse pass, each clipped by its own norm: no whole set of gradients, but a step is one pass"
        } else {
            "layers updated in the reverse pass, each clipped by its own norm: no whole set of gradients"
        };
        try_change(&mut now, changed, &new, meaning);
    }
    if now.optimizer.kind == OptimizerKind::Adamw {
        let mut changed = now.clone();
        changed.optimizer.kind = OptimizerKind::Adafactor;
        let new = [("optimizer.kind", "adafactor".to_owned())];
        try_change(&mut now, changed, &new, "factored optimizer state: 8 bytes a parameter less");
    }
    if let Some(length) = longest(&now, config, limit) {
        let changed = Recipe { length, ..now.clone() };
        try_change(&mut now, changed, &[("length", length.to_string())], "shorter rows, in whole chunks");
    }
    changes
}

/// The longest row below the recipe's, in whole chunks, whose step fits.
fn longest(recipe: &Recipe, config: &Config, limit: usize) -> Option<usize> {
    let unit = recipe.model.chunk_length.max(recipe.model.local_chunk_length);
    let fits = |chunks: usize| {
        let estimate = MemoryEstimate::of(config, recipe.batch, chunks * unit, &setup(recipe));
        estimate.total_bytes() <= limit
    };
    // Memory grows with the length but for steps down where heads begin to be taken in turn, so halve first, then
    // refine.
    let (mut low, mut high) = (0, recipe.length.div_ceil(unit));
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if fits(middle) { low = middle } else { high = middle }
    }
    if low == 0 {
        return None;
    }
    // To five binary digits: a round number, and still in whole chunks.
    let round = 1 << low.ilog2().saturating_sub(4);
    let rounded = low / round * round;
    Some(if fits(rounded) { rounded } else { low } * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(sets: &[(&str, &str)]) -> (Recipe, Config) {
        let sets: Vec<_> = sets.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let recipe = Recipe::parse("", &sets).unwrap();
        let tokens = ModelTokens { vocab_size: 300, pad: 0, end: None };
        let config = recipe.model.config(tokens, 1).unwrap();
        (recipe, config)
    }

    #[test]
    fn the_recipes_own_way_is_the_smallest_and_reversing_pays_by_depth() {
        let kept = |layers: &str| {
            let (recipe, config) = planned(&[("length", "8192"), ("model.layers", layers)]);
            let budget = Budget::of(&recipe, &config);
            assert!(budget.ways.iter().all(|way| way.total_bytes >= budget.total_bytes() || way.exact));
            budget.ways[1].memory.kept
        };
        assert_eq!(kept("8"), 2 * kept("4"));
    }

    #[test]
    fn exact_attention_costs_operations_by_the_square() {
        let flops = |length: &str| {
            let (recipe, config) = planned(&[("length", length)]);
            let budget = Budget::of(&recipe, &config);
            (budget.flops_per_token.training, budget.exact_flops_per_token.training)
        };
        let (short, long) = (flops("8192"), flops("16384"));
        assert!(long.1 > short.1 + short.1 / 4 && long.0 < short.0 + short.0 / 4, "{short:?} {long:?}");
    }

    #[test]
    fn changes_go_on_until_the_step_fits_and_their_sets_are_a_recipe_that_does() {
        let base = [("length", "16384"), ("batch", "8")];
        let (recipe, config) = planned(&base);
        let total = Budget::of(&recipe, &config).total_bytes();
        assert!(changes_to_fit(&recipe, &config, total).is_empty());
        for limit in [total - 1, total / 2, total / 6] {
            let changes = changes_to_fit(&recipe, &config, limit);
            let last = changes.last().unwrap();
            assert!(
                last.fits && changes[..changes.len() - 1].iter().all(|change| !change.fits),
                "{changes:?}"
            );
            let sets: Vec<_> = last.sets.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let (changed, config) = planned(&[&base[..], &sets[..]].concat());
            assert!(Budget::of(&changed, &config).total_bytes() <= limit, "{last:?}");
        }
    }

    #[test]
    fn a_limit_below_the_parameters_is_told_as_it_is() {
        let (recipe, config) = planned(&[("length", "4096")]);
        let changes = changes_to_fit(&recipe, &config, 1 << 20);
        assert!(!changes.is_empty() && changes.iter().all(|change| !change.fits), "{changes:?}");
    }
}
