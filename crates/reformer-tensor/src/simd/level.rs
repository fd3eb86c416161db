//! Which vector instructions there are, and which are used.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A set of vector instructions; a later one contains the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the compiler makes of small arrays.
    Portable,
    /// 8 lanes, fused multiply-add.
    Avx2,
    /// 16 lanes, masks.
    Avx512,
}

/// What this process computes with: settled by the first kernel that runs, or before it by [`Level::choose`].
static IN_USE: OnceLock<InUse> = OnceLock::new();

#[derive(Clone, Copy, PartialEq, Eq)]
struct InUse {
    level: Level,
    chosen: bool,
}

/// A level that cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// The processor lacks the instructions.
    #[error("this processor has no {wanted} instructions; the best it has is {best}")]
    Missing {
        /// What was asked for.
        wanted: Level,
        /// What there is.
        best: Level,
    },
    /// Something was computed before.
    #[error("{used} is in use already: choose {wanted} before anything is computed")]
    Late {
        /// What was asked for.
        wanted: Level,
        /// What is in use.
        used: Level,
    },
    /// No such name.
    #[error("`{0}` is not a set of vector instructions; expected portable, avx2 or avx512")]
    Unknown(String),
}

impl Level {
    /// Every level, the best one last.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The best level that this machine has; the processor is asked once.
    #[inline]
    pub fn detect() -> Self {
        static DETECTED: OnceLock<Level> = OnceLock::new();
        *DETECTED.get_or_init(Self::ask)
    }

    /// The level of this process.
    #[inline]
    pub fn in_use() -> Self {
        in_use().level
    }

    /// Whether the level of this process was chosen, not detected.
    ///
    /// Then every product goes by our own kernels: the product library asks the processor itself and takes the best
    /// it has. So a chosen level gives the same bits on every processor that has it.
    #[inline]
    pub fn is_chosen() -> bool {
        in_use().chosen
    }

    /// What this process computes with, for records: results differ in last bits where this differs.
    pub fn description() -> String {
        let InUse { level, chosen } = in_use();
        if chosen { format!("{level}, own products") } else { level.to_string() }
    }

    /// Makes this the level of the whole process.
    ///
    /// # Errors
    /// If the processor lacks it, or if something was computed with another one before.
    pub fn choose(self) -> Result<(), LevelError> {
        let best = Self::detect();
        if self > best {
            return Err(LevelError::Missing { wanted: self, best });
        }
        let wanted = InUse { level: self, chosen: true };
        let used = *IN_USE.get_or_init(|| wanted);
        if used == wanted { Ok(()) } else { Err(LevelError::Late { wanted: self, used: used.level }) }
    }

    #[cfg(target_arch = "x86_64")]
    fn ask() -> Self {
        if has_avx512() {
            Self::Avx512
        } else if has_avx2() {
            Self::Avx2
        } else {
            Self::Portable
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn ask() -> Self {
        Self::Portable
    }

    /// Every level that this machine has, the best one last.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|&level| level <= Self::detect()).collect()
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

/// Whether the processor has what [`Level::Avx2`] needs.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Whether the processor has what [`Level::Avx512`] needs, AVX2 among it.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && has_avx2()
}

#[inline]
fn in_use() -> InUse {
    *IN_USE.get_or_init(|| InUse { level: Level::detect(), chosen: false })
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(name: &str) -> Result<Self, LevelError> {
        match name {
            "portable" => Ok(Self::Portable),
            "avx2" => Ok(Self::Avx2),
            "avx512" => Ok(Self::Avx512),
            _ => Err(LevelError::Unknown(name.to_owned())),
        }
    }
}
