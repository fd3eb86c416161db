//! One row of a tile: who is visible with which weight, softmax, its backward, folding into the running result.
//!
//! ```text
//! w_j   = 0 if j is invisible, else exp(−correction)          correction = log(N_ij + 1e-9) or 0
//! m     = max_{w_j > 0} s_j        p_j = w_j exp(s_j − m)     Σ = Σ_j p_j      z_tile = m + log Σ
//! fold  z' = log(e^z + e^{z_tile}),  out ← out·e^{z − z'} + o·e^{m − z'}       o = Σ_j p_j v_j
//! backward   P_j = w_j exp(s_j − z),  dS_j = P_j (dP_j − D)                    D = dO·O, over all rounds
//! ```
//!
//! Everything is plain safe Rust in blocks of sixteen lanes, which the compiler turns into vector code of whatever level
//! the caller dispatched to; loops over integers, compares and selects vectorise, a `max` or `Σ` over a slice of floats
//! would not (its order is fixed), hence the lanes.

/// Lanes of a block; every tile's number of keys is a multiple of it.
pub(crate) const LANES: usize = 16;

type Block = [f32; LANES];

/// The keys of a tile, one entry each.
#[derive(Clone, Copy)]
pub(crate) struct KeySide<'a> {
    /// [`crate::mask::Sight::horizon_key`].
    pub(crate) horizon: &'a [u32],
    /// Original position.
    pub(crate) id: &'a [u32],
    /// What must equal the query's: the bucket (with its round) or always 0.
    pub(crate) gate: &'a [u32],
    /// `[rounds, keys]`: see [`Meeting`].
    pub(crate) codes: &'a [u32],
    /// `[rounds, keys]`: buckets, for [`Meeting::Circle`] with same bucket only.
    pub(crate) buckets: &'a [u32],
}

/// One query of a tile.
#[derive(Clone, Copy)]
pub(crate) struct QuerySide<'a> {
    pub(crate) horizon: u32,
    pub(crate) id: u32,
    pub(crate) gate: u32,
    /// `[rounds]`.
    pub(crate) codes: &'a [u32],
    /// `[rounds]`.
    pub(crate) buckets: &'a [u32],
}

/// How pairs that meet in several rounds are weighted, and what "meet" means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meeting {
    /// Every visible pair weighs 1.
    Uncounted,
    /// In round h: `0 ≤ code_q + after − code_k ≤ reach`. A code is a chunk number, plus `(reach + 1)·bucket` where only
    /// the same bucket is visible: sorted by bucket, chunk numbers rise with buckets, so that one comparison decides
    /// both. Weight `1/(N + 1e-9)`.
    Window { after: u32, reach: u32 },
    /// The same on a circle of `total` chunks; buckets are compared apart.
    Circle { after: u32, reach: u32, total: u32, same_bucket: bool },
    /// In round h: codes (buckets) are equal. A pair that never meets is invisible; else it weighs 1, or N if duplicates
    /// are kept.
    Anywhere { keep: bool },
}

/// Fills the weights of one query.
#[inline(always)]
pub(crate) fn weights(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, meeting: Meeting) {
    let n = w.len();
    match meeting {
        Meeting::Uncounted => fill(w, keys, query, |_| [1.0; LANES]),
        Meeting::Window { after, reach } => fill(w, keys, query, |at| {
            let met = |h: usize, l: usize, k: &[u32; LANES]| {
                query.codes[h].wrapping_add(after).wrapping_sub(k[l]) <= reach
            };
            count(keys.codes, n, at, query.codes.len(), met).map(|n| 1.0 / (n + 1e-9))
        }),
        Meeting::Circle { after, reach, total, same_bucket } => fill(w, keys, query, |at| {
            let met = |h: usize, l: usize, k: &[u32; LANES]| {
                let ahead = query.codes[h] + after + total - k[l];
                let ahead = if ahead >= 2 * total { ahead - 2 * total } else { ahead };
                let ahead = if ahead >= total { ahead - total } else { ahead };
                ahead <= reach && (!same_bucket || keys.buckets[h * n + at + l] == query.buckets[h])
            };
            count(keys.codes, n, at, query.codes.len(), met).map(|n| 1.0 / (n + 1e-9))
        }),
        Meeting::Anywhere { keep } => fill(w, keys, query, |at| {
            let met = |h: usize, l: usize, k: &[u32; LANES]| query.codes[h] == k[l];
            let met = count(keys.codes, n, at, query.codes.len(), met);
            if keep { met } else { met.map(|n| n.min(1.0)) }
        }),
    }
}

#[inline(always)]
fn fill(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, factor: impl Fn(usize) -> Block) {
    let blocks = w.as_chunks_mut::<LANES>().0.iter_mut().zip(keys.horizon.as_chunks::<LANES>().0);
    let same = keys.id.as_chunks::<LANES>().0.iter().zip(keys.gate.as_chunks::<LANES>().0);
    for (b, ((w, horizon), (id, gate))) in blocks.zip(same).enumerate() {
        let factor = factor(b * LANES);
        for l in 0..LANES {
            let visible = (horizon[l] <= query.horizon) & (id[l] != query.id) & (gate[l] == query.gate);
            w[l] = if visible { factor[l] } else { 0.0 };
        }
    }
}

#[inline(always)]
fn count(
    codes: &[u32],
    keys: usize,
    at: usize,
    rounds: usize,
    met: impl Fn(usize, usize, &[u32; LANES]) -> bool,
) -> Block {
    let mut sums = [0_u32; LANES];
    for h in 0..rounds {
        let Some(block) = codes[h * keys + at..].first_chunk::<LANES>() else { break };
        for l in 0..LANES {
            sums[l] += u32::from(met(h, l, block));
        }
    }
    sums.map(|n| n as f32)
}

/// Hides keys that the pair mask hides.
pub(crate) fn hide_pairs(w: &mut [f32], ids: &[u32], pairs: &[bool]) {
    for (w, &id) in w.iter_mut().zip(ids) {
        if !pairs.get(id as usize).copied().unwrap_or(false) {
            *w = 0.0;
        }
    }
}

/// `s ← p`; returns `(m, Σ)`. A row that sees nothing becomes zeros with `m = −∞`, `Σ = 0`.
#[inline(always)]
pub(crate) fn softmax(s: &mut [f32], w: &[f32]) -> (f32, f32) {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for (s, w) in s.as_chunks::<LANES>().0.iter().zip(w.as_chunks::<LANES>().0) {
        for l in 0..LANES {
            let x = if w[l] > 0.0 { s[l] } else { f32::NEG_INFINITY };
            lanes[l] = if x > lanes[l] { x } else { lanes[l] };
        }
    }
    let max = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        s.fill(0.0);
        return (max, 0.0);
    }
    let mut sums = [0.0_f32; LANES];
    for (s, w) in s.as_chunks_mut::<LANES>().0.iter_mut().zip(w.as_chunks::<LANES>().0) {
        for l in 0..LANES {
            let p = w[l] * exp(s[l] - max);
            s[l] = if w[l] > 0.0 { p } else { 0.0 };
            sums[l] += s[l];
        }
    }
    (max, tree_sum(&sums))
}

/// `s ← P`, `dp ← dS`, without dropout.
#[inline(always)]
pub(crate) fn softmax_backward(s: &mut [f32], dp: &mut [f32], w: &[f32], z: f32, d: f32) {
    let rows = s.as_chunks_mut::<LANES>().0.iter_mut().zip(dp.as_chunks_mut::<LANES>().0);
    for ((s, dp), w) in rows.zip(w.as_chunks::<LANES>().0) {
        for l in 0..LANES {
            let p = w[l] * exp(s[l] - z);
            let p = if w[l] > 0.0 { p } else { 0.0 };
            s[l] = p;
            dp[l] = p * (dp[l] - d);
        }
    }
}

/// Folds one tile's unnormalised `o` with its `(m, Σ)` into the running `out` and `z`.
#[inline(always)]
pub(crate) fn fold(out: &mut [f32], z: &mut f32, o: &[f32], max: f32, sum: f32) {
    if sum == 0.0 {
        return;
    }
    let tile = max + sum.ln();
    if *z == f32::NEG_INFINITY {
        let new = 1.0 / sum;
        for (out, o) in out.iter_mut().zip(o) {
            *out = o * new;
        }
        *z = tile;
        return;
    }
    let top = if tile > *z { tile } else { *z };
    let (a, b) = ((*z - top).exp(), (tile - top).exp());
    let total = a + b;
    let (old, new) = (a / total, b / (total * sum));
    for (out, o) in out.iter_mut().zip(o) {
        *out = *out * old + o * new;
    }
    *z = top + total.ln();
}

#[inline(always)]
fn tree_sum(sums: &Block) -> f32 {
    let mut sums = *sums;
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
    }
    sums[0]
}

/// `e^x` for `x ≤ 88`, relative error below 2e-7; below −87 it stays at `e^−87`.
///
/// `e^x = 2^n·e^r`, `n` the nearest integer to `x·log₂e` (adding `1.5·2²³` rounds it, and leaves `n` in the low bits),
/// `|r| ≤ ln 2/2`, and `e^r` by its Taylor polynomial of degree 7: fewer terms need fitted coefficients.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "ln 2 in two parts, digits as the split gives them")]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * core::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut e = 1.0 / 5040.0;
    e = e * r + 1.0 / 720.0;
    e = e * r + 1.0 / 120.0;
    e = e * r + 1.0 / 24.0;
    e = e * r + 1.0 / 6.0;
    e = e * r + 0.5;
    e = e * r + 1.0;
    e = e * r + 1.0;
    e * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_round_off_over_its_range() {
        let mut worst = 0.0_f64;
        for i in 0..=175_000 {
            let x = -87.0 + i as f32 * 1e-3;
            let truth = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - truth).abs() / truth);
        }
        assert!(worst < 2e-7, "{worst:e}");
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn folding_two_tiles_is_one_softmax_over_both() {
        let (s1, s2) = ([0.3_f32, -1.0], [2.0_f32, 0.1]);
        let mut out = [f32::NAN; 1];
        let mut z = f32::NEG_INFINITY;
        for (s, v) in [(s1, [1.0_f32, 2.0]), (s2, [3.0, -4.0])] {
            let mut p = [0.0; LANES];
            p[..2].copy_from_slice(&s);
            let mut w = [0.0; LANES];
            w[..2].fill(1.0);
            let (max, sum) = softmax(&mut p, &w);
            fold(&mut out, &mut z, &[p[0] * v[0] + p[1] * v[1]], max, sum);
        }
        let all: f32 = [0.3_f32, -1.0, 2.0, 0.1].iter().map(|s| s.exp()).sum();
        let o = (0.3_f32.exp() + 2.0 * (-1.0_f32).exp() + 3.0 * 2.0_f32.exp() - 4.0 * 0.1_f32.exp()) / all;
        assert!((out[0] - o).abs() < 1e-6 && (z - all.ln()).abs() < 1e-6, "{out:?} {z}");
    }

    #[test]
    fn a_row_that_sees_nothing_stays_empty() {
        let mut s = [1.0; LANES];
        let (max, sum) = softmax(&mut s, &[0.0; LANES]);
        let (mut out, mut z) = ([7.0], f32::NEG_INFINITY);
        fold(&mut out, &mut z, &[1.0], max, sum);
        assert_eq!((s, out, z), ([0.0; LANES], [7.0], f32::NEG_INFINITY));
    }
}
