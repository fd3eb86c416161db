//! Keys from vectors, and the vector–Jacobian product of that; the row operations of a gather.
//!
//! ```text
//! k = c·x     Separate    c = 1/√d
//!             Rms         c = 1/√(Σx² + d·1e-6)
//!             UnitScaled  c = α/max(‖x‖, 1e-12),  α = 1/√d
//!
//! dx = c·(dk − (k·dk)·k/α²)     α = 1 for Rms; no second term where c does not depend on x
//! ```
//! since `dc/dx = −c³x/α²` in both normalised forms.

use reformer_tensor::simd::Simd;

use crate::config::{KeyNorm, Keys};

impl Keys {
    /// `c` above.
    #[inline]
    pub(crate) fn scale(self, x: &[f32]) -> f32 {
        self.scale_of(x.len() as f32, || x.iter().map(|x| x * x).sum())
    }

    #[inline(always)]
    fn scale_of(self, d: f32, squares: impl FnOnce() -> f32) -> f32 {
        match self {
            Self::Separate => 1.0 / d.sqrt(),
            Self::Shared(KeyNorm::Rms) => 1.0 / (squares() + d * 1e-6).sqrt(),
            Self::Shared(KeyNorm::UnitScaled) => 1.0 / (d.sqrt() * squares().sqrt().max(1e-12)),
        }
    }

    /// Writes the key of `x`; returns its `c`.
    #[inline(always)]
    pub(crate) fn write<S: Simd>(self, s: S, x: &[f32], k: &mut [f32]) -> f32 {
        let c = self.scale_of(
            x.len() as f32,
            #[inline(always)]
            || dot(s, x, x),
        );
        let scale = s.splat(c);
        map(
            s,
            x,
            &mut k[..x.len()],
            #[inline(always)]
            |x| s.mul(scale, x),
        );
        c
    }

    /// `dx += (∂k/∂x)ᵀ dk`, `k` and `c` as [`Keys::write`] left them.
    #[inline(always)]
    pub(crate) fn add_gradient<S: Simd>(self, s: S, (k, c): (&[f32], f32), dk: &[f32], dx: &mut [f32]) {
        let d = dx.len() as f32;
        let along = match self {
            Self::Separate => 0.0,
            Self::Shared(KeyNorm::Rms) => dot(s, k, dk),
            // Below the floor of the norm c is constant.
            Self::Shared(KeyNorm::UnitScaled) if c * d.sqrt() > 0.999e12 => 0.0,
            Self::Shared(KeyNorm::UnitScaled) => dot(s, k, dk) * d,
        };
        let (scale, along) = (s.splat(c), s.splat(-c * along));
        map_with(
            s,
            dk,
            dx,
            #[inline(always)]
            |dk, dx| s.mul_add(scale, dk, dx),
        );
        map_with(
            s,
            k,
            dx,
            #[inline(always)]
            |k, dx| s.mul_add(along, k, dx),
        );
    }

    /// A position sees itself only if alone.
    pub(crate) fn self_if_alone(self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

/// `Σ x·y`; `y` is at least as long as `x`.
#[inline(always)]
pub(crate) fn dot<S: Simd>(s: S, x: &[f32], y: &[f32]) -> f32 {
    let y = &y[..x.len()];
    let mut sum = s.zero();
    let (mut xs, mut ys) = (x.chunks_exact(S::LANES), y.chunks_exact(S::LANES));
    for (x, y) in (&mut xs).zip(&mut ys) {
        sum = s.mul_add(s.load(x), s.load(y), sum);
    }
    let (x, y) = (xs.remainder(), ys.remainder());
    if !x.is_empty() {
        sum = s.mul_add(s.load_part(x, s.zero()), s.load_part(y, s.zero()), sum);
    }
    s.sum(sum)
}

/// `y ← f(x)`; `x` is at least as long as `y`.
#[inline(always)]
pub(crate) fn map<S: Simd>(s: S, x: &[f32], y: &mut [f32], f: impl Fn(S::V) -> S::V) {
    map_with(
        s,
        x,
        y,
        #[inline(always)]
        |x, _| f(x),
    );
}

/// `y ← f(x, y)`; `x` is at least as long as `y`.
#[inline(always)]
pub(crate) fn map_with<S: Simd>(s: S, x: &[f32], y: &mut [f32], f: impl Fn(S::V, S::V) -> S::V) {
    let x = &x[..y.len()];
    let (mut xs, mut ys) = (x.chunks_exact(S::LANES), y.chunks_exact_mut(S::LANES));
    for (x, y) in (&mut xs).zip(&mut ys) {
        let v = f(s.load(x), s.load(y));
        s.store(y, v);
    }
    let (x, y) = (xs.remainder(), ys.into_remainder());
    if !y.is_empty() {
        let v = f(s.load_part(x, s.zero()), s.load_part(y, s.zero()));
        s.store_part(y, v);
    }
}

/// `y ← x`; `x` is at least as long as `y`.
#[inline(always)]
pub(crate) fn copy<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
    map(
        s,
        x,
        y,
        #[inline(always)]
        |x| x,
    );
}

/// Adds `x·0` to `doubt`: still zero if every `x` is a finite number, else NaN.
#[inline(always)]
pub(crate) fn doubts<S: Simd>(s: S, x: &[f32], mut doubt: S::V) -> S::V {
    let chunks = x.chunks_exact(S::LANES);
    let tail = chunks.remainder();
    for x in chunks {
        doubt = s.mul_add(s.load(x), s.zero(), doubt);
    }
    if !tail.is_empty() {
        doubt = s.mul_add(s.load_part(tail, s.zero()), s.zero(), doubt);
    }
    doubt
}
