//! CPU vector instructions behind a small trait, chosen at run time.
//!
//! A kernel is written once, over [`Simd`]: a vector of `LANES` floats and some thirty operations on it. It exists in
//! three versions: AVX-512 (16 lanes, 32 registers, masks), AVX2 with FMA (8 lanes, 16 registers), and portable arrays
//! that the compiler turns into whatever the target has. [`Level::in_use`] is the best that the processor has, unless a
//! lower one was chosen; [`dispatch`] is the one place where the version is taken:
//!
//! ```text
//! dispatch(kernel) = match Level::in_use() {
//!     Avx512 → enter_avx512(kernel),   Avx2 → enter_avx2(kernel),   _ → kernel.run(Portable)
//! }
//! ```
//!
//! `enter_avx512` is compiled with the instructions switched on, and everything below it is `#[inline(always)]`, so a
//! whole kernel becomes one function of the right kind. The tokens [`Avx512`] and [`Avx2`] can be made only where the
//! instructions are known to exist, which is what makes the trait's methods safe to call.
//!
//! Results may differ between levels in the last bits (other widths add in another order), never between thread counts.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod kernel;
mod level;
pub mod math;
mod portable;
pub mod row;
pub mod rows;

pub use level::{Level, LevelError};
pub use portable::Portable;

#[cfg(target_arch = "x86_64")]
pub use {avx2::Avx2, avx512::Avx512};

pub(crate) use kernel::kernel;

mod sealed {
    /// What only this crate's vectors are.
    pub trait Sealed {}

    impl Sealed for super::Portable {}
    #[cfg(target_arch = "x86_64")]
    impl Sealed for super::Avx2 {}
    #[cfg(target_arch = "x86_64")]
    impl Sealed for super::Avx512 {}
}

/// A vector of floats and what can be done with it.
///
/// Operations on NaN: arithmetic propagates it; `max(a, b)` and `min(a, b)` return `b` if either is NaN on x86.
///
/// Sealed: kernels read and write as many numbers as [`LANES`](Simd::LANES) says, so no other crate may say it.
pub trait Simd: sealed::Sealed + Copy {
    /// `LANES` floats.
    type V: Copy;
    /// `LANES` truth values.
    type M: Copy;
    /// Floats in a vector.
    const LANES: usize;
    /// Rows of a product's register block; with two vectors a row it fills the registers.
    const TILE_ROWS: usize;
    /// The level's name.
    const LEVEL: Level;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// `LANES` floats at `at`.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn load_ptr(self, at: *const f32) -> Self::V;
    /// Writes `LANES` floats at `at`.
    ///
    /// # Safety
    /// They must be writable.
    unsafe fn store_ptr(self, at: *mut f32, v: Self::V);
    /// The first `count < LANES` floats at `at`, `fill` in the other lanes.
    ///
    /// # Safety
    /// `count` floats must be readable.
    unsafe fn load_part_ptr(self, at: *const f32, count: usize, fill: Self::V) -> Self::V;
    /// Writes the first `count < LANES` lanes.
    ///
    /// # Safety
    /// `count` floats must be writable.
    unsafe fn store_part_ptr(self, at: *mut f32, count: usize, v: Self::V);
    /// `LANES` numbers of `bf16` (the upper halves of `f32`s) at `at`, widened.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn load_bf16_ptr(self, at: *const u16) -> Self::V;
    /// Writes the transpose of a `LANES × LANES` block: `to[j·to_stride + i] = from[i·from_stride + j]`.
    ///
    /// # Safety
    /// Both blocks must be accessible and must not overlap.
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize);

    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a − b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a/b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c − a·b`, rounded once where the processor can.
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger one.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller one.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `|a|`.
    fn abs(self, a: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// `a·2ⁿ` for integral `n` in −150..=128.
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V;
    /// `a > b ? x : y` in each lane; NaN takes `y`.
    fn select_gt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// `|magnitude|` with the sign of `sign`.
    fn copysign(self, magnitude: Self::V, sign: Self::V) -> Self::V;
    /// `x[lane] ≤ limit`, unsigned, of the first `LANES` numbers of `x`.
    fn le_u32(self, x: &[u32], limit: u32) -> Self::M;
    /// `x[lane] = value`, of the first `LANES` numbers of `x`.
    fn eq_u32(self, x: &[u32], value: u32) -> Self::M;
    /// `from − x[lane] ≤ reach`, unsigned and modulo 2³², of the first `LANES` numbers of `x`.
    fn within_u32(self, from: u32, x: &[u32], reach: u32) -> Self::M;
    /// `a = b`; NaN equals nothing.
    fn eq(self, a: Self::V, b: Self::V) -> Self::M;
    /// Both.
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    /// `a` where `b` is false.
    fn and_not(self, a: Self::M, b: Self::M) -> Self::M;
    /// `m ? x : y` in each lane.
    fn select(self, m: Self::M, x: Self::V, y: Self::V) -> Self::V;
    /// Lane `l` in bit `l`.
    fn bits(self, m: Self::M) -> u32;
    /// The sum of the lanes.
    fn sum(self, a: Self::V) -> f32;
    /// The largest lane.
    fn maximum(self, a: Self::V) -> f32;

    /// The sums of the lanes of four vectors, each added up in one order, whatever the others are.
    #[inline(always)]
    fn sums(self, v: [Self::V; 4]) -> [f32; 4] {
        [self.sum(v[0]), self.sum(v[1]), self.sum(v[2]), self.sum(v[3])]
    }

    /// Asks for a cache line that will be wanted; any address will do.
    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        let _ = at;
    }

    /// The first `count < LANES` numbers of `bf16` at `at`, zero in the other lanes.
    ///
    /// # Safety
    /// `count` numbers must be readable.
    #[inline(always)]
    unsafe fn load_bf16_part_ptr(self, at: *const u16, count: usize) -> Self::V {
        debug_assert!(count < Self::LANES && Self::LANES <= 16);
        let mut whole = [0_u16; 16];
        for (lane, x) in whole.iter_mut().enumerate().take(count) {
            // SAFETY: the caller promises that `count` numbers are readable.
            *x = unsafe { at.add(lane).read() };
        }
        // SAFETY: no vector has more than 16 lanes.
        unsafe { self.load_bf16_ptr(whole.as_ptr()) }
    }

    /// The first `LANES` floats of `x`.
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.load_ptr(x.as_ptr()) }
    }

    /// Writes the first `LANES` floats of `x`.
    #[inline(always)]
    fn store(self, x: &mut [f32], v: Self::V) {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.store_ptr(x.as_mut_ptr(), v) }
    }

    /// All of a short slice, `fill` in the lanes beyond it.
    #[inline(always)]
    fn load_part(self, x: &[f32], fill: Self::V) -> Self::V {
        assert!(x.len() < Self::LANES);
        // SAFETY: as many floats as the slice has.
        unsafe { self.load_part_ptr(x.as_ptr(), x.len(), fill) }
    }

    /// Writes all of a short slice.
    #[inline(always)]
    fn store_part(self, x: &mut [f32], v: Self::V) {
        assert!(x.len() < Self::LANES);
        // SAFETY: as many floats as the slice has.
        unsafe { self.store_part_ptr(x.as_mut_ptr(), x.len(), v) }
    }

    /// Zero in every lane.
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }
}

/// Asks for the cache lines of a row that will be needed soon. Only a hint: nothing is read.
#[inline(always)]
pub fn prefetch<T: bytemuck::Pod>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(64 / const { size_of::<T>() }) {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// A computation written over [`Simd`].
pub trait Kernel {
    /// What it returns.
    type Output;

    /// Computes. Must be `#[inline(always)]`, so that it is compiled with the instructions of `S`.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Runs a kernel with the instructions in use.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(test)]
    if let Some(level) = forced::level() {
        return dispatch_at(level, kernel);
    }
    match Level::in_use() {
        // SAFETY: no level above the detected one is in use.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::enter(kernel) },
        // SAFETY: no level above the detected one is in use.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::enter(kernel) },
        _ => kernel.run(Portable),
    }
}

/// Runs a kernel at a level, which must be one of [`Level::available`]; for tests and benches.
///
/// # Panics
/// If this machine does not have it.
#[track_caller]
pub fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    assert!(level <= Level::detect(), "this machine has no {}", level.name());
    match level {
        // SAFETY: not above the level that was detected, and every AVX-512 machine has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::enter(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::enter(kernel) },
        _ => kernel.run(Portable),
    }
}

/// Tests run whole operations at a level of their choice, on the calling thread.
#[cfg(test)]
pub(crate) mod forced {
    use std::cell::Cell;

    use super::Level;

    thread_local! {
        static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
    }

    pub(super) fn level() -> Option<Level> {
        LEVEL.get()
    }

    /// Runs `f` with every kernel of this thread at `level`.
    pub(crate) fn at<R>(level: Level, f: impl FnOnce() -> R) -> R {
        LEVEL.set(Some(level));
        let result = f();
        LEVEL.set(None);
        result
    }
}
