//! Softmax and logsumexp of rows.
//!
//! ```text
//! z = log Σ_j exp(x_j)     y_j = exp(x_j − z)     dx = y·(dy − Σ_j y_j dy_j)
//! ```
//!
//! Shifted by the row's maximum. A row of nothing but `−∞` (everything masked) has `z = −∞` and `y = 0`; a row with a
//! NaN or `+∞` becomes NaN.

use crate::panels::rows_per_panel;
use crate::simd::kernel;
use crate::simd::rows::{self, fold_pair, update_with};
use crate::{Cpu, View, ViewMut};

/// `y[i, :] = softmax(x[i, :])`.
#[track_caller]
pub fn forward_rows(cpu: &Cpu, x: View<'_>, y: ViewMut<'_>) {
    check(x, y.as_view());
    let step = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(step).into_iter().zip(y.row_panels(step)).collect();
    cpu.threads.for_each(items, |(x, mut y)| {
        for i in 0..x.rows() {
            let y = y.row_mut(i);
            y.copy_from_slice(x.row(i));
            let sum = rows::exp_sum(y, rows::max(x.row(i)));
            if sum != 0.0 {
                rows::scale(y, 1.0 / sum);
            }
        }
    });
}

/// `dy ← y·(dy − Σ y·dy)`, which is `dx`.
#[track_caller]
pub fn backward_rows(cpu: &Cpu, y: View<'_>, dy: ViewMut<'_>) {
    check(y, dy.as_view());
    let step = rows_per_panel(y.cols());
    let items: Vec<_> = y.row_panels(step).into_iter().zip(dy.row_panels(step)).collect();
    cpu.threads.for_each(items, |(y, dy)| backward_panel(y, dy));
}

/// `z[i] = log Σ_j exp(x[i, j])`.
#[track_caller]
pub fn logsumexp_rows(cpu: &Cpu, x: View<'_>, z: &mut [f32]) {
    assert_eq!(x.rows(), z.len(), "logsumexp: rows against results");
    let step = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(step).into_iter().zip(z.chunks_mut(step)).collect();
    cpu.threads.for_each(items, |(x, z)| {
        for (i, z) in z.iter_mut().enumerate() {
            let max = rows::max(x.row(i));
            *z = max + rows::sum_exp(x.row(i), max).ln();
        }
    });
}

#[track_caller]
fn check(x: View<'_>, y: View<'_>) {
    assert_eq!((x.rows(), x.cols()), (y.rows(), y.cols()), "softmax: operands differ in shape");
}

kernel! {
    BackwardPanel: fn backward_panel<'k>(y: View<'k>, dy: ViewMut<'k>) = |s| {
        let mut dy = dy;
        for i in 0..y.rows() {
            let (y, dy) = (y.row(i), dy.row_mut(i));
            let along = s.splat(s.sum(fold_pair(s, y, dy, |acc, y, d| s.mul_add(y, d, acc))));
            update_with(s, dy, y, |d, y| s.mul(y, s.sub(d, along)));
        }
    }
}
