//! CPU instructions, chosen at run time.

/// Which vector instructions are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the compiler makes of plain loops.
    Portable,
    /// 8 lanes, fused multiply-add.
    Avx2,
    /// 16 lanes, masks.
    Avx512,
}

impl Level {
    /// The best level that this machine has; detected once.
    pub fn detect() -> Self {
        Self::Portable
    }

    /// A name for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "AVX2+FMA",
            Self::Avx512 => "AVX-512",
        }
    }
}
