//! Operations on one row of floats: what softmax, layer norm and the losses are made of. Each chooses its instructions
//! itself; [`row`](super::row) has the verbs for use inside a kernel.
//!
//! Single-threaded. Sums run in four interleaved vectors and are folded in a fixed order, so they depend on the length
//! and the level only.

use super::{Simd, kernel, math};

/// `x ← f(x)`, a vector at a time.
#[inline(always)]
pub(crate) fn update<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for chunk in &mut chunks {
        let v = f(s.load(chunk));
        s.store(chunk, v);
    }
    let tail = chunks.into_remainder();
    if !tail.is_empty() {
        let v = f(s.load_part(tail, s.zero()));
        s.store_part(tail, v);
    }
}

/// `y ← f(y, x)`, a vector at a time.
#[inline(always)]
pub(crate) fn update_with<S: Simd>(s: S, y: &mut [f32], x: &[f32], f: impl Fn(S::V, S::V) -> S::V) {
    let x = &x[..y.len()];
    let mut ys = y.chunks_exact_mut(S::LANES);
    let mut xs = x.chunks_exact(S::LANES);
    for (y, x) in (&mut ys).zip(&mut xs) {
        let v = f(s.load(y), s.load(x));
        s.store(y, v);
    }
    let (y, x) = (ys.into_remainder(), xs.remainder());
    if !y.is_empty() {
        let v = f(s.load_part(y, s.zero()), s.load_part(x, s.zero()));
        s.store_part(y, v);
    }
}

/// Vectors that a sum or a maximum is spread over, to hide the latency of an addition.
const SPREAD: usize = 4;

/// Folds `f` over `x` from `start`; `fill` stands in for the lanes beyond a ragged end. Returns one vector.
#[inline(always)]
pub(crate) fn fold<S: Simd>(
    s: S,
    x: &[f32],
    (start, fill): (f32, f32),
    f: impl Fn(S::V, S::V) -> S::V,
    join: impl Fn(S::V, S::V) -> S::V,
) -> S::V {
    let mut acc = [s.splat(start); SPREAD];
    let mut wide = x.chunks_exact(SPREAD * S::LANES);
    for chunk in &mut wide {
        for (l, acc) in acc.iter_mut().enumerate() {
            *acc = f(*acc, s.load(&chunk[l * S::LANES..]));
        }
    }
    let mut narrow = wide.remainder().chunks_exact(S::LANES);
    for chunk in &mut narrow {
        acc[0] = f(acc[0], s.load(chunk));
    }
    let tail = narrow.remainder();
    if !tail.is_empty() {
        acc[1] = f(acc[1], s.load_part(tail, s.splat(fill)));
    }
    join(join(acc[0], acc[1]), join(acc[2], acc[3]))
}

/// `Σ f(x, y)` with `f(acc, x, y)`; the ragged end is filled with zeros.
#[inline(always)]
pub(crate) fn fold_pair<S: Simd>(s: S, x: &[f32], y: &[f32], f: impl Fn(S::V, S::V, S::V) -> S::V) -> S::V {
    let y = &y[..x.len()];
    let mut acc = [s.zero(); SPREAD];
    let mut xs = x.chunks_exact(SPREAD * S::LANES);
    let mut ys = y.chunks_exact(SPREAD * S::LANES);
    for (x, y) in (&mut xs).zip(&mut ys) {
        for (l, acc) in acc.iter_mut().enumerate() {
            *acc = f(*acc, s.load(&x[l * S::LANES..]), s.load(&y[l * S::LANES..]));
        }
    }
    let mut xs = xs.remainder().chunks_exact(S::LANES);
    let mut ys = ys.remainder().chunks_exact(S::LANES);
    for (x, y) in (&mut xs).zip(&mut ys) {
        acc[0] = f(acc[0], s.load(x), s.load(y));
    }
    let (x, y) = (xs.remainder(), ys.remainder());
    if !x.is_empty() {
        acc[1] = f(acc[1], s.load_part(x, s.zero()), s.load_part(y, s.zero()));
    }
    s.add(s.add(acc[0], acc[1]), s.add(acc[2], acc[3]))
}

kernel! {
    /// `max x`, ignoring NaN beside a number; `−∞` of nothing.
    Max: pub fn max<'k>(x: &'k [f32]) -> f32 = |s| {
        // The accumulator is the second operand: where `x` is NaN it stays.
        s.maximum(fold(s, x, (f32::NEG_INFINITY, f32::NEG_INFINITY), |acc, x| s.max(x, acc), |a, b| s.max(a, b)))
    }
}

kernel! {
    /// `Σ x`.
    Sum: pub fn sum<'k>(x: &'k [f32]) -> f32 = |s| {
        s.sum(fold(s, x, (0.0, 0.0), |acc, x| s.add(acc, x), |a, b| s.add(a, b)))
    }
}

kernel! {
    /// `x ← exp(x − max)`; returns the sum. With `max = −∞` (everything masked) every number becomes 0, not NaN.
    ExpSum: pub fn exp_sum<'k>(x: &'k mut [f32], max: f32) -> f32 = |s| {
        let shift = s.splat(if max == f32::NEG_INFINITY { 0.0 } else { max });
        let mut acc = [s.zero(); 2];
        let mut chunks = x.chunks_exact_mut(2 * S::LANES);
        for chunk in &mut chunks {
            for (l, acc) in acc.iter_mut().enumerate() {
                let part = &mut chunk[l * S::LANES..];
                let e = math::exp(s, s.sub(s.load(part), shift));
                s.store(part, e);
                *acc = s.add(*acc, e);
            }
        }
        let mut rest = chunks.into_remainder();
        if rest.len() >= S::LANES {
            let e = math::exp(s, s.sub(s.load(rest), shift));
            s.store(rest, e);
            acc[0] = s.add(acc[0], e);
            rest = &mut rest[S::LANES..];
        }
        if !rest.is_empty() {
            let e = math::exp(s, s.sub(s.load_part(rest, s.splat(f32::NEG_INFINITY)), shift));
            s.store_part(rest, e);
            acc[1] = s.add(acc[1], e);
        }
        s.sum(s.add(acc[0], acc[1]))
    }
}

kernel! {
    /// `Σ exp(x − max)`, writing nothing; 0 if `max = −∞`.
    SumExp: pub fn sum_exp<'k>(x: &'k [f32], max: f32) -> f32 = |s| {
        let shift = s.splat(if max == f32::NEG_INFINITY { 0.0 } else { max });
        let fold = fold(
            s,
            x,
            (0.0, f32::NEG_INFINITY),
            #[inline(always)] |acc, x| s.add(acc, math::exp(s, s.sub(x, shift))),
            |a, b| s.add(a, b),
        );
        s.sum(fold)
    }
}

kernel! {
    /// `x ← eˣ`.
    Exp: pub fn exp<'k>(x: &'k mut [f32]) = |s| {
        update(s, x, #[inline(always)] |x| math::exp(s, x));
    }
}

kernel! {
    /// `x ← factor·x`.
    Scale: pub fn scale<'k>(x: &'k mut [f32], factor: f32) = |s| {
        let factor = s.splat(factor);
        update(s, x, |x| s.mul(x, factor));
    }
}

kernel! {
    /// `Σ x·y`; `y` is at least as long as `x`.
    Dot: pub fn dot<'k>(x: &'k [f32], y: &'k [f32]) -> f32 = |s| {
        s.sum(fold_pair(s, x, y, |acc, x, y| s.mul_add(x, y, acc)))
    }
}

kernel! {
    /// `y += factor·x`; `x` is at least as long as `y`.
    Axpy: pub fn axpy<'k>(factor: f32, x: &'k [f32], y: &'k mut [f32]) = |s| {
        let factor = s.splat(factor);
        update_with(s, y, x, |y, x| s.mul_add(factor, x, y));
    }
}

kernel! {
    /// `y += x`; `x` is at least as long as `y`.
    Add: pub fn add<'k>(x: &'k [f32], y: &'k mut [f32]) = |s| {
        update_with(s, y, x, |y, x| s.add(y, x));
    }
}

kernel! {
    /// `y −= x`; `x` is at least as long as `y`.
    Sub: pub fn sub<'k>(x: &'k [f32], y: &'k mut [f32]) = |s| {
        update_with(s, y, x, |y, x| s.sub(y, x));
    }
}

kernel! {
    /// `y ← y·x`; `x` is at least as long as `y`.
    Mul: pub fn mul<'k>(x: &'k [f32], y: &'k mut [f32]) = |s| {
        update_with(s, y, x, |y, x| s.mul(y, x));
    }
}
