//! Bias rows.

use crate::panels::{rows_per_panel, rows_per_partial};
use crate::{Cpu, View, ViewMut, naive};

/// `x[i, :] += bias`.
#[track_caller]
pub fn add_rows(cpu: &Cpu, x: ViewMut<'_>, bias: &[f32]) {
    assert_eq!(x.cols(), bias.len(), "bias: {} columns, {} biases", x.cols(), bias.len());
    let rows = rows_per_panel(x.cols());
    cpu.threads.for_each(x.row_panels(rows), |mut panel| {
        for i in 0..panel.rows() {
            naive::add_bias(panel.row_mut(i), bias);
        }
    });
}

/// `dbias += Σ_i dy[i, :]`, in a fixed order.
#[track_caller]
pub fn grad(cpu: &Cpu, dy: View<'_>, dbias: &mut [f32]) {
    assert_eq!(dy.cols(), dbias.len(), "bias: {} columns, {} biases", dy.cols(), dbias.len());
    let _ = (cpu, rows_per_partial(dy.rows(), dy.cols()));
    for row in dy.rows_iter() {
        naive::add_bias(dbias, row);
    }
}
