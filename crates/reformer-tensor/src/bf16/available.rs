//! Whether `bf16` is multiplied here.

/// Whether this machine has `bf16` products and the instructions in use are those that they belong to.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::{Avx512, Level};
        use std::sync::OnceLock;
        static DETECTED: OnceLock<bool> = OnceLock::new();
        Level::in_use() == Level::Avx512
            && *DETECTED.get_or_init(|| Avx512::new().is_some() && is_x86_feature_detected!("avx512bf16"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
