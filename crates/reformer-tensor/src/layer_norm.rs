//! Layer normalisation over rows.

use crate::panels::rows_per_panel;
use crate::{Cpu, View, ViewMut, naive};

/// `y = (x − mean)/√(variance + eps)·gamma + beta`.
#[track_caller]
pub fn forward(cpu: &Cpu, x: View<'_>, gamma: &[f32], beta: &[f32], eps: f32, y: ViewMut<'_>) {
    assert_eq!((x.rows(), x.cols()), (y.rows(), y.cols()), "layer norm: x and y differ in shape");
    let rows = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(rows).into_iter().zip(y.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(x, mut y)| {
        for i in 0..x.rows() {
            y.row_mut(i).copy_from_slice(&naive::layer_norm(x.row(i), gamma, beta, f64::from(eps)));
        }
    });
}

/// `dx +=`, `dgamma +=`, `dbeta +=`.
#[track_caller]
#[expect(clippy::too_many_arguments)]
pub fn backward(
    cpu: &Cpu,
    x: View<'_>,
    gamma: &[f32],
    eps: f32,
    dy: View<'_>,
    mut dx: ViewMut<'_>,
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    let _ = cpu;
    for i in 0..x.rows() {
        let (rx, rg, rb) = naive::layer_norm_backward(x.row(i), gamma, f64::from(eps), dy.row(i));
        naive::add_bias(dx.row_mut(i), &rx);
        naive::add_bias(dgamma, &rg);
        naive::add_bias(dbeta, &rb);
    }
}
