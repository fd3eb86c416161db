//! Softmax and logsumexp of rows.

use crate::{Cpu, View, ViewMut, naive};

/// `y[i, :] = softmax(x[i, :])`; a row of nothing but `−∞` becomes zeros.
#[track_caller]
pub fn forward_rows(cpu: &Cpu, x: View<'_>, mut y: ViewMut<'_>) {
    let _ = cpu;
    for i in 0..x.rows() {
        y.row_mut(i).copy_from_slice(&naive::softmax(x.row(i)));
    }
}

/// `dy ← y·(dy − Σ y·dy)`, which is `dx`.
#[track_caller]
pub fn backward_rows(cpu: &Cpu, y: View<'_>, mut dy: ViewMut<'_>) {
    let _ = cpu;
    for i in 0..y.rows() {
        let dx = naive::softmax_backward(y.row(i), dy.row(i));
        dy.row_mut(i).copy_from_slice(&dx);
    }
}

/// `z[i] = log Σ_j exp(x[i, j])`; `−∞` for a row of nothing but `−∞`.
#[track_caller]
pub fn logsumexp_rows(cpu: &Cpu, x: View<'_>, z: &mut [f32]) {
    let _ = cpu;
    for i in 0..x.rows() {
        z[i] = naive::logsumexp(x.row(i));
    }
}
