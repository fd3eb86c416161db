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
/// Bytes that a single row's stream is asked for in advance.
const AHEAD: usize = 4096;

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

    /// `acc += a[.., p..p + LANES]·b[.., p..p + LANES]`, lane by lane. The first block of a column asks for what comes
    /// `ahead`: rows are too short for the processor to see the stream by itself.
    ///
    /// # Safety
    /// p + LANES numbers are in every row.
    #[inline(always)]
    unsafe fn fold<S: Simd, const M: usize, const N: usize>(
        s: S,
        acc: &mut [[S::V; N]; M],
        (a, b): (&[&[f32]; M], &[&[E]; N]),
        p: usize,
        ahead: Option<usize>,
    ) {
        let mut bs = [s.zero(); N];
        for (v, b) in bs.iter_mut().zip(b) {
            if let Some(ahead) = ahead {
                s.prefetch(b.as_ptr().wrapping_add(p + ahead).cast());
            }
            // SAFETY: the caller's promise.
            *v = unsafe { E::load(s, b.as_ptr().add(p)) };
        }
        for (acc, a) in acc.iter_mut().zip(a) {
            // SAFETY: the caller's promise.
            let x = unsafe { s.load_ptr(a.as_ptr().add(p)) };
            for (acc, &v) in acc.iter_mut().zip(&bs) {
                *acc = s.mul_add(x, v, *acc);
            }
        }
    }

    /// Rows `i..i + M` of `a` against rows `j..j + N` of `b`, the lanes not yet added up.
    #[inline(always)]
    fn lanes<S: Simd, const M: usize, const N: usize>(&self, s: S, i: usize, j: usize) -> [[S::V; N]; M] {
        let k = self.a.cols();
        let a: [&[f32]; M] = core::array::from_fn(|r| self.a.row(i + r));
        let b: [&[E]; N] = core::array::from_fn(|r| self.b.row(j + r));
        let ahead = (i == 0).then(|| if N == 1 { AHEAD / size_of::<E>() } else { N * self.b.stride() });
        let mut acc = [[s.zero(); N]; M];
        let whole = k - k % S::LANES;
        for p in (0..whole).step_by(S::LANES) {
            // SAFETY: p + LANES <= k, the length of each row.
            unsafe { Self::fold(s, &mut acc, (&a, &b), p, ahead) };
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
        acc
    }

    /// Adds up lanes and writes entries `(i + r, j..j + N)`.
    #[inline(always)]
    fn write<S: Simd, const M: usize, const N: usize>(
        &self,
        s: S,
        (i, j): (usize, usize),
        lanes: &[[S::V; N]; M],
    ) {
        for (r, lanes) in lanes.iter().enumerate() {
            // Always four, so that the order of adding up is one and the same.
            let mut four = [s.zero(); WIDE];
            four[..N].copy_from_slice(lanes);
            for (q, sum) in s.sums(four).into_iter().enumerate().take(N) {
                // SAFETY: entry (i + r, j + q) of `c`.
                unsafe {
                    let at = self.c.add((i + r) * self.c_stride + j + q);
                    *at = if self.add { *at + sum } else { sum };
                }
            }
        }
    }

    /// `M` rows of `a` against four of `b`: one row takes them one after another, as memory has them; more rows take
    /// all four at once, for which each vector of either is loaded once.
    #[inline(always)]
    fn block<S: Simd, const M: usize>(&self, s: S, i: usize, j: usize) {
        if M > 1 {
            return self.write(s, (i, j), &self.lanes::<S, M, WIDE>(s, i, j));
        }
        let mut lanes = [[s.zero(); WIDE]];
        for (q, lane) in lanes[0].iter_mut().enumerate() {
            *lane = self.lanes::<S, 1, 1>(s, i, j + q)[0][0];
        }
        self.write(s, (i, j), &lanes);
    }

    /// All rows of `a` against four rows of `b`, or one.
    #[inline(always)]
    fn column<S: Simd>(&self, s: S, j: usize, whole: bool) {
        let m = self.a.rows();
        let mut i = 0;
        while whole && i + 4 <= m {
            self.block::<S, 4>(s, i, j);
            i += 4;
        }
        while whole && i + 2 <= m {
            self.block::<S, 2>(s, i, j);
            i += 2;
        }
        while i < m {
            if whole {
                self.block::<S, 1>(s, i, j);
            } else {
                self.write(s, (i, j), &self.lanes::<S, 1, 1>(s, i, j));
            }
            i += 1;
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
            self.column(s, j, true);
        }
        for j in whole..n {
            self.column(s, j, false);
        }
    }
}
