//! Attention of one query to rows that lie anywhere in memory: scores, then the weighted sum.
//!
//! ```text
//! scores[i] = q·rows[i][..d]          out = Σ_i p[i]·rows[i][d..2d]          d = q.len() = out.len()
//! ```
//! A row holds a position's key and value side by side, so that both come with one visit to memory. Each score is
//! summed in one order, whatever the other rows are; the sum runs through the rows in the order given.

use core::marker::PhantomData;

use crate::Element;
use crate::simd::{Kernel, Simd, dispatch};

/// Rows at a time, to hide the latency of an addition.
const TOGETHER: usize = 4;
/// Vectors of `out` kept in registers.
const WIDE: usize = 4;

/// `scores[i] = q·rows[i][..q.len()]`.
///
/// # Panics
/// If there are not as many scores as rows, or a row is shorter than `q`.
#[track_caller]
pub fn gathered_dots<E: Element>(q: &[f32], rows: &[&[E]], scores: &mut [f32]) {
    assert_eq!(rows.len(), scores.len(), "gathered dots: rows against scores");
    assert!(rows.iter().all(|row| row.len() >= q.len()), "gathered dots: a row is shorter than the query");
    dispatch(GatheredDots { q, rows, scores });
}

/// `out = Σ_i p[i]·rows[i][skip..skip + out.len()]`.
///
/// # Panics
/// If there are not as many weights as rows, or a row is too short.
#[track_caller]
pub fn gathered_sum<E: Element>(p: &[f32], rows: &[&[E]], skip: usize, out: &mut [f32]) {
    assert_eq!(rows.len(), p.len(), "gathered sum: rows against weights");
    let reach = skip.saturating_add(out.len());
    assert!(rows.iter().all(|row| row.len() >= reach), "gathered sum: a row is too short");
    dispatch(GatheredSum { p, rows, skip, out, element: PhantomData });
}

struct GatheredDots<'a, E> {
    q: &'a [f32],
    rows: &'a [&'a [E]],
    scores: &'a mut [f32],
}

impl<E: Element> GatheredDots<'_, E> {
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&mut self, s: S, first: usize) {
        let d = self.q.len();
        let rows: [&[E]; N] = core::array::from_fn(|r| self.rows[first + r]);
        let mut acc = [s.zero(); N];
        let whole = d - d % S::LANES;
        for p in (0..whole).step_by(S::LANES) {
            // SAFETY: p + LANES <= d, and no row is shorter than d.
            let q = unsafe { s.load_ptr(self.q.as_ptr().add(p)) };
            for (acc, row) in acc.iter_mut().zip(&rows) {
                // SAFETY: as above.
                *acc = s.mul_add(q, unsafe { E::load(s, row.as_ptr().add(p)) }, *acc);
            }
        }
        if whole < d {
            let q = s.load_part(&self.q[whole..], s.zero());
            for (acc, row) in acc.iter_mut().zip(&rows) {
                // SAFETY: d − whole < LANES numbers are left of each row's first d.
                let k = unsafe { E::load_part(s, row.as_ptr().add(whole), d - whole) };
                *acc = s.mul_add(q, k, *acc);
            }
        }
        // Always four, so that the order of adding up is one and the same.
        let mut four = [s.zero(); TOGETHER];
        four[..N].copy_from_slice(&acc);
        self.scores[first..first + N].copy_from_slice(&s.sums(four)[..N]);
    }
}

impl<E: Element> Kernel for GatheredDots<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let n = self.rows.len();
        let whole = n - n % TOGETHER;
        for first in (0..whole).step_by(TOGETHER) {
            self.block::<S, TOGETHER>(s, first);
        }
        for first in whole..n {
            self.block::<S, 1>(s, first);
        }
    }
}

struct GatheredSum<'a, E> {
    p: &'a [f32],
    rows: &'a [&'a [E]],
    skip: usize,
    out: &'a mut [f32],
    element: PhantomData<E>,
}

impl<E: Element> GatheredSum<'_, E> {
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&mut self, s: S, at: usize) {
        let mut acc = [s.zero(); N];
        for (&p, row) in self.p.iter().zip(self.rows) {
            let p = s.splat(p);
            for (l, acc) in acc.iter_mut().enumerate() {
                // SAFETY: at + N·LANES <= out.len(), and every row has skip + out.len() numbers.
                let v = unsafe { E::load(s, row.as_ptr().add(self.skip + at + l * S::LANES)) };
                *acc = s.mul_add(p, v, *acc);
            }
        }
        for (l, acc) in acc.into_iter().enumerate() {
            s.store(&mut self.out[at + l * S::LANES..], acc);
        }
    }
}

impl<E: Element> Kernel for GatheredSum<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let d = self.out.len();
        let mut at = 0;
        while at + WIDE * S::LANES <= d {
            self.columns::<S, WIDE>(s, at);
            at += WIDE * S::LANES;
        }
        while at + S::LANES <= d {
            self.columns::<S, 1>(s, at);
            at += S::LANES;
        }
        if at < d {
            let mut acc = s.zero();
            for (&p, row) in self.p.iter().zip(self.rows) {
                // SAFETY: d − at < LANES numbers are left of each row's.
                let v = unsafe { E::load_part(s, row.as_ptr().add(self.skip + at), d - at) };
                acc = s.mul_add(s.splat(p), v, acc);
            }
            s.store_part(&mut self.out[at..], acc);
        }
    }
}
