//! Rows of matrices that several threads write, each row once, in an order that nobody knows beforehand.
//!
//! Work that is sorted (attention's rounds) writes rows that lie scattered: no cutting of a [`ViewMut`] into panels
//! gives each thread its own. [`SharedRows::claim`] hands out row `i` of `N` matrices together and marks it, so that
//! a second claim of the same row panics instead of aliasing: a bit a row, one atomic operation a claim.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::ViewMut;

/// Equally many rows of `N` matrices, to be claimed one by one from any thread.
pub struct SharedRows<'a, const N: usize> {
    parts: [Part; N],
    rows: usize,
    claimed: Vec<AtomicU32>,
    borrowed: PhantomData<&'a mut [f32]>,
}

#[derive(Clone, Copy)]
struct Part {
    start: *mut f32,
    cols: usize,
    stride: usize,
}

// SAFETY: it stands for exclusive borrows of its rows, which may go to any thread; `claim` gives each out once.
unsafe impl<const N: usize> Send for SharedRows<'_, N> {}
// SAFETY: as above; the marks are atomic.
unsafe impl<const N: usize> Sync for SharedRows<'_, N> {}

impl<'a, const N: usize> SharedRows<'a, N> {
    /// No row is claimed yet.
    ///
    /// # Panics
    /// If the matrices have different numbers of rows.
    #[track_caller]
    pub fn new(views: [ViewMut<'a>; N]) -> Self {
        let rows = views.first().map_or(0, ViewMut::rows);
        assert!(views.iter().all(|view| view.rows() == rows), "matrices with different numbers of rows");
        let claimed = (0..rows.div_ceil(32)).map(|_| AtomicU32::new(0)).collect();
        let parts =
            views.map(|mut view| Part { start: view.as_mut_ptr(), cols: view.cols(), stride: view.stride() });
        Self { parts, rows, claimed, borrowed: PhantomData }
    }

    /// Row `i` of every matrix.
    ///
    /// # Panics
    /// If there is no such row or it has been claimed before.
    #[inline]
    #[track_caller]
    pub fn claim(&self, i: usize) -> [&'a mut [f32]; N] {
        assert!(i < self.rows, "row {i} of {} shared rows", self.rows);
        let bit = 1 << (i % 32);
        let before = self.claimed[i / 32].fetch_or(bit, Ordering::Relaxed);
        assert!(before & bit == 0, "row {i} is claimed twice");
        // SAFETY: row i lies inside the exclusive borrows that `new` took for 'a, and the mark, which is never taken
        // back, makes this the only reference to it.
        self.parts.map(|part| unsafe {
            core::slice::from_raw_parts_mut(part.start.add(i * part.stride), part.cols)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SharedRows;
    use crate::{Matrix, Threads, ViewMut};

    #[test]
    fn threads_write_scattered_rows_of_two_matrices() {
        let (mut a, mut b) = (Matrix::zeros(100, 3), vec![0.0; 100]);
        let shared = SharedRows::new([a.view_mut(), ViewMut::new(&mut b, 100, 1)]);
        Threads::new(3).unwrap().for_each((0..100).collect(), |i: usize| {
            let row = i * 37 % 100;
            let [a, b] = shared.claim(row);
            a.fill(row as f32);
            b[0] = row as f32;
        });
        assert!((0..100).all(|i| a.row(i) == [i as f32; 3] && b[i] == i as f32));
    }

    #[test]
    #[should_panic(expected = "row 7 is claimed twice")]
    fn a_second_claim_of_a_row_panics() {
        let mut a = Matrix::zeros(9, 2);
        let shared = SharedRows::new([a.view_mut()]);
        let _first = shared.claim(7);
        let _second = shared.claim(7);
    }

    #[test]
    #[should_panic(expected = "row 9 of 9")]
    fn a_row_beyond_the_end_panics() {
        SharedRows::new([Matrix::zeros(9, 2).view_mut()]).claim(9);
    }
}
