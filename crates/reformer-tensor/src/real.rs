//! The number types that matrices and naive twins are generic over.

use core::fmt::Debug;
use core::iter::Sum;
use core::ops::{AddAssign, DivAssign, MulAssign, SubAssign};

/// A real number: `f32` for work, `f64` for truth.
///
/// Fast kernels exist for `f32` only. The trait lets a naive twin, and a gradient check in double precision, be
/// written once.
pub trait Real:
    num_traits::Float
    + num_traits::FromPrimitive
    + bytemuck::Pod
    + Sum
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Send
    + Sync
    + Debug
    + Default
    + 'static
{
    /// `x` rounded to this type.
    fn of(x: f64) -> Self;

    /// This number in double precision.
    fn to_f64_lossless(self) -> f64;
}

impl Real for f32 {
    #[inline]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline]
    fn to_f64_lossless(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline]
    fn of(x: f64) -> Self {
        x
    }

    #[inline]
    fn to_f64_lossless(self) -> f64 {
        self
    }
}
