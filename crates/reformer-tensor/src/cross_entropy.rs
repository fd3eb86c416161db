//! Weighted cross-entropy of rows of logits.

use crate::{Cpu, View, ViewMut, naive};

/// Sums over the rows of one call; add them up over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// `Σ w·nll`, in nats.
    pub loss: f64,
    /// `Σ w`.
    pub weight: f64,
    /// `Σ w` over the rows whose largest logit is the target's.
    pub correct: f64,
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.correct += other.correct;
    }
}

/// Loss only.
#[track_caller]
pub fn forward(cpu: &Cpu, logits: View<'_>, targets: &[u32], weights: &[f32]) -> Tally {
    let _ = cpu;
    let mut tally = Tally::default();
    for i in 0..logits.rows() {
        let w = f64::from(weights[i]);
        if w == 0.0 {
            continue;
        }
        let (row, target) = (logits.row(i), targets[i] as usize);
        let best = row.iter().enumerate().fold(0, |a, (j, &x)| if x > row[a] { j } else { a });
        tally += Tally {
            loss: w * f64::from(naive::cross_entropy(row, target)),
            weight: w,
            correct: if best == target { w } else { 0.0 },
        };
    }
    tally
}

/// Loss, and the logits become their gradient: `dlogits = scale·w·(softmax − onehot)`.
#[track_caller]
pub fn forward_backward(
    cpu: &Cpu,
    mut logits: ViewMut<'_>,
    targets: &[u32],
    weights: &[f32],
    scale: f32,
) -> Tally {
    let tally = forward(cpu, logits.as_view(), targets, weights);
    for i in 0..logits.rows() {
        let row = logits.row_mut(i);
        if weights[i] == 0.0 {
            row.fill(0.0);
            continue;
        }
        let dx = naive::cross_entropy_backward(row, targets[i] as usize);
        for (x, d) in row.iter_mut().zip(dx) {
            *x = d * weights[i] * scale;
        }
    }
    tally
}
