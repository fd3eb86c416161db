//! Activations, element by element.
//!
//! Backward, with `Φ` and `φ` the normal distribution and its density:
//!
//! ```text
//! Relu′ = [x > 0]                 Gelu′ = Φ(x) + x·φ(x)                   Tanh′ = 1 − tanh²x
//! Silu′ = σ + x·σ·(1 − σ)         Sigmoid′ = σ·(1 − σ)                    σ = 1/(1 + e⁻ˣ)
//! GeluTanh′ = ½(1 + t) + ½x(1 − t²)·√(2/π)(1 + 3·0.044715x²)              t = tanh(√(2/π)(x + 0.044715x³))
//! ```
//!
//! It needs the input `x`, not the output.

use crate::naive::{FRAC_1_SQRT_2PI, SQRT_2_OVER_PI};
use crate::panels::{Partials, rows_per_panel};
use crate::simd::rows::{self, update, update_with};
use crate::simd::{Simd, kernel, math};
use crate::{Cpu, View, ViewMut};

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

impl Activation {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Relu, Self::Gelu, Self::GeluTanh, Self::Silu, Self::Tanh, Self::Sigmoid];
}

/// `y = f(x)`.
#[track_caller]
pub fn forward(cpu: &Cpu, kind: Activation, x: View<'_>, y: ViewMut<'_>) {
    check(x, y.as_view(), "y");
    let rows = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(rows).into_iter().zip(y.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(x, mut y)| {
        y.copy_from(x);
        forward_panel(kind, y);
    });
}

/// `x ← f(x)`.
pub fn forward_in_place(cpu: &Cpu, kind: Activation, x: ViewMut<'_>) {
    let rows = rows_per_panel(x.cols());
    cpu.threads.for_each(x.row_panels(rows), |panel| forward_panel(kind, panel));
}

/// `dy ← dy·f′(x)`, which is `dx`.
#[track_caller]
pub fn backward(cpu: &Cpu, kind: Activation, x: View<'_>, dy: ViewMut<'_>) {
    check(x, dy.as_view(), "dy");
    let rows = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(rows).into_iter().zip(dy.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(x, dy)| backward_panel(kind, x, dy));
}

/// `x ← x + bias`, `y = f(x)`: a linear layer's bias and its activation in one visit.
#[track_caller]
pub fn forward_biased(cpu: &Cpu, kind: Activation, bias: &[f32], x: ViewMut<'_>, y: ViewMut<'_>) {
    check(x.as_view(), y.as_view(), "y");
    assert_eq!(x.cols(), bias.len(), "activation: columns against biases");
    let rows = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(rows).into_iter().zip(y.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(mut x, mut y)| {
        for i in 0..x.rows() {
            let (x, y) = (x.row_mut(i), y.row_mut(i));
            sum_into(x, bias, y);
            row_forward(kind, y);
        }
    });
}

/// `x ← f(x + bias)`.
#[track_caller]
pub fn forward_biased_in_place(cpu: &Cpu, kind: Activation, bias: &[f32], x: ViewMut<'_>) {
    assert_eq!(x.cols(), bias.len(), "activation: columns against biases");
    let rows = rows_per_panel(x.cols());
    cpu.threads.for_each(x.row_panels(rows), |mut panel| {
        for i in 0..panel.rows() {
            let row = panel.row_mut(i);
            rows::add(bias, row);
            row_forward(kind, row);
        }
    });
}

/// `dy ← dy·f′(x)` and `dbias += Σ_i dy[i, :]` of the result, in a fixed order.
#[track_caller]
pub fn backward_summed(cpu: &Cpu, kind: Activation, x: View<'_>, dy: ViewMut<'_>, dbias: &mut [f32]) {
    check(x, dy.as_view(), "dy");
    assert_eq!(x.cols(), dbias.len(), "activation: columns against biases");
    let mut partials = Partials::new(cpu, dy.rows(), dy.cols(), dy.cols());
    let step = partials.rows();
    let items: Vec<_> =
        x.row_panels(step).into_iter().zip(dy.row_panels(step)).zip(partials.each()).collect();
    cpu.threads.for_each(items, |((x, mut dy), sum)| {
        let sum = &mut sum[..x.cols()];
        sum.fill(0.0);
        for i in 0..x.rows() {
            row_backward(kind, x.row(i), dy.row_mut(i));
            rows::add(dy.row(i), sum);
        }
    });
    for sum in partials.each() {
        rows::add(sum, dbias);
    }
}

#[track_caller]
fn check(x: View<'_>, other: View<'_>, name: &str) {
    assert_eq!(
        (x.rows(), x.cols()),
        (other.rows(), other.cols()),
        "activation: x and {name} differ in shape"
    );
}

/// `Φ(x)`.
#[inline(always)]
fn normal<S: Simd>(s: S, x: S::V) -> S::V {
    let half = s.splat(0.5);
    let e = math::erf(s, s.mul(x, s.splat(core::f32::consts::FRAC_1_SQRT_2)));
    s.mul_add(half, e, half)
}

/// `tanh(√(2/π)(x + 0.044715x³))`.
#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let cube = s.mul(s.mul(x, x), x);
    let inner = s.mul_add(s.splat(0.044_715), cube, x);
    math::tanh(s, s.mul(s.splat(SQRT_2_OVER_PI as f32), inner))
}

fn forward_panel(kind: Activation, mut x: ViewMut<'_>) {
    for i in 0..x.rows() {
        row_forward(kind, x.row_mut(i));
    }
}

fn backward_panel(kind: Activation, x: View<'_>, mut dy: ViewMut<'_>) {
    for i in 0..x.rows() {
        row_backward(kind, x.row(i), dy.row_mut(i));
    }
}

kernel! {
    /// `x ← x + bias`, `y = x`.
    SumInto: fn sum_into<'k>(x: &'k mut [f32], bias: &'k [f32], y: &'k mut [f32]) = |s| {
        let (bias, y) = (&bias[..x.len()], &mut y[..x.len()]);
        let whole = x.len() - x.len() % S::LANES;
        for j in (0..whole).step_by(S::LANES) {
            let v = s.add(s.load(&x[j..]), s.load(&bias[j..]));
            s.store(&mut x[j..], v);
            s.store(&mut y[j..], v);
        }
        if whole < x.len() {
            let v = s.add(s.load_part(&x[whole..], s.zero()), s.load_part(&bias[whole..], s.zero()));
            s.store_part(&mut x[whole..], v);
            s.store_part(&mut y[whole..], v);
        }
    }
}

kernel! {
    RowForward: fn row_forward<'k>(kind: Activation, row: &'k mut [f32]) = |s| {
        let half = s.splat(0.5);
            match kind {
                // Zero first: the second operand is what NaN takes.
                Activation::Relu => update(s, row, #[inline(always)] |x| s.max(s.zero(), x)),
                Activation::Gelu => update(s, row, #[inline(always)] |x| s.mul(x, normal(s, x))),
                Activation::GeluTanh => {
                    update(s, row, #[inline(always)] |x| s.mul(x, s.mul_add(half, gelu_tanh(s, x), half)));
                }
                Activation::Silu => update(s, row, #[inline(always)] |x| s.mul(x, math::sigmoid(s, x))),
                Activation::Tanh => update(s, row, #[inline(always)] |x| math::tanh(s, x)),
                Activation::Sigmoid => update(s, row, #[inline(always)] |x| math::sigmoid(s, x)),
            }
    }
}

kernel! {
    RowBackward: fn row_backward<'k>(kind: Activation, x: &'k [f32], dy: &'k mut [f32]) = |s| {
        let (one, half) = (s.splat(1.0), s.splat(0.5));
            match kind {
                Activation::Relu => {
                    update_with(s, dy, x, #[inline(always)] |d, x| s.select_gt(x, s.zero(), d, s.zero()));
                }
                Activation::Gelu => update_with(s, dy, x, #[inline(always)] |d, x| {
                    let e = math::exp(s, s.mul(s.mul(x, x), s.splat(-0.5)));
                    let density = s.mul(s.splat(FRAC_1_SQRT_2PI as f32), e);
                    s.mul(d, s.mul_add(x, density, normal(s, x)))
                }),
                Activation::GeluTanh => update_with(s, dy, x, #[inline(always)] |d, x| {
                    let t = gelu_tanh(s, x);
                    let square = s.mul(x, x);
                    let inner = s.mul_add(s.splat(3.0 * 0.044_715), square, one);
                    let inner = s.mul(s.mul(x, s.splat(SQRT_2_OVER_PI as f32)), inner);
                    let slope = s.mul_add(s.neg_mul_add(t, t, one), inner, s.add(one, t));
                    s.mul(d, s.mul(half, slope))
                }),
                Activation::Silu => update_with(s, dy, x, #[inline(always)] |d, x| {
                    let g = math::sigmoid(s, x);
                    s.mul(d, s.mul_add(s.mul(x, g), s.sub(one, g), g))
                }),
                Activation::Tanh => update_with(s, dy, x, #[inline(always)] |d, x| {
                    let t = math::tanh(s, x);
                    s.mul(d, s.neg_mul_add(t, t, one))
                }),
                Activation::Sigmoid => update_with(s, dy, x, #[inline(always)] |d, x| {
                    let g = math::sigmoid(s, x);
                    s.mul(d, s.mul(g, s.sub(one, g)))
                }),
            }
    }
}
