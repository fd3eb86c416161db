//! Cache-line aligned memory for numbers.
//!
//! A [`Buffer`] is a boxed slice whose start is aligned to 64 bytes, so that a vector load at a multiple of sixteen
//! floats never straddles a cache line. Fresh buffers come zeroed from the allocator, which costs nothing until a
//! page is touched.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};

use bytemuck::Pod;

/// Alignment of every buffer in bytes: one cache line, one AVX-512 register.
pub(crate) const ALIGNMENT: usize = 64;

/// Bytes of the processor's large pages.
const HUGE_PAGE: usize = 2 << 20;

/// Buffers from this size on are laid on large pages where the system has them.
const HUGE: usize = 2 * HUGE_PAGE;

/// Zeroed memory on large pages if the system gives them. Rows of long matrices are visited in sorted order, far apart:
/// with pages of 4 KiB every visit misses the processor's table of pages too.
///
/// # Safety
/// The layout's size is not zero.
unsafe fn alloc_huge(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promise.
    let start = unsafe { alloc(layout) };
    if !start.is_null() {
        advise_huge(start, layout.size());
        // SAFETY: as many bytes as were allocated.
        unsafe { start.write_bytes(0, layout.size()) };
    }
    start
}

#[cfg(target_os = "linux")]
fn advise_huge(start: *mut u8, bytes: usize) {
    unsafe extern "C" {
        fn madvise(start: *mut core::ffi::c_void, bytes: usize, advice: core::ffi::c_int)
        -> core::ffi::c_int;
    }
    const MADV_HUGEPAGE: core::ffi::c_int = 14;
    // SAFETY: the range is allocated, and the advice changes no contents. Whether it is taken does not matter.
    let _ = unsafe { madvise(start.cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_huge(_: *mut u8, _: usize) {}

/// A 64-byte aligned slice of plain numbers, owned.
pub struct Buffer<T: Pod = f32> {
    start: NonNull<T>,
    len: usize,
    owned: PhantomData<T>,
}

// SAFETY: a buffer owns its memory like `Box<[T]>`, and `T: Pod` holds no shared state.
unsafe impl<T: Pod + Send> Send for Buffer<T> {}
// SAFETY: as above; `&Buffer` gives out `&[T]` only.
unsafe impl<T: Pod + Sync> Sync for Buffer<T> {}

impl<T: Pod> Buffer<T> {
    /// `len` zeros.
    ///
    /// # Panics
    /// If `len` numbers exceed the address space; aborts if the allocator has no memory left.
    #[track_caller]
    pub fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        if layout.size() == 0 {
            return Self { start: NonNull::dangling(), len, owned: PhantomData };
        }
        // SAFETY: the layout's size is not zero.
        let start =
            unsafe { if layout.align() == HUGE_PAGE { alloc_huge(layout) } else { alloc_zeroed(layout) } };
        let Some(start) = NonNull::new(start.cast::<T>()) else { handle_alloc_error(layout) };
        Self { start, len, owned: PhantomData }
    }

    /// A copy of `values`.
    pub fn from_slice(values: &[T]) -> Self {
        let mut buffer = Self::zeroed(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    #[track_caller]
    fn layout(len: usize) -> Layout {
        let align = |bytes: usize| if bytes >= HUGE { HUGE_PAGE } else { ALIGNMENT };
        len.checked_mul(size_of::<T>())
            .and_then(|bytes| Layout::from_size_align(bytes, align(bytes).max(align_of::<T>())).ok())
            .unwrap_or_else(|| panic!("a buffer of {len} numbers does not fit the address space"))
    }
}

impl<T: Pod> Drop for Buffer<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len);
        if layout.size() != 0 {
            // SAFETY: `zeroed` allocated this pointer with the same layout, and nobody else frees it.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` points at `len` initialised numbers (zeroed is a value of every `Pod`) owned by `self`.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Pod> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl<T: Pod> Default for Buffer<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: Pod + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod> From<&[T]> for Buffer<T> {
    fn from(values: &[T]) -> Self {
        Self::from_slice(values)
    }
}

impl<T: Pod> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::from_slice(&values.into_iter().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn a_buffer_is_aligned_to_a_cache_line_and_zero() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let buffer = Buffer::<f32>::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|&x| x == 0.0));
            if len > 0 {
                assert_eq!(buffer.as_ptr() as usize % 64, 0);
            }
        }
    }

    #[test]
    fn a_clone_is_a_copy_of_its_own() {
        let first = Buffer::from_slice(&[1.0_f64, 2.0, 3.0]);
        let mut second = first.clone();
        second[1] = 7.0;
        assert_eq!(first[..], [1.0, 2.0, 3.0]);
        assert_eq!(second[..], [1.0, 7.0, 3.0]);
    }
}
