//! Elementary functions of a vector.
//!
//! - `exp`: `x = n·ln 2 + r`, `|r| ≤ ½ ln 2`, `exp x = 2ⁿ·P(r)`; `n·ln 2` is taken off in two parts (Cody and Waite)
//!   and `P` is Cephes' polynomial. Within 2 ulp; overflows to `∞`, underflows through the subnormals to 0, keeps
//!   NaN.
//! - `tanh`: Cephes' odd polynomial below 0.625, `1 − 2/(exp 2|x| + 1)` above it.
//! - `ln`: Cephes' polynomial over `[√½, √2)`, of positive normal numbers. Within 2 ulp.
//! - `erf`: minimax polynomials below 0.92 in `x`, and in the exponent of `1 − exp(…)` above it. Within 2 ulp.

use super::Simd;

/// `eˣ`.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // NaN is the second operand, which `max` and `min` hand on.
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let n = s.round(s.mul(x, s.splat(core::f32::consts::LOG2_E)));
    // 0.693359375, which n multiplies exactly.
    let r = s.neg_mul_add(n, s.splat(355.0 / 512.0), x);
    let r = s.neg_mul_add(n, s.splat(-2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_2e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        p = s.mul_add(p, r, s.splat(c));
    }
    let p = s.add(s.mul_add(p, s.mul(r, r), r), s.splat(1.0));
    s.scale_by_power(p, n)
}

/// `log x` of positive normal numbers: over an array, not a vector, because taking a float apart needs the integer
/// operations that [`Simd`] has not; the compiler turns the loop into them.
#[inline(always)]
pub fn ln<const N: usize>(x: &[f32; N]) -> [f32; N] {
    let mut y = [0.0; N];
    for i in 0..N {
        let bits = x[i].to_bits();
        let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
        let e = ((bits >> 23) as i32 - 126) as f32;
        let small = m < core::f32::consts::FRAC_1_SQRT_2;
        let e = if small { e - 1.0 } else { e };
        let m = if small { m + m - 1.0 } else { m - 1.0 };
        let mut p = 7.037_683_6e-2;
        for c in [
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ] {
            p = p * m + c;
        }
        let square = m * m;
        let p = p * m * square - 2.121_944_4e-4 * e - 0.5 * square;
        y[i] = m + p + 0.693_359_4 * e;
    }
    y
}

/// `1/(1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.zero(), x))))
}

/// `tanh x`.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let size = s.abs(x);
    let square = s.mul(x, x);
    let mut p = s.splat(-5.704_988_7e-3);
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = s.mul_add(p, square, s.splat(c));
    }
    let near = s.mul_add(s.mul(p, square), x, x);
    let one = s.splat(1.0);
    let e = exp(s, s.add(size, size));
    let far = s.sub(one, s.div(s.splat(2.0), s.add(e, one)));
    // NaN compares false and takes `near`, which is NaN.
    s.select_gt(size, s.splat(0.625), s.copysign(far, x), near)
}

/// `erf x = 2/√π ∫₀ˣ exp(−t²) dt`.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let size = s.abs(x);
    let square = s.mul(x, x);
    let mut near = s.splat(-5.967_617e-4);
    for c in [4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_25e-1, -3.761_253_6e-1, 1.283_791_7e-1] {
        near = s.mul_add(near, square, s.splat(c));
    }
    let near = s.mul_add(near, x, x);
    // log erfc: two short chains instead of one long one. Beyond 4 it is 1, and the chain would overflow.
    let t = s.min(s.splat(4.0), size);
    let t2 = s.mul(t, t);
    let high = s.mul_add(s.splat(-1.728_534_7e-5), t, s.splat(3.831_971_3e-4));
    let low = s.mul_add(s.splat(-3.883_964e-3), t, s.splat(2.425_464_2e-2));
    let mut far = s.mul_add(high, t2, low);
    for c in [-1.067_778_8e-1, -6.348_467e-1, -1.287_175_1e-1] {
        far = s.mul_add(far, t, s.splat(c));
    }
    let far = s.sub(s.mul(far, t), t);
    let far = s.sub(s.splat(1.0), exp(s, far));
    s.select_gt(size, s.splat(0.921_875), s.copysign(far, x), near)
}
