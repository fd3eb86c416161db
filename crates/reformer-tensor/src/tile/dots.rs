//! Few rows times many rows: `c[i, j] = Σ_p a[i, p] b[j, p]` for a handful of `i`, as in a step of decoding.
//!
//! Each number of `b` (the weights, `[out, in]`) is wanted `m` times only, so nothing is packed and nothing transposed:
//! `b` streams through once, four of its rows at a time against up to four of `a`, sixteen dot products in registers.
//! `b` may be kept in `bf16`; it is widened on the way.
//!
//! A number of `c` is summed in the same order whatever stands in the other rows and columns, so the bits of a row do
//! not depend on how many rows there are.

use core::marker::PhantomData;

use crate::simd::{Kernel, Simd};
use crate::{Element, View};

/// Rows of `b` at a time.
const WIDE: usize = 4;

/// The product of few rows with the transpose of many.
pub(crate) struct Dots<'a, E> {
    a: View<'a>,
    b: View<'a, E>,
    c: *mut f32,
    c_stride: usize,
    add: bool,
    borrowed: PhantomData<&'a mut [f32]>,
}

impl<'a, E: Element> Dots<'a, E> {
    /// # Safety
    /// `a` and `b` have equally many columns; `c` is `a.rows()` rows of `b.rows()` floats, `stride` apart, borrowed
    /// exclusively until the kernel has run.
    pub(crate) unsafe fn new(
        a: View<'a>,
        b: View<'a, E>,
        (c, c_stride): (*mut f32, usize),
        add: bool,
    ) -> Self {
        Self { a, b, c, c_stride, add, borrowed: PhantomData }
    }

    /// Rows `i..i + M` of `a` against rows `j..j + N` of `b`. The first block of a column asks for the next column: rows
    /// are too short for the processor to see the stream by itself.
    #[inline(always)]
    fn block<S: Simd, const M: usize, const N: usize>(&self, s: S, i: usize, j: usize) {
        let k = self.a.cols();
        let (first, ahead) = (i == 0, N * self.b.stride());
        let a: [&[f32]; M] = core::array::from_fn(|r| self.a.row(i + r));
        let b: [&[E]; N] = core::array::from_fn(|r| self.b.row(j + r));
        let mut acc = [[s.zero(); N]; M];
        let whole = k - k % S::LANES;
        let mut p = 0;
        while p < whole {
            let mut bs = [s.zero(); N];
            for (v, b) in bs.iter_mut().zip(&b) {
                if first {
                    s.prefetch(b.as_ptr().wrapping_add(p + ahead).cast());
                }
                // SAFETY: p + LANES <= k, the length of each row.
                *v = unsafe { E::load(s, b.as_ptr().add(p)) };
            }
            for (acc, a) in acc.iter_mut().zip(&a) {
                // SAFETY: as above.
                let x = unsafe { s.load_ptr(a.as_ptr().add(p)) };
                for (acc, &v) in acc.iter_mut().zip(&bs) {
                    *acc = s.mul_add(x, v, *acc);
                }
            }
            p += S::LANES;
        }
        if whole < k {
            let mut bs = [s.zero(); N];
            for (v, b) in bs.iter_mut().zip(&b) {
                // SAFETY: k − whole < LANES numbers are left.
                *v = unsafe { E::load_part(s, b.as_ptr().add(whole), k - whole) };
            }
            for (acc, a) in acc.iter_mut().zip(&a) {
                let x = s.load_part(&a[whole..], s.zero());
                for (acc, &v) in acc.iter_mut().zip(&bs) {
                    *acc = s.mul_add(x, v, *acc);
                }
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            // Always four, so that the order of adding up is one and the same.
            let mut four = [s.zero(); WIDE];
            four[..N].copy_from_slice(&acc);
            for (q, sum) in s.sums(four).into_iter().enumerate().take(N) {
                // SAFETY: entry (i + r, j + q) of `c`.
                unsafe {
                    let at = self.c.add((i + r) * self.c_stride + j + q);
                    *at = if self.add { *at + sum } else { sum };
                }
            }
        }
    }

    #[inline(always)]
    fn column<S: Simd, const N: usize>(&self, s: S, j: usize) {
        let m = self.a.rows();
        let mut i = 0;
        while i + 4 <= m {
            self.block::<S, 4, N>(s, i, j);
            i += 4;
        }
        match m - i {
            3 => self.block::<S, 3, N>(s, i, j),
            2 => self.block::<S, 2, N>(s, i, j),
            1 => self.block::<S, 1, N>(s, i, j),
            _ => {}
        }
    }
}

impl<E: Element> Kernel for Dots<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n = self.b.rows();
        let whole = n - n % WIDE;
        for j in (0..whole).step_by(WIDE) {
            self.column::<S, WIDE>(s, j);
        }
        for j in whole..n {
            self.column::<S, 1>(s, j);
        }
    }
}
