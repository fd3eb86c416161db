//! Products of small blocks, on the calling thread.
//!
//! A product of a few dozen rows and columns, asked for many thousands of times, is too small for a general product,
//! which packs its operands and asks for memory. Here a block of `c` stays in registers; [`packed`] is the variant for
//! kernels, such as attention's, that have laid out their operands themselves:
//!
//! ```text
//! for each panel of NR columns of c:             NR = two vectors
//!     (pack the panel of b: [k, NR], transposed if b is given by rows of its columns)
//!     for each MR rows of c:                     MR·2 accumulators + 2 vectors of b fill the registers
//!         for p in 0..k: acc[i][j] += a[i, p] · b[p, j]
//! ```
//!
//! What the code does beyond it: an operand that is already in the right order is not packed while it fits the first
//! cache; a ragged last panel is packed with zeros, so that only the stores need masks; long `k` is cut in blocks that
//! keep the packed panel in the first cache; one row of `c` (a step of decoding) takes eight vectors at a time.
//!
//! # Shapes
//! `c: [m, n]`, contiguous row-major, as are `a` and `b`. The functions named `_add` add to `c`.
//!
//! Row operations for softmax stand beside them: [`row_max`], [`row_exp_sum`], [`scale`], [`dot`], [`axpy`]; and for
//! attention to rows that lie anywhere: [`gathered_dots`], [`gathered_sum`].

mod block;
mod dots;
mod gather;
pub mod packed;

use crate::simd::{dispatch, rows};

pub(crate) use block::{BlockProduct, Operand};
pub(crate) use dots::Dots;
pub use gather::{gathered_dots, gathered_sum};

/// Whether `x` has `rows·cols` numbers; sizes whose product wraps are held by nothing.
fn holds(x: &[f32], rows: usize, cols: usize) -> bool {
    rows.checked_mul(cols).is_some_and(|size| size <= x.len())
}

#[track_caller]
fn check(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &[f32]) {
    assert!(
        holds(a, m, k) && holds(b, k, n) && holds(c, m, n),
        "tile of {m} x {n} over {k}: operands hold {}, {} and {} numbers",
        a.len(),
        b.len(),
        c.len()
    );
}

fn product(shape: [usize; 3], a: Operand<'_>, b: Operand<'_>, c: &mut [f32], add: bool) {
    let [m, n, k] = shape;
    // An empty `c` may be any number of rows long.
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: every caller checked that the three slices hold these shapes; `c` is borrowed for the call.
    dispatch(unsafe { BlockProduct::new([m, n, k], a, b, (c.as_mut_ptr(), n), add) });
}

/// `c = a·b`; `a: [m, k]`, `b: [k, n]`.
#[track_caller]
pub fn nn(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    check(m, n, k, a, b, c);
    product([m, n, k], Operand::rows(a, k), Operand::rows(b, n), c, false);
}

/// `c += a·b`; `a: [m, k]`, `b: [k, n]`.
#[track_caller]
pub fn nn_add(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    check(m, n, k, a, b, c);
    product([m, n, k], Operand::rows(a, k), Operand::rows(b, n), c, true);
}

/// `c = a·bᵀ`; `a: [m, k]`, `b: [n, k]`.
#[track_caller]
pub fn nt(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    check(m, n, k, a, b, c);
    product([m, n, k], Operand::rows(a, k), Operand::columns(b, k), c, false);
}

/// `c += a·bᵀ`; `a: [m, k]`, `b: [n, k]`.
#[track_caller]
pub fn nt_add(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    check(m, n, k, a, b, c);
    product([m, n, k], Operand::rows(a, k), Operand::columns(b, k), c, true);
}

/// `c = aᵀ·b`; `a: [k, m]`, `b: [k, n]`.
#[track_caller]
pub fn tn(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    check(m, n, k, a, b, c);
    product([m, n, k], Operand::columns(a, m), Operand::rows(b, n), c, false);
}

/// `c += aᵀ·b`; `a: [k, m]`, `b: [k, n]`.
#[track_caller]
pub fn tn_add(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    check(m, n, k, a, b, c);
    product([m, n, k], Operand::columns(a, m), Operand::rows(b, n), c, true);
}

/// `max x`; `−∞` of nothing.
#[inline]
pub fn row_max(x: &[f32]) -> f32 {
    rows::max(x)
}

/// `x ← exp(x − max)`; returns `Σ exp(x − max)`. With `max = −∞` (everything masked) all become 0.
#[inline]
pub fn row_exp_sum(x: &mut [f32], max: f32) -> f32 {
    rows::exp_sum(x, max)
}

/// `x ← factor·x`.
#[inline]
pub fn scale(x: &mut [f32], factor: f32) {
    rows::scale(x, factor);
}

/// `Σ x·y`.
#[inline]
#[track_caller]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len(), "a dot product of different lengths");
    rows::dot(x, y)
}

/// `y += factor·x`.
#[inline]
#[track_caller]
pub fn axpy(factor: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "axpy of different lengths");
    rows::axpy(factor, x, y);
}
