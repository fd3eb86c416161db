//! AVX2 with FMA: 8 lanes, 16 registers.

#[allow(clippy::wildcard_imports, reason = "an instruction set is imported as a whole")]
use core::arch::x86_64::*;

use super::level::has_avx2;
use super::{Kernel, Level, Simd};

/// Proof that this machine has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has the instructions.
    pub fn new() -> Option<Self> {
        has_avx2().then_some(Self(()))
    }
}

/// Compiles a kernel with the instructions switched on.
///
/// # Safety
/// [`Avx2::new`] must have returned a proof on this machine.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

/// Eight ones, then eight zeros: a window that starts `8 − count` in masks the lanes below `count`.
static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The lanes below `count`.
///
/// # Safety
/// The machine must have AVX2.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    let window = &WINDOW[8 - count..][..8];
    // SAFETY: the window is eight numbers long.
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

impl Simd for Avx2 {
    type V = __m256;
    type M = __m256;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const LEVEL: Level = Level::Avx2;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> Self::V {
        // SAFETY: `self` proves that the instruction exists; the caller promises the memory.
        unsafe { _mm256_loadu_ps(at) }
    }

    #[inline(always)]
    unsafe fn store_ptr(self, at: *mut f32, v: Self::V) {
        // SAFETY: `self` proves that the instruction exists; the caller promises the memory.
        unsafe { _mm256_storeu_ps(at, v) }
    }

    #[inline(always)]
    unsafe fn load_part_ptr(self, at: *const f32, count: usize, fill: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instructions exist; masked lanes are not accessed.
        unsafe {
            let mask = first(count);
            _mm256_blendv_ps(fill, _mm256_maskload_ps(at, mask), _mm256_castsi256_ps(mask))
        }
    }

    #[inline(always)]
    unsafe fn store_part_ptr(self, at: *mut f32, count: usize, v: Self::V) {
        // SAFETY: `self` proves that the instructions exist; masked lanes are not accessed.
        unsafe { _mm256_maskstore_ps(at, first(count), v) }
    }

    #[inline(always)]
    unsafe fn load_bf16_ptr(self, at: *const u16) -> Self::V {
        // SAFETY: `self` proves that the instructions exist; the caller promises the memory.
        unsafe {
            let halves = _mm_loadu_si128(at.cast());
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
        }
    }

    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // Pairs of rows, then quadruples, then the two 128-bit halves.
        // SAFETY: `self` proves that the instructions exist; the caller promises both blocks.
        unsafe {
            let mut pair = [_mm256_setzero_ps(); 8];
            for i in 0..4 {
                let upper = _mm256_loadu_ps(from.add(2 * i * from_stride));
                let lower = _mm256_loadu_ps(from.add((2 * i + 1) * from_stride));
                pair[2 * i] = _mm256_unpacklo_ps(upper, lower);
                pair[2 * i + 1] = _mm256_unpackhi_ps(upper, lower);
            }
            let mut quad = [_mm256_setzero_ps(); 8];
            for i in 0..2 {
                // Written out: a closure would not have the instructions of this function.
                let p = [
                    _mm256_castps_pd(pair[4 * i]),
                    _mm256_castps_pd(pair[4 * i + 1]),
                    _mm256_castps_pd(pair[4 * i + 2]),
                    _mm256_castps_pd(pair[4 * i + 3]),
                ];
                quad[4 * i] = _mm256_castpd_ps(_mm256_unpacklo_pd(p[0], p[2]));
                quad[4 * i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(p[0], p[2]));
                quad[4 * i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(p[1], p[3]));
                quad[4 * i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(p[1], p[3]));
            }
            for c in 0..4 {
                _mm256_storeu_ps(to.add(c * to_stride), _mm256_permute2f128_ps::<0x20>(quad[c], quad[4 + c]));
                _mm256_storeu_ps(
                    to.add((4 + c) * to_stride),
                    _mm256_permute2f128_ps::<0x31>(quad[c], quad[4 + c]),
                );
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }

    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe {
            // In two steps: 2¹²⁸ and 2⁻¹⁵⁰ are not normal numbers themselves.
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let rest = _mm256_sub_epi32(n, half);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias)));
            let second = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(rest, bias)));
            _mm256_mul_ps(_mm256_mul_ps(a, first), second)
        }
    }

    #[inline(always)]
    fn select_gt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }

    #[inline(always)]
    fn copysign(self, magnitude: Self::V, sign: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe {
            let minus = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(minus, magnitude), _mm256_and_ps(minus, sign))
        }
    }

    #[inline(always)]
    fn le_u32(self, x: &[u32], limit: u32) -> Self::M {
        assert!(x.len() >= 8);
        // SAFETY: `self` proves that the instructions exist; the slice is long enough.
        unsafe {
            let (x, limit) = (_mm256_loadu_si256(x.as_ptr().cast()), _mm256_set1_epi32(limit as i32));
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(x, limit), limit))
        }
    }

    #[inline(always)]
    fn eq_u32(self, x: &[u32], value: u32) -> Self::M {
        assert!(x.len() >= 8);
        // SAFETY: `self` proves that the instructions exist; the slice is long enough.
        unsafe {
            let x = _mm256_loadu_si256(x.as_ptr().cast());
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(x, _mm256_set1_epi32(value as i32)))
        }
    }

    #[inline(always)]
    fn within_u32(self, from: u32, x: &[u32], reach: u32) -> Self::M {
        assert!(x.len() >= 8);
        // SAFETY: `self` proves that the instructions exist; the slice is long enough.
        unsafe {
            let x = _mm256_loadu_si256(x.as_ptr().cast());
            let ahead = _mm256_sub_epi32(_mm256_set1_epi32(from as i32), x);
            let reach = _mm256_set1_epi32(reach as i32);
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(ahead, reach), reach))
        }
    }

    #[inline(always)]
    fn eq(self, a: Self::V, b: Self::V) -> Self::M {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }

    #[inline(always)]
    fn and(self, a: Self::M, b: Self::M) -> Self::M {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_and_ps(a, b) }
    }

    #[inline(always)]
    fn and_not(self, a: Self::M, b: Self::M) -> Self::M {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_andnot_ps(b, a) }
    }

    #[inline(always)]
    fn select(self, m: Self::M, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_blendv_ps(y, x, m) }
    }

    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm256_movemask_ps(m) as u32 }
    }

    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: `self` proves that the instruction exists.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    fn maximum(self, a: Self::V) -> f32 {
        // SAFETY: `self` proves that the instruction exists.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}
