//! The register block: 12 rows and 32 columns of `c` stay in 24 registers while `k` runs.

use super::available::available;
use crate::ViewMut;

/// Depth of a block of `a` and of a panel of `b` that stay in the caches.
pub(super) const BLOCK_DEPTH: usize = 512;
/// Pairs of a row of `a`, packed by rows; the additional line keeps rows of a block out of one cache set.
pub(super) const ROW_STRIDE: usize = BLOCK_DEPTH / 2 + 16;
/// Rows of a block.
pub(super) const ROWS: usize = 12;
/// Columns of a block: two vectors.
pub(super) const COLUMNS: usize = 32;

/// Rows of `a`, rounded: groups of [`ROWS`] rows, `group` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Rounded<'a> {
    pub(super) pairs: &'a [u32],
    pub(super) group: usize,
    /// `[row][pair]` with [`ROW_STRIDE`] between rows, else `[pair][ROWS]`.
    pub(super) by_rows: bool,
    /// Pairs of a row.
    pub(super) count: usize,
}

/// One panel of packed `b` against all rows of a block of `a`.
#[derive(Clone, Copy)]
pub(super) struct Micro<'a> {
    pub(super) a: Rounded<'a>,
    /// `[pairs, COLUMNS]`.
    pub(super) b: &'a [u32],
    pub(super) add: bool,
}

impl Micro<'_> {
    /// `c (+)= a·b`; `c` has at most [`COLUMNS`] columns.
    pub(super) fn run(self, mut c: ViewMut<'_>) {
        let Rounded { pairs, group, by_rows, count } = self.a;
        let groups = c.rows().div_ceil(ROWS);
        let row = if by_rows { (ROWS - 1) * ROW_STRIDE + count } else { ROWS * count };
        assert!(c.cols() <= COLUMNS && self.b.len() >= count * COLUMNS);
        assert!(groups == 0 || pairs.len() >= (groups - 1) * group + row);
        #[cfg(target_arch = "x86_64")]
        {
            assert!(available());
            let (stride, cols) = (c.stride(), c.cols());
            for g in 0..groups {
                let rows = ROWS.min(c.rows() - g * ROWS);
                // SAFETY: the instructions exist; group g of `a` and all of `b` are inside the slices; rows and
                // columns are inside `c`.
                unsafe {
                    let to = x86::Tile { at: c.as_mut_ptr().add(g * ROWS * stride), stride, rows, cols };
                    let a = pairs.as_ptr().add(g * group);
                    if by_rows {
                        x86::block::<ROW_STRIDE, 1>(a, self.b.as_ptr(), count, to, self.add);
                    } else {
                        x86::block::<1, ROWS>(a, self.b.as_ptr(), count, to, self.add);
                    }
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = (c.reborrow(), self.add);
            unreachable!("no bf16 products on this machine");
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[allow(clippy::wildcard_imports, reason = "an instruction set is imported as a whole")]
    use core::arch::x86_64::*;
    use core::mem::transmute;

    use super::{COLUMNS, ROWS};

    /// Where a block of `c` goes.
    #[derive(Clone, Copy)]
    pub(super) struct Tile {
        pub(super) at: *mut f32,
        pub(super) stride: usize,
        pub(super) rows: usize,
        pub(super) cols: usize,
    }

    /// Entry (i, p) of `a` lies at `i·ROW + p·PAIR`.
    ///
    /// # Safety
    /// The instructions must exist; `a` holds [`ROWS`] rows of `pairs`, `b` `[pairs, COLUMNS]`; the tile is writable
    /// and has at most [`ROWS`] rows and [`COLUMNS`] columns.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn block<const ROW: usize, const PAIR: usize>(
        a: *const u32,
        b: *const u32,
        pairs: usize,
        to: Tile,
        add: bool,
    ) {
        let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
        // The block of `c` is wanted at the end, when `k` has run: asked for now, it is there.
        for i in 0..to.rows {
            let row = to.at.wrapping_add(i * to.stride);
            _mm_prefetch::<_MM_HINT_T0>(row.cast());
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(to.cols - 1).cast());
        }
        // SAFETY: as the caller promises; masked lanes are not accessed.
        unsafe {
            for p in 0..pairs {
                let b = b.add(p * COLUMNS);
                let columns: [__m512bh; 2] = [
                    transmute::<__m512i, __m512bh>(_mm512_loadu_si512(b.cast())),
                    transmute::<__m512i, __m512bh>(_mm512_loadu_si512(b.add(16).cast())),
                ];
                let a = a.add(p * PAIR);
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x: __m512bh = transmute(_mm512_set1_epi32(*a.add(i * ROW).cast()));
                    acc[0] = _mm512_dpbf16_ps(acc[0], x, columns[0]);
                    acc[1] = _mm512_dpbf16_ps(acc[1], x, columns[1]);
                }
            }
            let masks = [0, 16].map(|start| {
                let count = to.cols.saturating_sub(start).min(16);
                ((1_u32 << count) - 1) as __mmask16
            });
            for (i, acc) in acc.into_iter().enumerate().take(to.rows) {
                for (half, (mut sum, mask)) in acc.into_iter().zip(masks).enumerate() {
                    let at = to.at.wrapping_add(i * to.stride + 16 * half);
                    if add {
                        sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, at), sum);
                    }
                    _mm512_mask_storeu_ps(at, mask, sum);
                }
            }
        }
    }
}
