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
//!
//! The gradient goes through the key `k` that the tile has, not through `x`: `x` lies elsewhere in memory, and where
//! keys are shared its row is being written by the gradient itself.

use reformer_tensor::simd::{Simd, row};

use crate::config::{KeyNorm, Keys};

impl Keys {
    /// `c` above.
    #[inline]
    pub(crate) fn scale(self, x: &[f32]) -> f32 {
        self.scale_of(x.len(), x.iter().map(|x| x * x).sum())
    }

    /// `c` for a vector of `dim` numbers with this sum of squares.
    #[inline(always)]
    fn scale_of(self, dim: usize, squares: f32) -> f32 {
        let d = dim as f32;
        match self {
            Self::Separate => 1.0 / d.sqrt(),
            Self::Shared(KeyNorm::Rms) => 1.0 / (squares + d * 1e-6).sqrt(),
            Self::Shared(KeyNorm::UnitScaled) => 1.0 / (d.sqrt() * squares.sqrt().max(1e-12)),
        }
    }

    /// Writes the key of `x`; returns its `c`.
    #[inline(always)]
    pub(crate) fn write<S: Simd>(self, s: S, x: &[f32], k: &mut [f32]) -> f32 {
        let squares = if self.are_shared() { row::dot(s, x, x) } else { 0.0 };
        let c = self.scale_of(x.len(), squares);
        row::scale(s, c, x, &mut k[..x.len()]);
        c
    }

    /// `dx += (∂k/∂x)ᵀ dk`, `k` and `c` as [`Keys::write`] left them.
    #[inline(always)]
    pub(crate) fn add_gradient<S: Simd>(self, s: S, k: &[f32], c: f32, dk: &[f32], dx: &mut [f32]) {
        let d = dx.len() as f32;
        let along = match self {
            Self::Separate => 0.0,
            Self::Shared(KeyNorm::Rms) => row::dot(s, k, dk),
            // Below the floor of the norm c is constant.
            Self::Shared(KeyNorm::UnitScaled) if c * d.sqrt() > 0.999e12 => 0.0,
            Self::Shared(KeyNorm::UnitScaled) => row::dot(s, k, dk) * d,
        };
        row::add_scaled(s, c, dk, dx);
        row::add_scaled(s, -c * along, k, dx);
    }
}
