//! Rounding operands to `bf16` and laying them out for [`micro`](super::micro): a `u32` holds two neighbours along `k`,
//! the earlier one in its lower half. Behind an odd end stands a zero.

use core::ops::Range;

use super::available::available;
use super::micro::{COLUMNS, ROW_STRIDE, ROWS, Rounded};
use crate::simd::kernel;
use crate::{Bf16, Element, View};

/// The left operand.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    from: View<'a>,
    transposed: bool,
}

impl<'a> Left<'a> {
    /// `[m, k]`.
    pub(super) fn by_rows(from: View<'a>) -> Self {
        Self { from, transposed: false }
    }

    /// `[k, m]`.
    pub(super) fn by_columns(from: View<'a>) -> Self {
        Self { from, transposed: true }
    }

    fn group_stride(&self, pairs: usize) -> usize {
        if self.transposed { pairs * ROWS + 16 } else { ROWS * ROW_STRIDE }
    }

    /// Numbers that a block of `rows` rows takes, `depth` deep.
    pub(super) fn block_len(&self, rows: usize, depth: usize) -> usize {
        rows.div_ceil(ROWS) * self.group_stride(depth / 2)
    }

    /// Rounds a block. Rows beyond the last, up to a whole group, keep what `to` held.
    pub(super) fn pack<'b>(&self, rows: Range<usize>, pairs: Range<usize>, to: &'b mut [u32]) -> Rounded<'b> {
        let group = self.group_stride(pairs.len());
        let k = if self.transposed { self.from.rows() } else { self.from.cols() };
        let depth = 2 * pairs.start..k.min(2 * pairs.end);
        if self.transposed {
            let band = self.from.columns(rows);
            for (p, first) in depth.clone().step_by(2).enumerate() {
                let odd = (first + 1 < depth.end).then(|| band.row(first + 1));
                round_beside(band.row(first), odd, &mut to[p * ROWS..], (ROWS, group));
            }
        } else {
            for (i, row) in rows.enumerate() {
                let at = i * ROW_STRIDE;
                round_along(&self.from.row(row)[depth.clone()], &mut to[at..at + pairs.len()]);
            }
        }
        Rounded { pairs: to, group, by_rows: !self.transposed, count: pairs.len() }
    }
}

/// The right operand.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    from: View<'a>,
    transposed: bool,
}

impl<'a> Right<'a> {
    /// `[k, n]`.
    pub(super) fn by_rows(from: View<'a>) -> Self {
        Self { from, transposed: false }
    }

    /// `[n, k]`.
    pub(super) fn by_columns(from: View<'a>) -> Self {
        Self { from, transposed: true }
    }

    /// From one packed panel to the next. The two lines between them keep panels of a round depth, which are written
    /// side by side, out of one cache set.
    pub(super) fn panel_stride(pairs: usize) -> usize {
        COLUMNS * (pairs + 1)
    }

    /// Rounds the columns from `first` on, as many panels of [`COLUMNS`] as `to` has: each is `[pairs, COLUMNS]`, with
    /// zeros beyond the last column.
    pub(super) fn pack(&self, first: usize, pairs: usize, to: &mut [u32]) {
        let n = if self.transposed { self.from.rows() } else { self.from.cols() };
        let panel = Self::panel_stride(pairs);
        let columns = first..n.min(first + to.len() / panel * COLUMNS);
        if self.transposed {
            for (i, to) in to.chunks_exact_mut(panel).enumerate() {
                let start = first + i * COLUMNS;
                self.pack_transposed(start..columns.end.min(start + COLUMNS), &mut to[..pairs * COLUMNS]);
            }
            return;
        }
        let whole = columns.len() / COLUMNS * panel;
        to[whole..].fill(0);
        let band = self.from.columns(columns);
        for p in 0..pairs {
            let even = band.row(2 * p);
            let odd = (2 * p + 1 < band.rows()).then(|| band.row(2 * p + 1));
            for (i, even) in even.chunks(COLUMNS).enumerate() {
                let odd = odd.map(|odd| &odd[i * COLUMNS..][..even.len()]);
                round_beside(even, odd, &mut to[i * panel + p * COLUMNS..], (16, 16));
            }
        }
    }

    fn pack_transposed(&self, columns: Range<usize>, to: &mut [u32]) {
        const STEP: usize = 16;
        let band = self.from.rows_range(columns);
        let k = band.cols();
        let mut along = [[0_u32; STEP]; COLUMNS];
        // Columns that are missing stay zero.
        for (s, to) in to.chunks_mut(STEP * COLUMNS).enumerate() {
            let depth = 2 * STEP * s..k.min(2 * STEP * (s + 1));
            for (j, along) in along.iter_mut().enumerate().take(band.rows()) {
                let pairs = depth.len().div_ceil(2);
                round_along(&band.row(j)[depth.clone()], &mut along[..pairs]);
            }
            turn(&along, to);
        }
    }
}

kernel! {
    /// `to[p][j] = from[j][p]`, as many `p` as `to` has.
    Turn: fn turn<'k>(from: &'k [[u32; 16]; COLUMNS], to: &'k mut [u32]) = |s| {
        if S::LANES == 16 && to.len() == 16 * COLUMNS {
            for half in 0..COLUMNS / 16 {
                // SAFETY: 16 x 16 numbers of `from` at its stride of 16; the same of `to`, which was checked to hold 16
                // rows of COLUMNS. The transpose moves bits and computes nothing.
                unsafe {
                    let from = from[16 * half].as_ptr().cast();
                    s.transpose(from, 16, to.as_mut_ptr().add(16 * half).cast(), COLUMNS);
                }
            }
        } else {
            for (p, to) in to.chunks_exact_mut(COLUMNS).enumerate() {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from[p];
                }
            }
        }
    }
}

/// Rounds neighbours of one row to pairs: `to[p] = (x[2p], x[2p+1])`.
fn round_along(x: &[f32], to: &mut [u32]) {
    assert!(to.len() == x.len().div_ceil(2) || x.is_empty());
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the instructions were found; the lengths were compared.
        return unsafe { x86::round_along(x, to) };
    }
    for (to, pair) in to.iter_mut().zip(x.chunks(2)) {
        *to = pair_of(pair[0], pair.get(1).copied().unwrap_or(0.0));
    }
}

/// Rounds two rows to pairs `(even[j], odd[j])`, zeros for a missing row, in groups of `width ≤ 16` columns: column
/// `j` goes to `(j / width)·apart + j % width`. Up to sixteen numbers from a group's start may be overwritten: groups
/// are filled in order of `k`.
fn round_beside(even: &[f32], odd: Option<&[f32]>, to: &mut [u32], (width, apart): (usize, usize)) {
    let n = even.len();
    let end = if n == 0 { 0 } else { (n - 1) / width * apart + (n - 1) % width + 1 };
    assert!((1..=16).contains(&width) && to.len() >= end && odd.is_none_or(|odd| odd.len() == n));
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the instructions were found; the lengths were compared.
        return unsafe { x86::round_beside(even, odd, to, (width, apart)) };
    }
    for (j, &even) in even.iter().enumerate() {
        to[j / width * apart + j % width] = pair_of(even, odd.map_or(0.0, |odd| odd[j]));
    }
}

fn pair_of(even: f32, odd: f32) -> u32 {
    u32::from(round(even)) | u32::from(round(odd)) << 16
}

/// The nearest `bf16`, ties to even; numbers too small for a normal `f32` become zero, NaN stays NaN.
pub(super) fn round(x: f32) -> u16 {
    Bf16::of(if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }).bits()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[allow(clippy::wildcard_imports, reason = "an instruction set is imported as a whole")]
    use core::arch::x86_64::*;
    use core::mem::transmute;

    /// # Safety
    /// The instructions must exist; `to` holds half as many numbers as `x`, rounded up.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub(super) unsafe fn round_along(x: &[f32], to: &mut [u32]) {
        for (s, to) in to.chunks_mut(16).enumerate() {
            let x = &x[32 * s..];
            // SAFETY: masked lanes are not accessed; the others are inside the slices.
            unsafe {
                let low = _mm512_maskz_loadu_ps(first(x.len().min(16)), x.as_ptr());
                let rest = x.len().saturating_sub(16).min(16);
                let high = _mm512_maskz_loadu_ps(first(rest), x.as_ptr().wrapping_add(16));
                let pairs: __m512i = transmute(_mm512_cvtne2ps_pbh(high, low));
                _mm512_mask_storeu_epi32(to.as_mut_ptr().cast(), first(to.len()), pairs);
            }
        }
    }

    /// Word 2j from the lower half, word 2j + 1 from the upper.
    static ALTERNATE: [u16; 32] = {
        let (mut order, mut j) = ([0; 32], 0);
        while j < 32 {
            order[j] = (j / 2 + j % 2 * 16) as u16;
            j += 1;
        }
        order
    };

    /// # Safety
    /// The instructions must exist; `odd` is as long as `even`; `to` holds every group of `width ≤ 16` columns at its
    /// place.
    // Whole vectors where there is room: stores under a mask are slow.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub(super) unsafe fn round_beside(
        even: &[f32],
        odd: Option<&[f32]>,
        to: &mut [u32],
        (width, apart): (usize, usize),
    ) {
        let n = even.len();
        let missing = [0.0; 16];
        // A missing row is read as zeros, again and again.
        let (odd, step) = odd.map_or((missing.as_ptr(), 0), |odd| (odd.as_ptr(), width));
        let groups = n.div_ceil(width);
        // SAFETY: masked lanes are not accessed; the others are inside the slices.
        unsafe {
            let order = _mm512_loadu_si512(ALTERNATE.as_ptr().cast());
            for g in 0..groups {
                let count = if g * apart + 16 <= to.len() { 16 } else { width };
                let mask = first(count.min(n - g * width));
                let low = _mm512_maskz_loadu_ps(mask, even.as_ptr().add(g * width));
                let high = _mm512_maskz_loadu_ps(mask, odd.add(g * step));
                let halves: __m512i = transmute(_mm512_cvtne2ps_pbh(high, low));
                let pairs = _mm512_permutexvar_epi16(order, halves);
                let at = to.as_mut_ptr().add(g * apart);
                if count == 16 {
                    _mm512_storeu_si512(at.cast(), pairs);
                } else {
                    _mm512_mask_storeu_epi32(at.cast(), mask, pairs);
                }
            }
        }
    }

    /// The lanes below `count`, at most 16.
    #[inline(always)]
    fn first(count: usize) -> __mmask16 {
        ((1_u32 << count) - 1) as __mmask16
    }
}

#[cfg(test)]
mod tests {
    use super::{pair_of, round, round_along, round_beside};

    /// Ordinary numbers, ties, the largest, and all that is not a normal number.
    fn strange() -> Vec<f32> {
        let mut x = vec![0.0, -0.0, 1.0, f32::MAX, f32::MIN_POSITIVE, 1e-40, -1e-40, f32::INFINITY, f32::NAN];
        x.extend([0x3f80_8000_u32, 0x3f81_8000, 0x3f80_8001, 0xbf80_7fff].map(f32::from_bits));
        x.extend((0..38).map(|i| (i as f32 - 20.3) * 0.7));
        x
    }

    #[test]
    fn ties_go_to_the_even_neighbour_and_nan_stays_nan() {
        assert_eq!(round(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(round(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(round(f32::MAX), round(f32::INFINITY));
        assert_eq!(round(-1e-40), 0x8000);
        assert!(f32::from_bits(u32::from(round(f32::NAN)) << 16).is_nan());
    }

    #[test]
    fn instructions_round_as_the_definition() {
        let x = strange();
        for len in 1..=x.len() {
            let x = &x[..len];
            let mut along = vec![7; len.div_ceil(2)];
            round_along(x, &mut along);
            let pairs = x.chunks(2).map(|p| pair_of(p[0], p.get(1).copied().unwrap_or(0.0)));
            assert_eq!(along, pairs.collect::<Vec<_>>(), "along, {len}");
            let odd: Vec<f32> = x.iter().rev().copied().collect();
            for odd in [Some(&odd[..]), None] {
                for (width, apart) in [(16, 16), (12, 20)] {
                    let mut beside = vec![7; len.div_ceil(width) * apart];
                    round_beside(x, odd, &mut beside, (width, apart));
                    for j in 0..len {
                        let expected = pair_of(x[j], odd.map_or(0.0, |odd| odd[j]));
                        assert_eq!(beside[j / width * apart + j % width], expected, "beside, {j} of {len}");
                    }
                }
            }
        }
    }
}
