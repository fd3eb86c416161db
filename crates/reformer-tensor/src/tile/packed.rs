//! Products of blocks in a fused kernel: called with the kernel's [`Simd`] token, nothing packed on the way.
//!
//! Where [`super::nn`] and its sisters take operands of any shape and pack what lies badly, these leave the layout to
//! the caller, who has gathered it once and uses it several times:
//!
//! ```text
//! panel      16 rows of b, transposed: panel[p·16 + r] = b[r, p]
//! by_panels  c = a·bᵀ        b in panels
//! by_rows    c = a·b         b row by row
//! by_columns c += aᵀ·b       a read down its columns
//! ```
//! Rows of `c` come in groups of [`ROWS_TOGETHER`], its columns in groups of [`PANEL`]; the caller rounds up.

#![allow(clippy::inline_always)]

use crate::simd::Simd;

/// Rows of `b` in a panel, and what numbers of columns are multiples of.
pub const PANEL: usize = 16;

/// What numbers of rows are multiples of.
pub const ROWS_TOGETHER: usize = 8;

/// Whether `x` holds `rows` rows of `cols` numbers, `stride` apart; sizes that wrap are held by nothing. Asked once a
/// call: the blocks below trust the answer.
#[inline(always)]
fn spans(x: &[f32], (rows, stride): (usize, usize), cols: usize) -> bool {
    let before = rows.saturating_sub(1).checked_mul(stride);
    let size = before.and_then(|before| before.checked_add(cols));
    rows == 0 || (cols <= stride && size.is_some_and(|size| size <= x.len()))
}

/// Where a register block's operands lie: distances between its rows, its vectors, and steps of the sum.
#[derive(Clone, Copy)]
struct Steps {
    depth: usize,
    a_row: usize,
    a_step: usize,
    b_vector: usize,
    b_step: usize,
    c_row: usize,
    c_vector: usize,
}

/// `MR` rows and `NV` vectors of `c`, in registers from the first product to the last.
///
/// # Safety
/// Every address that `at` describes must lie inside its operand.
#[inline(always)]
unsafe fn block<S: Simd, const MR: usize, const NV: usize, const ADD: bool>(
    s: S,
    at: Steps,
    mut a: *const f32,
    mut b: *const f32,
    c: *mut f32,
) {
    let mut acc = [[s.zero(); NV]; MR];
    if ADD {
        for (i, acc) in acc.iter_mut().enumerate() {
            for (j, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *acc = unsafe { s.load_ptr(c.add(i * at.c_row + j * at.c_vector)) };
            }
        }
    }
    for _ in 0..at.depth {
        let mut bs = [s.zero(); NV];
        for (j, bs) in bs.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *bs = unsafe { s.load_ptr(b.add(j * at.b_vector)) };
        }
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let x = s.splat(unsafe { *a.add(i * at.a_row) });
            for (acc, &bs) in acc.iter_mut().zip(&bs) {
                *acc = s.mul_add(x, bs, *acc);
            }
        }
        a = a.wrapping_add(at.a_step);
        b = b.wrapping_add(at.b_step);
    }
    for (i, acc) in acc.into_iter().enumerate() {
        for (j, v) in acc.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { s.store_ptr(c.add(i * at.c_row + j * at.c_vector), v) };
        }
    }
}

/// [`ROWS_TOGETHER`] rows: at once where there are 32 registers, else in two halves.
///
/// # Safety
/// As [`block`], for [`ROWS_TOGETHER`] rows.
#[inline(always)]
unsafe fn rows<S: Simd, const NV: usize, const ADD: bool>(
    s: S,
    at: Steps,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
) {
    // SAFETY: the caller's promise; four rows on are inside the group.
    unsafe {
        if S::LANES == 16 {
            block::<S, 8, NV, ADD>(s, at, a, b, c);
        } else {
            block::<S, 4, NV, ADD>(s, at, a, b, c);
            block::<S, 4, NV, ADD>(s, at, a.add(4 * at.a_row), b, c.add(4 * at.c_row));
        }
    }
}

/// `c[i, j] = Σ_p a[i, p]·b[j, p]` for `m` rows of `a` and all rows of `b`, which lies in panels of `[k, 16]`.
///
/// `a` and `c` are given with the distance between their rows.
#[inline(always)]
#[track_caller]
pub fn by_panels<S: Simd>(
    s: S,
    (m, k): (usize, usize),
    (a, a_row): (&[f32], usize),
    b: &[f32],
    (c, c_row): (&mut [f32], usize),
) {
    let n = b.len() / k.max(1);
    assert!(m.is_multiple_of(ROWS_TOGETHER) && n.is_multiple_of(PANEL) && b.len() == n * k);
    if m == 0 || n == 0 {
        return;
    }
    assert!(spans(a, (m, a_row), k) && spans(c, (m, c_row), n));
    // Two vectors side by side: of two panels where a panel is one vector, else of one panel.
    let b_vector = if S::LANES == PANEL { PANEL * k } else { S::LANES };
    let at = Steps { depth: k, a_row, a_step: 1, b_vector, b_step: PANEL, c_row, c_vector: S::LANES };
    let mut j = 0;
    while j < n {
        let wide = j + 2 * S::LANES <= n;
        for i in (0..m).step_by(ROWS_TOGETHER) {
            // SAFETY: rows i..i + 8 are below m, columns j.. below n; the asserts say that a, b and c hold them.
            // Column j of b is lane j % 16 of panel j / 16.
            unsafe {
                let a = a.as_ptr().add(i * a_row);
                let b = b.as_ptr().add(j / PANEL * PANEL * k + j % PANEL);
                let c = c.as_mut_ptr().add(i * c_row + j);
                if wide {
                    rows::<S, 2, false>(s, at, a, b, c);
                } else {
                    rows::<S, 1, false>(s, at, a, b, c);
                }
            }
        }
        j += if wide { 2 } else { 1 } * S::LANES;
    }
}

/// `c[i, ..n] = Σ_p a[i, p]·b[p, ..n]` for `m` rows; `b` and `c` are contiguous, `a` has the distance between its rows.
#[inline(always)]
#[track_caller]
pub fn by_rows<S: Simd>(s: S, [m, n, k]: [usize; 3], (a, a_row): (&[f32], usize), b: &[f32], c: &mut [f32]) {
    assert!(m.is_multiple_of(ROWS_TOGETHER) && n.is_multiple_of(PANEL));
    if m == 0 || n == 0 {
        return;
    }
    assert!(spans(a, (m, a_row), k) && spans(b, (k, n), n) && spans(c, (m, n), n));
    let at =
        Steps { depth: k, a_row, a_step: 1, b_vector: S::LANES, b_step: n, c_row: n, c_vector: S::LANES };
    // SAFETY: the asserts say that the operands hold m, n and k.
    unsafe { over_columns::<S, false>(s, at, m, n, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
}

/// `c[j, ..n] += Σ_{p<k} a[p, j]·b[p, ..n]` for `m` columns `j` of `a`; `b` and `c` are contiguous.
#[inline(always)]
#[track_caller]
pub fn by_columns<S: Simd>(
    s: S,
    [m, n, k]: [usize; 3],
    (a, a_row): (&[f32], usize),
    b: &[f32],
    c: &mut [f32],
) {
    assert!(m.is_multiple_of(ROWS_TOGETHER) && n.is_multiple_of(PANEL));
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(spans(a, (k, a_row), m) && spans(b, (k, n), n) && spans(c, (m, n), n));
    let at = Steps {
        depth: k,
        a_row: 1,
        a_step: a_row,
        b_vector: S::LANES,
        b_step: n,
        c_row: n,
        c_vector: S::LANES,
    };
    // SAFETY: the asserts say that the operands hold m, n and k.
    unsafe { over_columns::<S, true>(s, at, m, n, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
}

/// # Safety
/// `m` rows and `n` columns of `c`, and what they are made of, lie inside the operands.
#[inline(always)]
unsafe fn over_columns<S: Simd, const ADD: bool>(
    s: S,
    at: Steps,
    m: usize,
    n: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
) {
    let mut j = 0;
    while j < n {
        let wide = j + 2 * S::LANES <= n;
        for i in (0..m).step_by(ROWS_TOGETHER) {
            // SAFETY: rows i..i + 8 < m, columns j.. < n.
            unsafe {
                let (a, b, c) = (a.add(i * at.a_row), b.add(j), c.add(i * at.c_row + j));
                if wide {
                    rows::<S, 2, ADD>(s, at, a, b, c);
                } else {
                    rows::<S, 1, ADD>(s, at, a, b, c);
                }
            }
        }
        j += if wide { 2 } else { 1 } * S::LANES;
    }
}

/// Transposes 16 rows of `k` numbers, `stride` apart, into a panel `[k, 16]`.
#[inline(always)]
#[track_caller]
pub fn pack_panel<S: Simd>(s: S, k: usize, (rows, stride): (&[f32], usize), panel: &mut [f32]) {
    assert!(spans(rows, (PANEL, stride), k) && spans(panel, (k, PANEL), PANEL));
    let whole = k - k % S::LANES;
    for r in (0..PANEL).step_by(S::LANES) {
        for p in (0..whole).step_by(S::LANES) {
            // SAFETY: rows r..r + LANES ≤ 16, columns p..p + LANES ≤ k; the asserts say that both blocks are there.
            unsafe {
                let to = panel.as_mut_ptr().add(p * PANEL + r);
                s.transpose(rows.as_ptr().add(r * stride + p), stride, to, PANEL);
            }
        }
    }
    for p in whole..k {
        for r in 0..PANEL {
            panel[p * PANEL + r] = rows[r * stride + p];
        }
    }
}
