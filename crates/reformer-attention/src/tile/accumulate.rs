//! Step 4 of a tile: the softmax of one tile of keys into the running result of its rows.
//!
//! ```text
//! tile   m = max s_j,  Σ = Σ_j w_j exp(s_j − m),  o = Σ_j p_j v_j,  z_tile = m + log Σ
//! rows   z' = log(e^z + e^{z_tile}),  out ← out·e^{z − z'} + o·e^{m − z'}
//! ```
//! Rows are kept normalised from tile to tile, not only at the end: a position's tiles come round after round, and
//! between two of them its row is somebody else's memory, so an unnormalised row would have to keep its sum beside it.
//! The logarithms and exponentials are taken for all sixteen rows at once.

use reformer_tensor::simd::{Simd, math, row};

use super::QUERIES;
use super::softmax::RowStats;

/// The running results of a tile's rows: `[out, z]`.
pub(crate) type RunningRows<'a> = [[&'a mut [f32]; 2]];

/// Accumulates a tile's unnormalised `o: [QUERIES, wide]` into the running `(out, z)` of its rows.
#[inline(always)]
pub(crate) fn accumulate<S: Simd>(
    s: S,
    stats: &RowStats,
    o: &[f32],
    wide: usize,
    running: &mut RunningRows<'_>,
) {
    let mut z = [f32::NEG_INFINITY; QUERIES];
    for (z, [_, row]) in z.iter_mut().zip(running.iter()) {
        *z = row[0];
    }
    let (mut tile, mut top, mut total) = ([0.0; QUERIES], [0.0; QUERIES], [0.0; QUERIES]);
    let logs = math::ln(&stats.sum);
    for i in 0..QUERIES {
        tile[i] = stats.max[i] + logs[i];
        top[i] = if tile[i] > z[i] { tile[i] } else { z[i] };
    }
    let (mut old, mut new) = ([0.0; QUERIES], [0.0; QUERIES]);
    for i in 0..QUERIES {
        // Rows that have never seen anything: anything finite, not ∞ − ∞.
        let top = if top[i] == f32::NEG_INFINITY { 0.0 } else { top[i] };
        (old[i], new[i]) = (z[i] - top, tile[i] - top);
    }
    exp(s, &mut old);
    exp(s, &mut new);
    for i in 0..QUERIES {
        total[i] = old[i] + new[i];
        (old[i], new[i]) = (old[i] / total[i], new[i] / (total[i] * stats.sum[i]));
    }
    let logs = math::ln(&total);
    for (i, [out, z]) in running.iter_mut().enumerate() {
        if stats.sum[i] == 0.0 {
            continue;
        }
        z[0] = top[i] + logs[i];
        let o = &o[i * wide..(i + 1) * wide];
        if total[i] == 1.0 && z[0] == tile[i] {
            // What a row holds before it has seen anything is no number to multiply by 0.
            row::scale(s, new[i], o, out);
        } else {
            row::blend(s, new[i], o, old[i], out);
        }
    }
}

#[inline(always)]
fn exp<S: Simd>(s: S, x: &mut [f32; QUERIES]) {
    for x in x.chunks_exact_mut(S::LANES) {
        let y = math::exp(s, s.load(x));
        s.store(x, y);
    }
}

#[cfg(test)]
mod tests {
    use reformer_tensor::simd::{Kernel, dispatch};

    use super::*;

    struct Accumulate<'a>(&'a RowStats, &'a [f32], &'a mut [[&'a mut [f32]; 2]]);

    impl Kernel for Accumulate<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            accumulate(s, self.0, self.1, 1, self.2);
        }
    }

    fn stats(scores: &[f32]) -> RowStats {
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = scores.iter().map(|s| (s - max).exp()).sum();
        RowStats { max: [max; QUERIES], sum: [sum; QUERIES] }
    }

    #[test]
    fn two_tiles_one_after_the_other_are_one_softmax_over_both() {
        let (s1, s2) = ([0.3_f32, -1.0], [2.0_f32, 0.1]);
        let (mut out, mut z) = ([f32::NAN], [f32::NEG_INFINITY]);
        for (s, v) in [(s1, [1.0_f32, 2.0]), (s2, [3.0, -4.0])] {
            let stats = stats(&s);
            let o = [(s[0] - stats.max[0]).exp() * v[0] + (s[1] - stats.max[0]).exp() * v[1]; QUERIES];
            dispatch(Accumulate(&stats, &o, &mut [[&mut out[..], &mut z[..]]]));
        }
        let all: f32 = [0.3_f32, -1.0, 2.0, 0.1].iter().map(|s| s.exp()).sum();
        let o = (0.3_f32.exp() + 2.0 * (-1.0_f32).exp() + 3.0 * 2.0_f32.exp() - 4.0 * 0.1_f32.exp()) / all;
        assert!((out[0] - o).abs() < 1e-6 && (z[0] - all.ln()).abs() < 1e-6, "{out:?} {z:?}");
    }

    #[test]
    fn a_row_that_sees_nothing_stays_as_it_is() {
        let nothing = RowStats { max: [f32::NEG_INFINITY; QUERIES], sum: [0.0; QUERIES] };
        let (mut out, mut z) = ([7.0], [f32::NEG_INFINITY]);
        dispatch(Accumulate(&nothing, &[1.0; QUERIES], &mut [[&mut out[..], &mut z[..]]]));
        assert_eq!((out, z), ([7.0], [f32::NEG_INFINITY]));
        let (mut out, mut z) = ([7.0], [2.5]);
        dispatch(Accumulate(&nothing, &[1.0; QUERIES], &mut [[&mut out[..], &mut z[..]]]));
        assert_eq!((out, z), ([7.0], [2.5]));
    }
}
