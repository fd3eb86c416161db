//! The choice between `f32` and `bf16`, for the operands of products and for what is kept in memory.

use std::fmt;
use std::str::FromStr;

use crate::bf16::available;

/// A number type: of the operands of large products, of weights, of what is remembered. Sums are `f32` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Rounded to 8 bits of mantissa, with the exponents of `f32`: half the memory, and products of such operands are
    /// about twice as fast where the processor has AVX-512 BF16. Elsewhere products stay `f32`.
    Bf16,
}

impl Precision {
    /// What this machine computes when asked for `self`: [`Precision::F32`] where it has no `bf16` products.
    pub fn in_use(self) -> Self {
        if self == Self::Bf16 && available() { Self::Bf16 } else { Self::F32 }
    }

    /// Bytes of a number.
    pub const fn width(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::Bf16 => size_of::<crate::Bf16>(),
        }
    }

    /// The name in recipes, flags and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A precision that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a number type; expected f32 or bf16")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        [Self::F32, Self::Bf16]
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| UnknownPrecision(name.to_owned()))
    }
}
