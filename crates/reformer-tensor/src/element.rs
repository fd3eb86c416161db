//! The number types in which memory-bound operands are kept: `f32`, or `bf16`, half as many bytes to read.
//!
//! A `bf16` is the upper half of an `f32`: the same exponents, 8 bits of mantissa, a relative error of at most 2⁻⁸.
//! Sums are always `f32`; a [`Bf16`] is widened on its way from memory into a register.

use core::fmt::Debug;

use crate::simd::Simd;

/// The upper half of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(u16);

// SAFETY: a transparent `u16`; sixteen zero bits are the number 0.
unsafe impl bytemuck::Zeroable for Bf16 {}
// SAFETY: as above; every pattern of bits is a number, and there is no padding.
unsafe impl bytemuck::Pod for Bf16 {}

impl Bf16 {
    /// The sixteen bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From the sixteen bits.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

mod sealed {
    /// What only `f32` and `Bf16` are: kernels load them by address.
    pub trait Sealed {}

    impl Sealed for f32 {}
    impl Sealed for super::Bf16 {}
}

/// A number type that kernels can read: [`f32`] or [`Bf16`], and no other crate's.
pub trait Element: sealed::Sealed + bytemuck::Pod + Send + Sync + Debug + Default + 'static {
    /// `x` rounded to nearest, ties to even.
    fn of(x: f32) -> Self;
    /// The same number in `f32`.
    fn get(self) -> f32;

    /// The bytes of numbers, as memory holds them.
    fn bytes(numbers: &[Self]) -> &[u8] {
        bytemuck::cast_slice(numbers)
    }

    /// The bytes of numbers, to write.
    fn bytes_mut(numbers: &mut [Self]) -> &mut [u8] {
        bytemuck::cast_slice_mut(numbers)
    }

    /// A vector of them.
    ///
    /// # Safety
    /// `LANES` numbers must be readable.
    #[doc(hidden)]
    unsafe fn load<S: Simd>(s: S, at: *const Self) -> S::V;
    /// A vector whose lanes from `count` on are zero.
    ///
    /// # Safety
    /// `count < LANES` numbers must be readable.
    #[doc(hidden)]
    unsafe fn load_part<S: Simd>(s: S, at: *const Self, count: usize) -> S::V;
}

impl Element for f32 {
    #[inline(always)]
    fn of(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, at: *const Self) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_ptr(at) }
    }

    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, at: *const Self, count: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_part_ptr(at, count, s.zero()) }
    }
}

impl Element for Bf16 {
    #[inline(always)]
    fn of(x: f32) -> Self {
        let bits = x.to_bits();
        if x.is_nan() {
            // Rounding could carry a NaN's mantissa away.
            return Self((bits >> 16) as u16 | 0x40);
        }
        Self(((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
    }

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, at: *const Self) -> S::V {
        // SAFETY: the caller's promise; a `Bf16` is a `u16`.
        unsafe { s.load_bf16_ptr(at.cast()) }
    }

    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, at: *const Self, count: usize) -> S::V {
        // SAFETY: as above.
        unsafe { s.load_bf16_part_ptr(at.cast(), count) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bf16, Element};

    #[test]
    fn rounding_is_to_nearest_with_ties_to_even_and_keeps_what_is_no_number() {
        let round = |x: f32| Bf16::of(x).get();
        assert_eq!(round(1.0 + 2f32.powi(-8)), 1.0, "a tie goes to the even neighbour");
        assert_eq!(round(1.0 + 3.0 * 2f32.powi(-8)), 1.0 + 2f32.powi(-6));
        assert_eq!(round(1.0 + 2f32.powi(-8) + 2f32.powi(-20)), 1.0 + 2f32.powi(-7));
        assert_eq!((round(f32::INFINITY), round(-0.0).to_bits()), (f32::INFINITY, (-0.0_f32).to_bits()));
        assert!(round(f32::from_bits(0x7f80_0001)).is_nan());
        assert_eq!(round(f32::MAX), f32::INFINITY);
        for x in [3.3_f32, -2.5e-30, 7e20] {
            assert!((round(x) / x - 1.0).abs() <= 2f32.powi(-8), "{x}");
            assert_eq!(Bf16::of(round(x)).get(), round(x), "a rounded number stays");
        }
    }
}
