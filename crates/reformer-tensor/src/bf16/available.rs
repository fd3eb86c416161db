//! Whether the processor multiplies `bf16`.

/// Whether this machine has `bf16` products.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::Avx512;
        use std::sync::OnceLock;
        static DETECTED: OnceLock<bool> = OnceLock::new();
        *DETECTED.get_or_init(|| Avx512::new().is_some() && is_x86_feature_detected!("avx512bf16"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
