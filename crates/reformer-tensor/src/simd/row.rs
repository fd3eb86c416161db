//! Verbs on one row inside a kernel: the caller hands in its [`Simd`] token, and everything is inlined into it.
//!
//! ```text
//! copy        y ← x                    scale  y ← a·x              blend   y ← a·x + b·y
//! add         y ← y + x                add_scaled  y ← a·x + y     dot     Σ x·y
//! non_finite  x·0 added up: zero of finite numbers, NaN of the others
//! ```
//!
//! For the short rows of a head, some tens of numbers, which a kernel gathers and adds by the thousand: one function
//! call for each would cost as much as its work. [`rows`](super::rows) has the operations on whole rows that choose
//! the instructions themselves. Of two slices the written one (of `dot` the first) says how many numbers there are;
//! the other one is at least as long.

use super::Simd;
use super::rows::update_with;

/// `y ← x`.
#[inline(always)]
pub fn copy<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
    // What `y` held is loaded and never used, which the compiler sees.
    update_with(
        s,
        y,
        x,
        #[inline(always)]
        |_, x| x,
    );
}

/// `y ← a·x`.
#[inline(always)]
pub fn scale<S: Simd>(s: S, a: f32, x: &[f32], y: &mut [f32]) {
    let a = s.splat(a);
    update_with(
        s,
        y,
        x,
        #[inline(always)]
        |_, x| s.mul(a, x),
    );
}

/// `y ← y + x`.
#[inline(always)]
pub fn add<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
    update_with(
        s,
        y,
        x,
        #[inline(always)]
        |y, x| s.add(x, y),
    );
}

/// `y ← a·x + y`, rounded once where the processor can.
#[inline(always)]
pub fn add_scaled<S: Simd>(s: S, a: f32, x: &[f32], y: &mut [f32]) {
    let a = s.splat(a);
    update_with(
        s,
        y,
        x,
        #[inline(always)]
        |y, x| s.mul_add(a, x, y),
    );
}

/// `y ← a·x + b·y`. With `b = 0` an infinity or NaN in `y` stays: use [`scale`] over what holds no number yet.
#[inline(always)]
pub fn blend<S: Simd>(s: S, a: f32, x: &[f32], b: f32, y: &mut [f32]) {
    let (a, b) = (s.splat(a), s.splat(b));
    update_with(
        s,
        y,
        x,
        #[inline(always)]
        |y, x| s.mul_add(x, a, s.mul(y, b)),
    );
}

/// `Σ x·y`, in one vector of sums: a head's row has no more than a few vectors, so there is no latency to hide.
#[inline(always)]
pub fn dot<S: Simd>(s: S, x: &[f32], y: &[f32]) -> f32 {
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

/// Adds `x·0` to `found`: still zero in every lane if every `x` is a finite number, else NaN in some. Start at zero, go
/// over as many rows as wanted, and ask once whether the lanes' sum is zero.
#[inline(always)]
pub fn non_finite<S: Simd>(s: S, x: &[f32], mut found: S::V) -> S::V {
    let chunks = x.chunks_exact(S::LANES);
    let tail = chunks.remainder();
    for x in chunks {
        found = s.mul_add(s.load(x), s.zero(), found);
    }
    if !tail.is_empty() {
        found = s.mul_add(s.load_part(tail, s.zero()), s.zero(), found);
    }
    found
}
