//! The register-blocked product behind [`tile`](super) and behind small and flat matrix products.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::View;
use crate::simd::{Kernel, Simd};

/// Floats of a packed panel: 32 KiB, the first cache of most processors.
const PACKED: usize = 8 * 1024;

/// Rows of `b` further apart than this are packed even if in order: their lines fall into the same few cache sets.
const FAR: usize = 256;

/// An operand as a matrix read with any two strides: entry `(i, j)` lies at `start + i·row + j·col`.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    start: *const f32,
    row: usize,
    col: usize,
    borrowed: PhantomData<&'a [f32]>,
}

impl<'a> Operand<'a> {
    /// A row-major matrix of `cols` columns.
    pub(crate) fn rows(data: &'a [f32], cols: usize) -> Self {
        Self { start: data.as_ptr(), row: cols, col: 1, borrowed: PhantomData }
    }

    /// The transpose of a row-major matrix of `cols` columns.
    pub(crate) fn columns(data: &'a [f32], cols: usize) -> Self {
        Self { row: 1, col: cols, ..Self::rows(data, cols) }
    }

    /// A view.
    pub(crate) fn view(view: View<'a>) -> Self {
        Self { start: view.as_ptr(), row: view.stride(), col: 1, borrowed: PhantomData }
    }

    /// The transpose of a view.
    pub(crate) fn transposed(view: View<'a>) -> Self {
        Self { row: 1, col: view.stride(), ..Self::view(view) }
    }

    pub(crate) fn parts(self) -> (*const f32, usize, usize) {
        (self.start, self.row, self.col)
    }
}

/// One product of blocks, `c (+)= a·b`.
pub(crate) struct BlockProduct<'a> {
    shape: [usize; 3],
    a: Operand<'a>,
    b: Operand<'a>,
    c: *mut f32,
    c_stride: usize,
    add: bool,
}

impl<'a> BlockProduct<'a> {
    /// `shape = [m, n, k]`.
    ///
    /// # Safety
    /// `a` spans `[m, k]`, `b` `[k, n]`, and `c` is `m` rows of `n` floats, `stride` apart, borrowed exclusively
    /// until the kernel has run. (`b` has a unit stride in one direction, or the result is wrong.)
    pub(crate) unsafe fn new(
        shape: [usize; 3],
        a: Operand<'a>,
        b: Operand<'a>,
        (c, c_stride): (*mut f32, usize),
        add: bool,
    ) -> Self {
        debug_assert!(b.row == 1 || b.col == 1);
        Self { shape, a, b, c, c_stride, add }
    }
}

impl Kernel for BlockProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [m, n, k] = self.shape;
        if k == 0 && !self.add {
            for i in 0..m {
                for j in 0..n {
                    // SAFETY: entry (i, j) of `c`.
                    unsafe { *self.c.add(i * self.c_stride + j) = 0.0 }
                }
            }
        }
        // One or two rows reuse nothing of `b`: long runs of each of its rows instead of a narrow panel.
        let width = if m <= 2 && self.b.col == 1 { 8 } else { 2 };
        let columns = width * S::LANES;
        let mut scratch = Scratch::new();
        for first in (0..n).step_by(columns) {
            let count = columns.min(n - first);
            let depth = PACKED / columns;
            let pack = self.b.col != 1 || count < columns || (self.b.row > FAR && m > 2 * S::TILE_ROWS);
            let step = if pack { depth } else { k.max(1) };
            for p in (0..k).step_by(step) {
                let part = step.min(k - p);
                // SAFETY: row p and column `first` are inside `b`.
                let start = unsafe { self.b.start.add(p * self.b.row + first * self.b.col) };
                let (b, b_row) = if pack {
                    // SAFETY: `part` rows and `count` columns from `start` are inside `b`; the panel fits the scratch.
                    unsafe { pack_panel(s, start, self.b, (part, count, columns), scratch.start()) };
                    (scratch.start().cast_const(), columns)
                } else {
                    (start, self.b.row)
                };
                let panel = Panel {
                    k: part,
                    // SAFETY: column p of `a`, which has k > p columns.
                    a: unsafe { self.a.start.add(p * self.a.col) },
                    a_row: self.a.row,
                    a_col: self.a.col,
                    b,
                    b_row,
                    // SAFETY: column `first` of `c`, which has n > first columns.
                    c: unsafe { self.c.add(first) },
                    c_row: self.c_stride,
                    columns: count,
                    add: self.add || p > 0,
                };
                // SAFETY: the panel describes rows and columns inside the three operands.
                unsafe {
                    if width == 8 {
                        panel.rows_of_eight(s, m);
                    } else if count <= S::LANES {
                        panel.rows::<S, 1>(s, m);
                    } else {
                        panel.rows::<S, 2>(s, m);
                    }
                }
            }
        }
    }
}

/// A packed panel's memory, on the stack: 32 KiB, a sixty-fourth of the smallest default stack.
#[repr(C, align(64))]
struct Scratch([MaybeUninit<f32>; PACKED]);

impl Scratch {
    #[allow(clippy::large_stack_arrays, reason = "uninitialised, and a tile asks no allocator")]
    #[inline(always)]
    fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; PACKED])
    }

    #[inline(always)]
    fn start(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// Copies `rows × columns` numbers of `b` to a panel whose rows are `width` floats, filled up with zeros.
///
/// # Safety
/// The block at `from` must be readable with `b`'s strides and `rows · width` floats writable at `to`.
#[inline(always)]
unsafe fn pack_panel<S: Simd>(
    s: S,
    from: *const f32,
    b: Operand<'_>,
    (rows, columns, width): (usize, usize, usize),
    to: *mut f32,
) {
    let lanes = S::LANES;
    // SAFETY: every access below is to row < rows, column < columns of the block, or to row < rows, column < width of
    // the panel.
    unsafe {
        if b.col == 1 {
            for p in 0..rows {
                for j in (0..width).step_by(lanes) {
                    let at = from.add(p * b.row + j);
                    let v = if j + lanes <= columns {
                        s.load_ptr(at)
                    } else if j < columns {
                        s.load_part_ptr(at, columns - j, s.zero())
                    } else {
                        s.zero()
                    };
                    s.store_ptr(to.add(p * width + j), v);
                }
            }
            return;
        }
        let whole = rows - rows % lanes;
        for j in (0..width).step_by(lanes) {
            if j + lanes > columns {
                // A ragged group of columns: one by one, zeros first.
                for p in 0..rows {
                    s.store_ptr(to.add(p * width + j), s.zero());
                }
                for c in j..columns {
                    for p in 0..rows {
                        *to.add(p * width + c) = *from.add(p + c * b.col);
                    }
                }
                continue;
            }
            for p in (0..whole).step_by(lanes) {
                s.transpose(from.add(p + j * b.col), b.col, to.add(p * width + j), width);
            }
            for p in whole..rows {
                for c in j..j + lanes {
                    *to.add(p * width + c) = *from.add(p + c * b.col);
                }
            }
        }
    }
}

/// The part of a product that one panel of `b` contributes.
#[derive(Clone, Copy)]
struct Panel {
    k: usize,
    a: *const f32,
    a_row: usize,
    a_col: usize,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    columns: usize,
    add: bool,
}

impl Panel {
    /// # Safety
    /// `m` rows of `a` and `c`.
    #[inline(always)]
    unsafe fn rows<S: Simd, const NV: usize>(self, s: S, m: usize) {
        let mut i = 0;
        // SAFETY: rows i.. of `a` and `c` below m.
        unsafe {
            while i + S::TILE_ROWS <= m {
                let panel = self.at_row(i);
                match S::TILE_ROWS {
                    8 => panel.micro::<S, 8, NV>(s),
                    6 => panel.micro::<S, 6, NV>(s),
                    _ => panel.micro::<S, 4, NV>(s),
                }
                i += S::TILE_ROWS;
            }
            // What is left by powers of two: a block for every remainder would double the code.
            if i + 4 <= m {
                self.at_row(i).micro::<S, 4, NV>(s);
                i += 4;
            }
            if i + 2 <= m {
                self.at_row(i).micro::<S, 2, NV>(s);
                i += 2;
            }
            if i < m {
                self.at_row(i).micro::<S, 1, NV>(s);
            }
        }
    }

    /// # Safety
    /// `m` rows of `a` and `c`.
    #[inline(always)]
    unsafe fn rows_of_eight<S: Simd>(self, s: S, m: usize) {
        for i in 0..m {
            // SAFETY: row i of `a` and `c`.
            unsafe { self.at_row(i).micro::<S, 1, 8>(s) }
        }
    }

    #[inline(always)]
    fn at_row(self, i: usize) -> Self {
        Self { a: self.a.wrapping_add(i * self.a_row), c: self.c.wrapping_add(i * self.c_row), ..self }
    }

    /// `MR` rows and `NV` vectors of `c`, in registers from the first product to the last.
    ///
    /// # Safety
    /// `MR` rows of `a` and `c`; `k` rows of `NV` vectors of `b`.
    #[inline(always)]
    unsafe fn micro<S: Simd, const MR: usize, const NV: usize>(self, s: S) {
        let mut acc = [[s.zero(); NV]; MR];
        let (mut a, mut b) = (self.a, self.b);
        for _ in 0..self.k {
            let mut bs = [s.zero(); NV];
            for (j, bs) in bs.iter_mut().enumerate() {
                // SAFETY: vector j of a row of the panel.
                *bs = unsafe { s.load_ptr(b.add(j * S::LANES)) };
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: row i < MR of the current column of `a`.
                let x = s.splat(unsafe { *a.add(i * self.a_row) });
                for (acc, &bs) in acc.iter_mut().zip(&bs) {
                    *acc = s.mul_add(x, bs, *acc);
                }
            }
            a = a.wrapping_add(self.a_col);
            b = b.wrapping_add(self.b_row);
        }
        for (i, acc) in acc.into_iter().enumerate() {
            for (j, v) in acc.into_iter().enumerate() {
                let first = j * S::LANES;
                let count = self.columns.saturating_sub(first);
                // SAFETY: column `first` of row i < MR of `c`; no more than `count` columns are accessed.
                unsafe {
                    let at = self.c.add(i * self.c_row + first.min(self.columns));
                    if count >= S::LANES {
                        let v = if self.add { s.add(s.load_ptr(at), v) } else { v };
                        s.store_ptr(at, v);
                    } else if count > 0 {
                        let v = if self.add { s.add(s.load_part_ptr(at, count, s.zero()), v) } else { v };
                        s.store_part_ptr(at, count, v);
                    }
                }
            }
        }
    }
}
