//! AVX-512: 16 lanes, 32 registers, a mask for every ragged end.

#[allow(clippy::wildcard_imports, reason = "an instruction set is imported as a whole")]
use core::arch::x86_64::*;

use super::level::has_avx512;
use super::{Kernel, Level, Simd};

/// Proof that this machine has AVX-512 (F, BW, DQ, VL), AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The proof, if the processor has the instructions.
    pub fn new() -> Option<Self> {
        has_avx512().then_some(Self(()))
    }
}

/// Compiles a kernel with the instructions switched on.
///
/// # Safety
/// [`Avx512::new`] must have returned a proof on this machine.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

/// The lanes below `count`.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count < 16);
    ((1_u32 << count) - 1) as __mmask16
}

// Every method below rests on the same argument: `self` proves that the instructions exist.
impl Simd for Avx512 {
    type V = __m512;
    type M = __mmask16;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 8;
    const LEVEL: Level = Level::Avx512;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> Self::V {
        // SAFETY: `self` proves that the instruction exists; the caller promises the memory.
        unsafe { _mm512_loadu_ps(at) }
    }

    #[inline(always)]
    unsafe fn store_ptr(self, at: *mut f32, v: Self::V) {
        // SAFETY: `self` proves that the instruction exists; the caller promises the memory.
        unsafe { _mm512_storeu_ps(at, v) }
    }

    #[inline(always)]
    unsafe fn load_part_ptr(self, at: *const f32, count: usize, fill: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists; masked lanes are not accessed.
        unsafe { _mm512_mask_loadu_ps(fill, first(count), at) }
    }

    #[inline(always)]
    unsafe fn store_part_ptr(self, at: *mut f32, count: usize, v: Self::V) {
        // SAFETY: `self` proves that the instruction exists; masked lanes are not accessed.
        unsafe { _mm512_mask_storeu_ps(at, first(count), v) }
    }

    #[inline(always)]
    unsafe fn load_bf16_ptr(self, at: *const u16) -> Self::V {
        // SAFETY: `self` proves that the instructions exist; the caller promises the memory.
        unsafe {
            let halves = _mm256_loadu_si256(at.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }

    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // Pairs of rows, then quadruples, then 128-bit lanes across the four quadruples.
        // SAFETY: `self` proves that the instructions exist; the caller promises both blocks.
        unsafe {
            let mut pair = [_mm512_setzero_ps(); 16];
            for i in 0..8 {
                let upper = _mm512_loadu_ps(from.add(2 * i * from_stride));
                let lower = _mm512_loadu_ps(from.add((2 * i + 1) * from_stride));
                pair[2 * i] = _mm512_unpacklo_ps(upper, lower);
                pair[2 * i + 1] = _mm512_unpackhi_ps(upper, lower);
            }
            let mut quad = [_mm512_setzero_ps(); 16];
            for i in 0..4 {
                // Written out: a closure would not have the instructions of this function.
                let p = [
                    _mm512_castps_pd(pair[4 * i]),
                    _mm512_castps_pd(pair[4 * i + 1]),
                    _mm512_castps_pd(pair[4 * i + 2]),
                    _mm512_castps_pd(pair[4 * i + 3]),
                ];
                quad[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p[0], p[2]));
                quad[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p[0], p[2]));
                quad[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(p[1], p[3]));
                quad[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(p[1], p[3]));
            }
            for c in 0..4 {
                let even_top = _mm512_shuffle_f32x4::<0x88>(quad[c], quad[4 + c]);
                let odd_top = _mm512_shuffle_f32x4::<0xdd>(quad[c], quad[4 + c]);
                let even_low = _mm512_shuffle_f32x4::<0x88>(quad[8 + c], quad[12 + c]);
                let odd_low = _mm512_shuffle_f32x4::<0xdd>(quad[8 + c], quad[12 + c]);
                _mm512_storeu_ps(to.add(c * to_stride), _mm512_shuffle_f32x4::<0x88>(even_top, even_low));
                _mm512_storeu_ps(to.add((4 + c) * to_stride), _mm512_shuffle_f32x4::<0x88>(odd_top, odd_low));
                _mm512_storeu_ps(
                    to.add((8 + c) * to_stride),
                    _mm512_shuffle_f32x4::<0xdd>(even_top, even_low),
                );
                _mm512_storeu_ps(
                    to.add((12 + c) * to_stride),
                    _mm512_shuffle_f32x4::<0xdd>(odd_top, odd_low),
                );
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_scalef_ps(a, n) }
    }

    #[inline(always)]
    fn select_gt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), y, x) }
    }

    #[inline(always)]
    fn copysign(self, magnitude: Self::V, sign: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe {
            let minus = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(minus, magnitude), _mm512_and_ps(minus, sign))
        }
    }

    #[inline(always)]
    fn le_u32(self, x: &[u32], limit: u32) -> Self::M {
        assert!(x.len() >= 16);
        // SAFETY: `self` proves that the instructions exist; the slice is long enough.
        unsafe {
            _mm512_cmple_epu32_mask(_mm512_loadu_si512(x.as_ptr().cast()), _mm512_set1_epi32(limit as i32))
        }
    }

    #[inline(always)]
    fn eq_u32(self, x: &[u32], value: u32) -> Self::M {
        assert!(x.len() >= 16);
        // SAFETY: `self` proves that the instructions exist; the slice is long enough.
        unsafe {
            _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(x.as_ptr().cast()), _mm512_set1_epi32(value as i32))
        }
    }

    #[inline(always)]
    fn within_u32(self, from: u32, x: &[u32], reach: u32) -> Self::M {
        assert!(x.len() >= 16);
        // SAFETY: `self` proves that the instructions exist; the slice is long enough.
        unsafe {
            let x = _mm512_loadu_si512(x.as_ptr().cast());
            let ahead = _mm512_sub_epi32(_mm512_set1_epi32(from as i32), x);
            _mm512_cmple_epu32_mask(ahead, _mm512_set1_epi32(reach as i32))
        }
    }

    #[inline(always)]
    fn eq(self, a: Self::V, b: Self::V) -> Self::M {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }

    #[inline(always)]
    fn and(self, a: Self::M, b: Self::M) -> Self::M {
        a & b
    }

    #[inline(always)]
    fn and_not(self, a: Self::M, b: Self::M) -> Self::M {
        a & !b
    }

    #[inline(always)]
    fn select(self, m: Self::M, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_mask_blend_ps(m, y, x) }
    }

    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        u32::from(m)
    }

    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    fn sums(self, [a, b, c, d]: [Self::V; 4]) -> [f32; 4] {
        // Halves, quarters, pairs, single lanes: the four vectors share every step. 128-bit lanes of `u`: one of each.
        // SAFETY: `self` proves that the instructions exist.
        unsafe {
            let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
            let u = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
            let u = _mm512_add_ps(u, _mm512_permute_ps::<0b01_00_11_10>(u));
            let u = _mm512_add_ps(u, _mm512_permute_ps::<0b10_11_00_01>(u));
            [
                _mm512_cvtss_f32(u),
                _mm_cvtss_f32(_mm512_extractf32x4_ps::<1>(u)),
                _mm_cvtss_f32(_mm512_extractf32x4_ps::<2>(u)),
                _mm_cvtss_f32(_mm512_extractf32x4_ps::<3>(u)),
            ]
        }
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        // SAFETY: a hint; it reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn maximum(self, a: Self::V) -> f32 {
        // SAFETY: `self` proves that the instruction exists.
        unsafe { _mm512_reduce_max_ps(a) }
    }
}
