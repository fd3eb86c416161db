//! Folding the softmax of one tile of keys into the running result of its rows.
//!
//! ```text
//! tile  m = max s_j,  Σ = Σ_j w_j exp(s_j − m),  o = Σ_j p_j v_j,  z_tile = m + log Σ
//! fold  z' = log(e^z + e^{z_tile}),  out ← out·e^{z − z'} + o·e^{m − z'}
//! ```
//! The logarithms and exponentials are taken for all sixteen rows at once.

use reformer_tensor::simd::{Simd, math};

use crate::softmax::{GROUP, Tops};

/// Folds a group's unnormalised `o: [GROUP, wide]` into the running `(out, z)` of its rows.
#[inline(always)]
pub(crate) fn fold<S: Simd>(s: S, tops: &Tops, o: &[f32], wide: usize, rows: &mut [[&mut [f32]; 2]]) {
    let mut z = [f32::NEG_INFINITY; GROUP];
    for (z, [_, row]) in z.iter_mut().zip(rows.iter()) {
        *z = row[0];
    }
    let (mut tile, mut top, mut total) = ([0.0; GROUP], [0.0; GROUP], [0.0; GROUP]);
    let logs = ln(&tops.sum);
    for i in 0..GROUP {
        tile[i] = tops.max[i] + logs[i];
        top[i] = if tile[i] > z[i] { tile[i] } else { z[i] };
    }
    let (mut old, mut new) = ([0.0; GROUP], [0.0; GROUP]);
    for i in 0..GROUP {
        // Rows that have never seen anything: anything finite, not ∞ − ∞.
        let top = if top[i] == f32::NEG_INFINITY { 0.0 } else { top[i] };
        (old[i], new[i]) = (z[i] - top, tile[i] - top);
    }
    exp(s, &mut old);
    exp(s, &mut new);
    for i in 0..GROUP {
        total[i] = old[i] + new[i];
        (old[i], new[i]) = (old[i] / total[i], new[i] / (total[i] * tops.sum[i]));
    }
    let logs = ln(&total);
    for (i, [out, z]) in rows.iter_mut().enumerate() {
        if tops.sum[i] == 0.0 {
            continue;
        }
        z[0] = top[i] + logs[i];
        let (old, new) = (s.splat(old[i]), s.splat(new[i]));
        // What a row holds before it has seen anything is no number to multiply by 0.
        if total[i] == 1.0 && z[0] == tile[i] {
            crate::key::map(
                s,
                &o[i * wide..(i + 1) * wide],
                out,
                #[inline(always)]
                |x| s.mul(x, new),
            );
        } else {
            crate::key::map_with(
                s,
                &o[i * wide..(i + 1) * wide],
                out,
                #[inline(always)]
                |x, y| s.mul_add(x, new, s.mul(y, old)),
            );
        }
    }
}

#[inline(always)]
fn exp<S: Simd>(s: S, x: &mut [f32; GROUP]) {
    for x in x.chunks_exact_mut(S::LANES) {
        let y = math::exp(s, s.load(x));
        s.store(x, y);
    }
}

/// `log x` of positive normal numbers, within 2 ulp: Cephes' polynomial over `[√½, √2)`.
#[inline(always)]
fn ln(x: &[f32; GROUP]) -> [f32; GROUP] {
    let mut y = [0.0; GROUP];
    for i in 0..GROUP {
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

#[cfg(test)]
mod tests {
    use reformer_tensor::simd::{Kernel, dispatch};

    use super::*;

    struct Fold<'a>(&'a Tops, &'a [f32], &'a mut [[&'a mut [f32]; 2]]);

    impl Kernel for Fold<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            fold(s, self.0, self.1, 1, self.2);
        }
    }

    fn tops(scores: &[f32]) -> Tops {
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = scores.iter().map(|s| (s - max).exp()).sum();
        Tops { max: [max; GROUP], sum: [sum; GROUP] }
    }

    #[test]
    fn folding_two_tiles_is_one_softmax_over_both() {
        let (s1, s2) = ([0.3_f32, -1.0], [2.0_f32, 0.1]);
        let (mut out, mut z) = ([f32::NAN], [f32::NEG_INFINITY]);
        for (s, v) in [(s1, [1.0_f32, 2.0]), (s2, [3.0, -4.0])] {
            let tops = tops(&s);
            let o = [(s[0] - tops.max[0]).exp() * v[0] + (s[1] - tops.max[0]).exp() * v[1]; GROUP];
            dispatch(Fold(&tops, &o, &mut [[&mut out[..], &mut z[..]]]));
        }
        let all: f32 = [0.3_f32, -1.0, 2.0, 0.1].iter().map(|s| s.exp()).sum();
        let o = (0.3_f32.exp() + 2.0 * (-1.0_f32).exp() + 3.0 * 2.0_f32.exp() - 4.0 * 0.1_f32.exp()) / all;
        assert!((out[0] - o).abs() < 1e-6 && (z[0] - all.ln()).abs() < 1e-6, "{out:?} {z:?}");
    }

    #[test]
    fn a_row_that_sees_nothing_stays_as_it_is() {
        let nothing = Tops { max: [f32::NEG_INFINITY; GROUP], sum: [0.0; GROUP] };
        let (mut out, mut z) = ([7.0], [f32::NEG_INFINITY]);
        dispatch(Fold(&nothing, &[1.0; GROUP], &mut [[&mut out[..], &mut z[..]]]));
        assert_eq!((out, z), ([7.0], [f32::NEG_INFINITY]));
        let (mut out, mut z) = ([7.0], [2.5]);
        dispatch(Fold(&nothing, &[1.0; GROUP], &mut [[&mut out[..], &mut z[..]]]));
        assert_eq!((out, z), ([7.0], [2.5]));
    }

    #[test]
    fn the_logarithm_is_within_two_ulp() {
        for i in 0..20_000 {
            let x = (1.0_f32 + i as f32 / 9_999.0) * [1.0e-30_f32, 0.5, 1.0, 777.0, 3.0e30][i % 5];
            let (got, truth) = (f64::from(ln(&[x; GROUP])[3]), f64::from(x).ln());
            let allowed = 2.0 * f64::from(f32::EPSILON) * truth.abs().max(0.5);
            assert!((got - truth).abs() <= allowed, "ln {x} = {got}, {truth}");
        }
    }
}
