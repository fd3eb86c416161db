//! Vectors as small arrays, for processors without AVX2: the compiler maps four lanes to SSE2 or NEON.

use super::{Level, Simd};

/// The portable level; always there.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

const LANES: usize = 4;

#[inline(always)]
fn each(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for lane in 0..LANES {
        out[lane] = f(a[lane], b[lane]);
    }
    out
}

/// `f32::mul_add` is a library call where the processor has no such instruction.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

impl Simd for Portable {
    type V = [f32; LANES];
    type M = [bool; LANES];
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 4;
    const LEVEL: Level = Level::Portable;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> Self::V {
        // SAFETY: the caller promises that `LANES` floats are readable; `[f32; LANES]` needs no more alignment.
        unsafe { at.cast::<Self::V>().read() }
    }

    #[inline(always)]
    unsafe fn store_ptr(self, at: *mut f32, v: Self::V) {
        // SAFETY: the caller promises that `LANES` floats are writable.
        unsafe { at.cast::<Self::V>().write(v) }
    }

    #[inline(always)]
    unsafe fn load_part_ptr(self, at: *const f32, count: usize, fill: Self::V) -> Self::V {
        let mut out = fill;
        for (lane, x) in out.iter_mut().enumerate().take(count) {
            // SAFETY: the caller promises that `count` floats are readable.
            *x = unsafe { at.add(lane).read() };
        }
        out
    }

    #[inline(always)]
    unsafe fn store_part_ptr(self, at: *mut f32, count: usize, v: Self::V) {
        for (lane, &x) in v.iter().enumerate().take(count) {
            // SAFETY: the caller promises that `count` floats are writable.
            unsafe { at.add(lane).write(x) }
        }
    }

    #[inline(always)]
    unsafe fn load_bf16_ptr(self, at: *const u16) -> Self::V {
        let mut out = [0.0; LANES];
        for (lane, x) in out.iter_mut().enumerate() {
            // SAFETY: the caller promises that `LANES` numbers are readable.
            *x = f32::from_bits(u32::from(unsafe { at.add(lane).read_unaligned() }) << 16);
        }
        out
    }

    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for i in 0..LANES {
            for j in 0..LANES {
                // SAFETY: the caller promises both blocks.
                unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) }
            }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut out = c;
        for lane in 0..LANES {
            out[lane] = fused(a[lane], b[lane], c[lane]);
        }
        out
    }

    #[inline(always)]
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut out = c;
        for lane in 0..LANES {
            out[lane] = fused(-a[lane], b[lane], c[lane]);
        }
        out
    }

    // The comparisons are written as x86 has them, so that a NaN takes the same way at every level.
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        a.map(f32::abs)
    }

    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // Adding and taking off 1.5·2²³ rounds to an integer, ties to even, for |a| < 2²²: more than kernels use.
        const SHIFT: f32 = 12_582_912.0;
        a.map(|x| (x + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V {
        each(a, n, |a, n| {
            // In two steps: 2¹²⁸ and 2⁻¹⁵⁰ are not normal numbers themselves.
            let n = n as i32;
            let half = n >> 1;
            let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
            a * power(half) * power(n - half)
        })
    }

    #[inline(always)]
    fn select_gt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        let mut out = y;
        for lane in 0..LANES {
            if a[lane] > b[lane] {
                out[lane] = x[lane];
            }
        }
        out
    }

    #[inline(always)]
    fn copysign(self, magnitude: Self::V, sign: Self::V) -> Self::V {
        each(magnitude, sign, f32::copysign)
    }

    #[inline(always)]
    fn le_u32(self, x: &[u32], limit: u32) -> Self::M {
        core::array::from_fn(|lane| x[lane] <= limit)
    }

    #[inline(always)]
    fn eq_u32(self, x: &[u32], value: u32) -> Self::M {
        core::array::from_fn(|lane| x[lane] == value)
    }

    #[inline(always)]
    fn within_u32(self, from: u32, x: &[u32], reach: u32) -> Self::M {
        core::array::from_fn(|lane| from.wrapping_sub(x[lane]) <= reach)
    }

    #[inline(always)]
    fn eq(self, a: Self::V, b: Self::V) -> Self::M {
        core::array::from_fn(|lane| a[lane] == b[lane])
    }

    #[inline(always)]
    fn and(self, a: Self::M, b: Self::M) -> Self::M {
        core::array::from_fn(|lane| a[lane] && b[lane])
    }

    #[inline(always)]
    fn and_not(self, a: Self::M, b: Self::M) -> Self::M {
        core::array::from_fn(|lane| a[lane] && !b[lane])
    }

    #[inline(always)]
    fn select(self, m: Self::M, x: Self::V, y: Self::V) -> Self::V {
        core::array::from_fn(|lane| if m[lane] { x[lane] } else { y[lane] })
    }

    #[inline(always)]
    fn bits(self, m: Self::M) -> u32 {
        (0..LANES).map(|lane| u32::from(m[lane]) << lane).sum()
    }

    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }

    #[inline(always)]
    fn maximum(self, a: Self::V) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
