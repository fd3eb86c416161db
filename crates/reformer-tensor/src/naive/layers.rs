//! Rows of layers, forward and backward.

use crate::Real;
use crate::activation::Activation;

/// `y = (x − mean) / √(variance + eps) · gamma + beta`, variance over the row without Bessel's correction.
pub fn layer_norm<T: Real>(x: &[T], gamma: &[T], beta: &[T], eps: f64) -> Vec<T> {
    let (normal, _) = normalise(x, eps);
    (0..x.len()).map(|i| normal[i] * gamma[i] + beta[i]).collect()
}

/// Gradients of [`layer_norm`]: `(dx, dgamma, dbeta)`.
///
/// With `x̂ = (x − mean)/σ` and `g = dy·gamma`: `dx = (g − mean(g) − x̂·mean(g·x̂)) / σ`.
pub fn layer_norm_backward<T: Real>(x: &[T], gamma: &[T], eps: f64, dy: &[T]) -> (Vec<T>, Vec<T>, Vec<T>) {
    let (normal, deviation) = normalise(x, eps);
    let n = T::of(x.len() as f64);
    let g: Vec<T> = dy.iter().zip(gamma).map(|(&d, &w)| d * w).collect();
    let mean = g.iter().copied().sum::<T>() / n;
    let along = g.iter().zip(&normal).map(|(&g, &x)| g * x).sum::<T>() / n;
    let dx = (0..x.len()).map(|i| (g[i] - mean - normal[i] * along) / deviation).collect();
    let dgamma = dy.iter().zip(&normal).map(|(&d, &x)| d * x).collect();
    (dx, dgamma, dy.to_vec())
}

fn normalise<T: Real>(x: &[T], eps: f64) -> (Vec<T>, T) {
    let n = T::of(x.len() as f64);
    let mean = x.iter().copied().sum::<T>() / n;
    let variance = x.iter().map(|&x| (x - mean) * (x - mean)).sum::<T>() / n;
    let deviation = (variance + T::of(eps)).sqrt();
    (x.iter().map(|&x| (x - mean) / deviation).collect(), deviation)
}

/// An activation of one number.
pub fn activation<T: Real>(kind: Activation, x: T) -> T {
    let (one, half) = (T::one(), T::of(0.5));
    match kind {
        // NaN stays NaN, which `max` would not let it.
        Activation::Relu if x < T::zero() => T::zero(),
        Activation::Relu => x,
        Activation::Gelu => x * half * (one + erf(x * T::of(core::f64::consts::FRAC_1_SQRT_2))),
        Activation::GeluTanh => x * half * (one + gelu_argument(x).tanh()),
        Activation::Silu => x / (one + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => one / (one + (-x).exp()),
    }
}

/// The derivative of an activation.
///
/// GELU: `Φ(x) + x·φ(x)`. Its tanh form with `u = √(2/π)(x + 0.044715x³)`, `t = tanh u`: `½(1 + t) + ½x(1 − t²)u′`.
pub fn activation_derivative<T: Real>(kind: Activation, x: T) -> T {
    let (one, half) = (T::one(), T::of(0.5));
    match kind {
        Activation::Relu => {
            if x > T::zero() {
                one
            } else {
                T::zero()
            }
        }
        Activation::Gelu => {
            let density = T::of(FRAC_1_SQRT_2PI) * (-half * x * x).exp();
            half * (one + erf(x * T::of(core::f64::consts::FRAC_1_SQRT_2))) + x * density
        }
        Activation::GeluTanh => {
            let t = gelu_argument(x).tanh();
            let inner = T::of(SQRT_2_OVER_PI) * (one + T::of(3.0 * 0.044715) * x * x);
            half * (one + t) + half * x * (one - t * t) * inner
        }
        Activation::Silu => {
            let s = one / (one + (-x).exp());
            s + x * s * (one - s)
        }
        Activation::Tanh => one - x.tanh() * x.tanh(),
        Activation::Sigmoid => {
            let s = one / (one + (-x).exp());
            s * (one - s)
        }
    }
}

/// √(2/π).
pub(crate) const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// 1/√(2π).
pub(crate) const FRAC_1_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

fn gelu_argument<T: Real>(x: T) -> T {
    T::of(SQRT_2_OVER_PI) * (x + T::of(0.044715) * x * x * x)
}

/// The error function `2/√π ∫₀ˣ exp(−t²) dt`, to double precision: its power series near zero, the continued fraction
/// of `erfc` (Lentz's method) further out.
pub fn erf<T: Real>(x: T) -> T {
    let x = x.to_f64_lossless();
    let square = x * x;
    if x.abs() < 2.5 {
        let (mut sum, mut term, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() {
            n += 1.0;
            term *= -square / n;
            sum += term / (2.0 * n + 1.0);
        }
        return T::of(sum * core::f64::consts::FRAC_2_SQRT_PI);
    }
    if x.is_nan() || x.abs() > 6.0 {
        return T::of(if x.is_nan() { x } else { x.signum() });
    }
    let tail = (1..120).rev().fold(x.abs(), |below, n| x.abs() + 0.5 * f64::from(n) / below);
    let erfc = (-square).exp() / (tail * core::f64::consts::PI.sqrt());
    T::of(x.signum() * (1.0 - erfc))
}

/// `y[i] += bias[i]`.
pub fn add_bias<T: Real>(y: &mut [T], bias: &[T]) {
    for (y, &b) in y.iter_mut().zip(bias) {
        *y += b;
    }
}

/// `Σ` of each column of `dy: [rows, cols]`: the gradient of a bias.
pub fn column_sums<T: Real>(dy: &[T], cols: usize) -> Vec<T> {
    (0..cols).map(|j| dy.iter().skip(j).step_by(cols).copied().sum()).collect()
}

/// Rows of `table: [vocab, dim]` at `ids`.
pub fn gather<T: Real>(table: &[T], dim: usize, ids: &[u32]) -> Vec<T> {
    ids.iter().flat_map(|&id| table[id as usize * dim..][..dim].to_vec()).collect()
}

/// `dtable[ids[i]] += dout[i]`.
pub fn scatter_add<T: Real>(ids: &[u32], dout: &[T], dim: usize, dtable: &mut [T]) {
    for (&id, row) in ids.iter().zip(dout.chunks(dim.max(1))) {
        for (t, &d) in dtable[id as usize * dim..].iter_mut().zip(row) {
            *t += d;
        }
    }
}
