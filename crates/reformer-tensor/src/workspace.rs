//! Scratch memory as an argument.
//!
//! A [`Workspace`] lends buffers; a [`Lease`] gives its buffer back on drop, and the next lease of about that size gets
//! it. What is lent is counted, so that a memory formula can be held to [`Workspace::peak_bytes`].
//!
//! The pool does not hoard: lent and idle buffers together never exceed the peak of what was lent at one time, plus
//! an eighth or [`Workspace::SLACK`] bytes, whichever is more. A lease that finds no idle buffer of a fitting size
//! (at least as long, at most an eighth longer) frees idle ones, largest first, until a new one fits under that
//! ceiling. The slack is for computations whose parts want buffers of different sizes in turn: fresh memory is
//! cleared by the system page by page, which took 5 % of a training step on 1,024 tokens.
//!
//! The contents of a lease are unspecified (some finite or stale numbers, never uninitialised memory).

use core::ops::{Deref, DerefMut};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::cast_slice;

use crate::{Buffer, View, ViewMut};

/// Numbers per cache line: what lengths are rounded up to.
const LINE: usize = 16;

/// A pool of scratch buffers that any thread may borrow from. Cloning shares the pool.
#[derive(Clone, Default)]
pub struct Workspace {
    pool: Arc<Mutex<Pool>>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Buffer<f32>>,
    idle_bytes: usize,
    lent_bytes: usize,
    peak_bytes: usize,
    // Unlike `peak_bytes`, never reset: the ceiling of what is kept.
    ceiling: usize,
}

impl Pool {
    fn lend(&mut self, len: usize) -> Option<Buffer<f32>> {
        let bytes = len * size_of::<f32>();
        let best = (0..self.idle.len())
            .filter(|&i| (len..=len + len / 8).contains(&self.idle[i].len()))
            .min_by_key(|&i| self.idle[i].len());
        let buffer = best.map(|i| self.idle.swap_remove(i));
        let granted = buffer.as_ref().map_or(bytes, |b| size_of_val::<[f32]>(b));
        if buffer.is_some() {
            self.idle_bytes -= granted;
        }
        self.lent_bytes += granted;
        self.peak_bytes = self.peak_bytes.max(self.lent_bytes);
        self.ceiling = self.ceiling.max(self.lent_bytes);
        if buffer.is_none() {
            self.shrink();
        }
        buffer
    }

    fn take_back(&mut self, buffer: Buffer<f32>) {
        let bytes = size_of_val::<[f32]>(&buffer);
        self.lent_bytes -= bytes;
        self.idle_bytes += bytes;
        self.idle.push(buffer);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.lent_bytes + self.idle_bytes > self.ceiling + Workspace::SLACK.max(self.ceiling / 8) {
            let largest = (0..self.idle.len()).max_by_key(|&i| self.idle[i].len());
            let Some(largest) = largest else { return };
            self.idle_bytes -= size_of_val::<[f32]>(&self.idle.swap_remove(largest));
        }
    }
}

impl Workspace {
    /// Bytes that the pool may keep beyond the peak, however small that is.
    pub const SLACK: usize = 64 << 20;

    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // A panic while the lock is held leaves counters that are at worst off by one lease.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffer(&self, len: usize) -> Buffer<f32> {
        let len = len.next_multiple_of(LINE);
        let idle = self.pool().lend(len);
        idle.unwrap_or_else(|| Buffer::zeroed(len))
    }

    /// `len` numbers with unspecified contents.
    pub fn take(&self, len: usize) -> Lease<f32> {
        Lease { buffer: self.buffer(len), len, home: self.clone(), number: core::marker::PhantomData }
    }

    /// `len` zeros.
    pub fn take_zeroed(&self, len: usize) -> Lease<f32> {
        let mut lease = self.take(len);
        lease.fill(0.0);
        lease
    }

    /// `len` integers with unspecified contents.
    pub fn take_u32(&self, len: usize) -> Lease<u32> {
        Lease { buffer: self.buffer(len), len, home: self.clone(), number: core::marker::PhantomData }
    }

    /// A matrix with unspecified contents.
    pub fn take_matrix(&self, rows: usize, cols: usize) -> LeasedMatrix {
        LeasedMatrix { lease: self.take(rows * cols), rows, cols }
    }

    /// A matrix of zeros.
    pub fn take_matrix_zeroed(&self, rows: usize, cols: usize) -> LeasedMatrix {
        LeasedMatrix { lease: self.take_zeroed(rows * cols), rows, cols }
    }

    /// Most bytes lent at one time since the beginning or the last [`Workspace::reset_peak`].
    pub fn peak_bytes(&self) -> usize {
        self.pool().peak_bytes
    }

    /// Bytes lent now.
    pub fn in_use_bytes(&self) -> usize {
        self.pool().lent_bytes
    }

    /// Bytes lent now and bytes kept for the next lease.
    pub fn held_bytes(&self) -> usize {
        let pool = self.pool();
        pool.lent_bytes + pool.idle_bytes
    }

    /// Starts a new measurement of the peak.
    pub fn reset_peak(&self) {
        let mut pool = self.pool();
        pool.peak_bytes = pool.lent_bytes;
    }

    /// Frees every idle buffer.
    pub fn release(&self) {
        let mut pool = self.pool();
        pool.idle.clear();
        pool.idle_bytes = 0;
        pool.ceiling = pool.lent_bytes;
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pool = self.pool();
        f.debug_struct("Workspace")
            .field("lent_bytes", &pool.lent_bytes)
            .field("idle_bytes", &pool.idle_bytes)
            .field("peak_bytes", &pool.peak_bytes)
            .finish_non_exhaustive()
    }
}

/// A borrowed buffer of `f32` or `u32`; goes back to its workspace on drop.
pub struct Lease<T: bytemuck::Pod = f32> {
    buffer: Buffer<f32>,
    len: usize,
    home: Workspace,
    number: core::marker::PhantomData<T>,
}

impl<T: bytemuck::Pod> Deref for Lease<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &cast_slice(&self.buffer)[..self.len]
    }
}

impl<T: bytemuck::Pod> DerefMut for Lease<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.buffer)[..self.len]
    }
}

impl<T: bytemuck::Pod> Drop for Lease<T> {
    fn drop(&mut self) {
        let buffer = core::mem::take(&mut self.buffer);
        self.home.pool().take_back(buffer);
    }
}

/// A borrowed matrix; goes back to its workspace on drop.
pub struct LeasedMatrix {
    lease: Lease<f32>,
    rows: usize,
    cols: usize,
}

impl LeasedMatrix {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`.
    #[track_caller]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.lease[i * self.cols..][..self.cols]
    }

    /// Row `i`, to write.
    #[track_caller]
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.lease[i * self.cols..][..self.cols]
    }

    /// All entries, row by row.
    pub fn as_slice(&self) -> &[f32] {
        &self.lease
    }

    /// All entries, row by row, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.lease
    }

    /// The whole matrix, to read.
    pub fn view(&self) -> View<'_> {
        View::new(&self.lease, self.rows, self.cols)
    }

    /// The whole matrix, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut::new(&mut self.lease, self.rows, self.cols)
    }
}

#[cfg(test)]
mod tests {
    use super::Workspace;

    #[test]
    fn a_returned_buffer_is_lent_again() {
        let workspace = Workspace::new();
        let at = workspace.take(1000).as_ptr();
        assert_eq!(workspace.take(1000).as_ptr(), at);
        assert_eq!(workspace.in_use_bytes(), 0);
        assert_eq!(workspace.peak_bytes(), 1008 * 4);
    }

    #[test]
    fn the_peak_counts_what_was_lent_together() {
        let workspace = Workspace::new();
        {
            let _a = workspace.take(160);
            let _b = workspace.take_u32(320);
        }
        drop(workspace.take_matrix(10, 16));
        assert_eq!(workspace.peak_bytes(), (160 + 320) * 4);
        workspace.reset_peak();
        drop(workspace.take(16));
        assert_eq!(workspace.peak_bytes(), 16 * 4);
    }

    #[test]
    fn the_pool_keeps_little_more_than_was_ever_needed_at_once() {
        let workspace = Workspace::new();
        for len in 1..200 {
            drop(workspace.take(len * (1 << 14)));
        }
        assert!(
            workspace.held_bytes()
                <= workspace.peak_bytes() + Workspace::SLACK.max(workspace.peak_bytes() / 8)
        );
    }

    #[test]
    fn sizes_that_alternate_are_each_allocated_once() {
        let workspace = Workspace::new();
        let round = || [1000, 50_000, 3000].map(|len| workspace.take(len).as_ptr());
        let first = round();
        assert_eq!(round(), first);
    }

    #[test]
    fn a_zeroed_lease_forgets_what_was_there() {
        let workspace = Workspace::new();
        workspace.take(64).fill(3.0);
        assert!(workspace.take_zeroed(64).iter().all(|&x| x == 0.0));
        workspace.take_u32(64).fill(7);
        assert!(workspace.take_matrix_zeroed(8, 8).as_slice().iter().all(|&x| x == 0.0));
    }

    #[test]
    fn leases_of_no_numbers_are_fine() {
        let workspace = Workspace::new();
        assert!(workspace.take(0).is_empty());
        assert_eq!(workspace.take_matrix(0, 5).view().rows(), 0);
    }
}
