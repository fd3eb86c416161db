//! Keys from vectors, and the vector–Jacobian product of that.
//!
//! ```text
//! k = c·x     Separate    c = 1/√d
//!             Rms         c = 1/√(Σx² + d·1e-6)
//!             UnitScaled  c = α/max(‖x‖, 1e-12),  α = 1/√d
//!
//! dx = c·(dk − (k·dk)·k/α²)     α = 1 for Rms; no second term where c does not depend on x
//! ```
//! since `dc/dx = −c³x/α²` in both normalised forms.

use crate::config::{KeyNorm, Keys};

impl Keys {
    /// `c` above.
    #[inline]
    pub(crate) fn scale(self, x: &[f32]) -> f32 {
        let d = x.len() as f32;
        match self {
            Self::Separate => 1.0 / d.sqrt(),
            Self::Shared(KeyNorm::Rms) => 1.0 / (sum_of_squares(x) + d * 1e-6).sqrt(),
            Self::Shared(KeyNorm::UnitScaled) => 1.0 / (d.sqrt() * sum_of_squares(x).sqrt().max(1e-12)),
        }
    }

    /// Writes the key of `x`; returns its `c`.
    #[inline]
    pub(crate) fn write(self, x: &[f32], k: &mut [f32]) -> f32 {
        let c = self.scale(x);
        for (k, x) in k.iter_mut().zip(x) {
            *k = c * x;
        }
        c
    }

    /// `dx += (∂k/∂x)ᵀ dk`, `k` and `c` as [`Keys::write`] left them.
    #[inline]
    pub(crate) fn add_gradient(self, k: &[f32], c: f32, dk: &[f32], dx: &mut [f32]) {
        let d = k.len() as f32;
        let along = match self {
            Self::Separate => 0.0,
            Self::Shared(KeyNorm::Rms) => dot(k, dk),
            // Below the floor of the norm c is constant.
            Self::Shared(KeyNorm::UnitScaled) if c * d.sqrt() > 0.999e12 => 0.0,
            Self::Shared(KeyNorm::UnitScaled) => dot(k, dk) * d,
        };
        for ((dx, dk), k) in dx.iter_mut().zip(dk).zip(k) {
            *dx += c * (dk - along * k);
        }
    }

    /// A position sees itself only if alone.
    pub(crate) fn self_if_alone(self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

/// `Σ x·y` in sixteen running sums.
#[inline]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let ((x16, x), (y16, y)) = (x.as_chunks::<16>(), y.as_chunks::<16>());
    let mut sums = [0.0_f32; 16];
    for (x, y) in x16.iter().zip(y16) {
        for l in 0..16 {
            sums[l] += x[l] * y[l];
        }
    }
    sums.iter().sum::<f32>() + x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>()
}

#[inline]
fn sum_of_squares(x: &[f32]) -> f32 {
    dot(x, x)
}
