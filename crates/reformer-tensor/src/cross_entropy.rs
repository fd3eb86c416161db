//! Weighted cross-entropy of rows of logits.
//!
//! ```text
//! nll_i = logsumexp(x_i) − x_i[target_i]     loss = Σ_i w_i·nll_i
//! dx_i = scale·w_i·(softmax(x_i) − onehot(target_i))
//! ```
//!
//! Loss and gradient come from one visit of a row, and the gradient takes the logits' place, so that a chunk of logits
//! is held once. A row of weight 0 is not looked at: its target may be anything, its gradient is 0. Losses are added
//! in double precision in the order of the rows.
//!
//! # Shapes
//! - `logits`: `[rows, vocab]`   - `targets`, `weights`: `[rows]`

use crate::panels::rows_per_panel;
use crate::simd::rows;
use crate::{Cpu, View, ViewMut};

/// Sums over the rows of one call; add them up over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// `Σ w·nll`, in nats.
    pub loss: f64,
    /// `Σ w`.
    pub weight: f64,
    /// `Σ w` over the rows whose first largest logit is the target's.
    pub correct: f64,
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.correct += other.correct;
    }
}

impl core::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

/// Loss only.
///
/// # Panics
/// If a target of a row whose weight is not 0 is not a column.
#[track_caller]
pub fn forward(cpu: &Cpu, logits: View<'_>, targets: &[u32], weights: &[f32]) -> Tally {
    check(logits, targets, weights);
    let step = rows_per_panel(logits.cols());
    let items: Vec<_> =
        logits.row_panels(step).into_iter().zip(targets.chunks(step).zip(weights.chunks(step))).collect();
    let tallies = cpu.threads.map(items, |(panel, (targets, weights))| {
        let row = |i| tally_row(panel.row(i), targets[i], weights[i]);
        (0..panel.rows()).map(row).collect::<Vec<_>>()
    });
    tallies.into_iter().flatten().sum()
}

/// `−log softmax(logits[i])[targets[i]]` of each row, in nats.
///
/// # Panics
/// If a target is not a column.
#[track_caller]
pub fn losses(cpu: &Cpu, logits: View<'_>, targets: &[u32], out: &mut [f32]) {
    assert_eq!(
        (logits.rows(), logits.rows()),
        (targets.len(), out.len()),
        "cross-entropy: rows against targets and results"
    );
    let step = rows_per_panel(logits.cols());
    let items: Vec<_> =
        logits.row_panels(step).into_iter().zip(targets.chunks(step).zip(out.chunks_mut(step))).collect();
    cpu.threads.for_each(items, |(panel, (targets, out))| {
        for (i, out) in out.iter_mut().enumerate() {
            *out = tally_row(panel.row(i), targets[i], 1.0).loss as f32;
        }
    });
}

/// Loss, and the logits become their gradient: `dlogits = scale·w·(softmax − onehot)`.
///
/// # Panics
/// If a target of a row whose weight is not 0 is not a column.
#[track_caller]
pub fn forward_backward(
    cpu: &Cpu,
    logits: ViewMut<'_>,
    targets: &[u32],
    weights: &[f32],
    scale: f32,
) -> Tally {
    check(logits.as_view(), targets, weights);
    let step = rows_per_panel(logits.cols());
    let items: Vec<_> =
        logits.row_panels(step).into_iter().zip(targets.chunks(step).zip(weights.chunks(step))).collect();
    let tallies = cpu.threads.map(items, |(mut panel, (targets, weights))| {
        let mut row = |i| {
            let row = panel.row_mut(i);
            if weights[i] == 0.0 {
                row.fill(0.0);
                return Tally::default();
            }
            let factor = weights[i] * scale;
            let guess = Guess::new(row, targets[i]);
            let sum = rows::exp_sum(row, guess.max);
            rows::scale(row, factor / sum);
            row[targets[i] as usize] -= factor;
            guess.tally(sum, weights[i])
        };
        (0..targets.len()).map(&mut row).collect::<Vec<_>>()
    });
    tallies.into_iter().flatten().sum()
}

/// What the loss needs of a row before its logits are overwritten.
struct Guess {
    max: f32,
    logit: f32,
    right: bool,
}

impl Guess {
    fn new(row: &[f32], target: u32) -> Self {
        let target = target as usize;
        assert!(target < row.len(), "target {target} of a row of {} logits", row.len());
        let (max, logit) = (rows::max(row), row[target]);
        Self { max, logit, right: logit == max && !row[..target].contains(&max) }
    }

    /// The row's share, with `sum = Σ exp(x − max)`.
    fn tally(&self, sum: f32, weight: f32) -> Tally {
        let weight = f64::from(weight);
        Tally {
            loss: weight * (f64::from(self.max) - f64::from(self.logit) + f64::from(sum).ln()),
            weight,
            correct: if self.right { weight } else { 0.0 },
        }
    }
}

fn tally_row(row: &[f32], target: u32, weight: f32) -> Tally {
    if weight == 0.0 {
        return Tally::default();
    }
    let guess = Guess::new(row, target);
    guess.tally(rows::sum_exp(row, guess.max), weight)
}

#[track_caller]
fn check(logits: View<'_>, targets: &[u32], weights: &[f32]) {
    assert!(
        logits.rows() == targets.len() && logits.rows() == weights.len(),
        "cross-entropy: {} rows, {} targets, {} weights",
        logits.rows(),
        targets.len(),
        weights.len()
    );
}
