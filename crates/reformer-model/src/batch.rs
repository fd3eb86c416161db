//! What goes into a pass: token rows with their targets, and how to run them.

use std::sync::Arc;

use reformer_lsh::Rotations;
use reformer_tensor::Precision;

use crate::config::{Config, Kind};
use crate::error::{ModelError, Result};

/// Rows of equal length. Targets are already shifted: `targets[i]` is what the model should say after `inputs[i]`.
///
/// # Shapes
/// - `inputs`, `targets`, `weights`, `mask`: `[rows·len]`, row after row
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// Tokens a row.
    pub len: usize,
    /// Token ids.
    pub inputs: Vec<u32>,
    /// Ids to predict; the value does not matter where the weight is 0.
    pub targets: Vec<u32>,
    /// Weight of each prediction in the loss; 0 = ignored (and not computed).
    pub weights: Vec<f32>,
    /// `false` marks padding that nobody attends to.
    pub mask: Option<Vec<bool>>,
}

impl Batch {
    /// Rows of `len + 1` ids, each token predicting the next with weight 1.
    ///
    /// # Panics
    /// If `ids` is not `rows·(len + 1)` long.
    #[track_caller]
    pub fn next_token(rows: usize, len: usize, ids: &[u32]) -> Self {
        assert_eq!(ids.len(), rows * (len + 1), "rows of len + 1 ids");
        let pick = |from: usize| -> Vec<u32> {
            ids.chunks_exact(len + 1).flat_map(|row| &row[from..from + len]).copied().collect()
        };
        Self { rows, len, inputs: pick(0), targets: pick(1), weights: vec![1.0; rows * len], mask: None }
    }

    /// `Σ w`.
    pub fn weight(&self) -> f64 {
        self.weights.iter().map(|&w| f64::from(w)).sum()
    }

    /// Checks shapes and ids against `config`.
    pub fn check(&self, config: &Config) -> Result<()> {
        check_tokens(config, &self.inputs, self.rows, self.len, self.mask.as_deref())?;
        check_count("targets", self.targets.len(), self.rows, self.len)?;
        check_count("weights", self.weights.len(), self.rows, self.len)?;
        let wrong = self
            .targets
            .iter()
            .zip(&self.weights)
            .position(|(&t, &w)| w != 0.0 && t as usize >= config.vocab_size);
        match wrong {
            Some(index) => {
                Err(ModelError::Token { id: self.targets[index], index, vocab_size: config.vocab_size })
            }
            None => Ok(()),
        }
    }
}

/// Checks ids and their shape; an empty input is an error, one token is not.
pub(crate) fn check_tokens(
    config: &Config,
    ids: &[u32],
    rows: usize,
    len: usize,
    mask: Option<&[bool]>,
) -> Result<()> {
    if rows == 0 || len == 0 {
        let got = format!("{rows} rows of {len} tokens");
        return Err(ModelError::Shape {
            what: "input",
            got,
            expected: "at least one row of one token".into(),
        });
    }
    check_count("inputs", ids.len(), rows, len)?;
    if let Some(mask) = mask {
        check_count("mask", mask.len(), rows, len)?;
    }
    config.check_length(len)?;
    match ids.iter().position(|&id| id as usize >= config.vocab_size) {
        Some(index) => Err(ModelError::Token { id: ids[index], index, vocab_size: config.vocab_size }),
        None => Ok(()),
    }
}

fn check_count(what: &'static str, got: usize, rows: usize, len: usize) -> Result<()> {
    if got == rows * len {
        return Ok(());
    }
    Err(ModelError::Shape {
        what,
        got: format!("{got} values"),
        expected: format!("{rows} rows x {len} = {}", rows * len),
    })
}

/// How to run a pass. Every random number of it comes from `(seed, step, layer, purpose)`.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Dropout is on.
    pub training: bool,
    /// Seed of the dropout masks.
    pub seed: u64,
    /// Step of the dropout masks.
    pub step: u64,
    /// Hash rounds, if not the config's.
    pub num_hashes: Option<usize>,
    /// What the LSH layers compute, if not LSH: `Some(Kind::Full)` is exact shared-QK attention.
    pub attention: Option<Kind>,
    /// In what the gradients of the two streams are kept: `Bf16` halves their memory, a quarter of a long row's step,
    /// and rounds them once for every sublayer.
    pub gradient_streams: Precision,
    /// Rotations to use instead of the model's: per LSH layer in forward order, per head.
    pub rotations: Option<Arc<Vec<Vec<Rotations>>>>,
}

impl Pass {
    /// No dropout, the model's own rounds.
    pub fn evaluation() -> Self {
        Self::default()
    }

    /// Dropout at this address.
    pub fn training(seed: u64, step: u64) -> Self {
        Self { training: true, seed, step, ..Self::default() }
    }
}

/// A sum over weighted predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossReport {
    /// `Σ w·nll`, in nats.
    pub loss: f64,
    /// `Σ w`.
    pub weight: f64,
    /// `Σ w` where the likeliest token was the target.
    pub correct: f64,
}

impl LossReport {
    /// Loss per unit weight.
    pub fn mean(&self) -> f64 {
        self.loss / self.weight
    }

    /// Adds another report.
    pub fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.correct += other.correct;
    }
}
