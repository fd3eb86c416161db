//! Activations, element by element.

use crate::panels::rows_per_panel;
use crate::{Cpu, View, ViewMut, naive};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x·Φ(x) = ½x(1 + erf(x/√2))`, exact.
    Gelu,
    /// `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`, the usual approximation of GELU.
    GeluTanh,
    /// `x·σ(x)`, also called swish.
    Silu,
    /// `tanh x`.
    Tanh,
    /// `1/(1 + exp(−x))`.
    Sigmoid,
}

/// `y = f(x)`.
#[track_caller]
pub fn forward(cpu: &Cpu, kind: Activation, x: View<'_>, mut y: ViewMut<'_>) {
    y.copy_from(x);
    forward_in_place(cpu, kind, y);
}

/// `x ← f(x)`.
pub fn forward_in_place(cpu: &Cpu, kind: Activation, x: ViewMut<'_>) {
    let rows = rows_per_panel(x.cols());
    cpu.threads.for_each(x.row_panels(rows), |mut panel| {
        for i in 0..panel.rows() {
            for x in panel.row_mut(i) {
                *x = naive::activation(kind, *x);
            }
        }
    });
}

/// `dy ← dy·f′(x)`, which is `dx`.
#[track_caller]
pub fn backward(cpu: &Cpu, kind: Activation, x: View<'_>, dy: ViewMut<'_>) {
    assert_eq!((x.rows(), x.cols()), (dy.rows(), dy.cols()), "activation: x and dy differ in shape");
    let rows = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(rows).into_iter().zip(dy.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(x, mut dy)| {
        for i in 0..x.rows() {
            for (&x, d) in x.row(i).iter().zip(dy.row_mut(i)) {
                *d *= naive::activation_derivative(kind, x);
            }
        }
    });
}
