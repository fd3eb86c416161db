//! One row of a tile: who is visible with which weight, softmax, its backward, folding into the running result.
//!
//! ```text
//! w_j   = 0 if j is invisible, else exp(−correction)          correction = log(N_ij + 1e-9) or 0
//! m     = max_{w_j > 0} s_j        p_j = w_j exp(s_j − m)     Σ = Σ_j p_j      z_tile = m + log Σ
//! fold  z' = log(e^z + e^{z_tile}),  out ← out·e^{z − z'} + o·e^{m − z'}       o = Σ_j p_j v_j
//! backward   P_j = w_j exp(s_j − z),  dS_j = P_j (dP_j − D)                    D = dO·O, over all rounds
//! ```
//!
//! A tile's rows are one [`Kernel`], so that everything below is compiled with the instructions chosen at run time.
//! Floats go through [`Simd`]; integers, compares and selects are plain loops over blocks of [`LANES`], which the compiler
//! turns into vector code of the same level.

#![allow(clippy::inline_always)] // what a kernel calls must be compiled with the kernel's instructions

use reformer_tensor::simd::{Kernel, Simd, dispatch, math};
use reformer_tensor::{Key, ViewMut};

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
#[derive(Clone, Copy, Default)]
pub(crate) struct QuerySide<'a> {
    pub(crate) horizon: u32,
    pub(crate) id: u32,
    pub(crate) gate: u32,
    /// `[rounds]`.
    pub(crate) codes: &'a [u32],
    /// `[rounds]`.
    pub(crate) buckets: &'a [u32],
    /// The query's row of the pair mask, `[len]`.
    pub(crate) pairs: Option<&'a [bool]>,
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
fn weights(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, meeting: Meeting) {
    let n = w.len();
    match meeting {
        Meeting::Uncounted => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |_| [1.0; LANES],
        ),
        Meeting::Window { after, reach } => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                let met = |h: usize, l: usize, k: &[u32; LANES]| {
                    query.codes[h].wrapping_add(after).wrapping_sub(k[l]) <= reach
                };
                count(keys.codes, n, at, query.codes.len(), met).map(|n| 1.0 / (n + 1e-9))
            },
        ),
        Meeting::Circle { after, reach, total, same_bucket } => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                let met = |h: usize, l: usize, k: &[u32; LANES]| {
                    let ahead = query.codes[h] + after + total - k[l];
                    let ahead = if ahead >= 2 * total { ahead - 2 * total } else { ahead };
                    let ahead = if ahead >= total { ahead - total } else { ahead };
                    ahead <= reach && (!same_bucket || keys.buckets[h * n + at + l] == query.buckets[h])
                };
                count(keys.codes, n, at, query.codes.len(), met).map(|n| 1.0 / (n + 1e-9))
            },
        ),
        Meeting::Anywhere { keep } => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                let met = |h: usize, l: usize, k: &[u32; LANES]| query.codes[h] == k[l];
                let met = count(keys.codes, n, at, query.codes.len(), met);
                if keep { met } else { met.map(|n| n.min(1.0)) }
            },
        ),
    }
}

#[inline(always)]
fn fill(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, factor: impl Fn(usize) -> Block) {
    let blocks = w.as_chunks_mut::<LANES>().0.iter_mut().zip(keys.horizon.as_chunks::<LANES>().0);
    let same = keys.id.as_chunks::<LANES>().0.iter().zip(keys.gate.as_chunks::<LANES>().0);
    for (b, ((w, horizon), (id, gate))) in blocks.zip(same).enumerate() {
        let factor = factor(b * LANES);
        for l in 0..LANES {
            // Nested selects, not `&&`: branches would not vectorise.
            let seen = if horizon[l] <= query.horizon { factor[l] } else { 0.0 };
            let seen = if id[l] == query.id { 0.0 } else { seen };
            w[l] = if gate[l] == query.gate { seen } else { 0.0 };
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
        for (l, sum) in sums.iter_mut().enumerate() {
            *sum += u32::from(met(h, l, block));
        }
    }
    sums.map(|n| n as f32)
}

/// Hides keys that the pair mask hides.
fn hide_pairs(w: &mut [f32], ids: &[u32], pairs: &[bool]) {
    for (w, &id) in w.iter_mut().zip(ids) {
        if !pairs.get(id as usize).copied().unwrap_or(false) {
            *w = 0.0;
        }
    }
}

/// The rows of one tile: their queries, weights and scores.
pub(crate) struct Rows<'a> {
    pub(crate) keys: KeySide<'a>,
    pub(crate) queries: &'a [QuerySide<'a>],
    pub(crate) meeting: Meeting,
    /// `[keys]`, scratch.
    pub(crate) weight: &'a mut [f32],
    /// `[queries, keys]`: scores, becoming probabilities.
    pub(crate) scores: &'a mut [f32],
}

impl Rows<'_> {
    #[inline(always)]
    fn weigh(&mut self, i: usize) {
        let query = &self.queries[i];
        weights(self.weight, &self.keys, query, self.meeting);
        if let Some(pairs) = query.pairs {
            hide_pairs(self.weight, self.keys.id, pairs);
        }
    }
}

/// `s ← p` in every row, `tops ← (m, Σ)`. A row that sees nothing becomes zeros with `m = −∞`, `Σ = 0`.
pub(crate) fn softmax_rows(rows: Rows<'_>, tops: &mut [(f32, f32)]) {
    dispatch(Softmax { rows, tops });
}

struct Softmax<'a> {
    rows: Rows<'a>,
    tops: &'a mut [(f32, f32)],
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let n = self.rows.weight.len();
        for i in 0..self.rows.queries.len() {
            self.rows.weigh(i);
            self.tops[i] = softmax(simd, &mut self.rows.scores[i * n..(i + 1) * n], self.rows.weight);
        }
    }
}

#[inline(always)]
fn softmax<S: Simd>(simd: S, s: &mut [f32], w: &[f32]) -> (f32, f32) {
    let (zero, nothing) = (simd.zero(), simd.splat(f32::NEG_INFINITY));
    let mut top = nothing;
    for (s, w) in s.chunks_exact(S::LANES).zip(w.chunks_exact(S::LANES)) {
        let x = simd.select_gt(simd.load(w), zero, simd.load(s), nothing);
        top = simd.max(x, top);
    }
    let max = simd.maximum(top);
    if max == f32::NEG_INFINITY {
        s.fill(0.0);
        return (max, 0.0);
    }
    let (mut sums, shift) = (simd.zero(), simd.splat(max));
    for (s, w) in s.chunks_exact_mut(S::LANES).zip(w.chunks_exact(S::LANES)) {
        let w = simd.load(w);
        let p = simd.mul(w, math::exp(simd, simd.sub(simd.load(s), shift)));
        let p = simd.select_gt(w, zero, p, zero);
        simd.store(s, p);
        sums = simd.add(sums, p);
    }
    (max, simd.sum(sums))
}

/// `s ← P`, `dp ← dS` in every row; `known`: `(z, D)` of every query.
pub(crate) fn softmax_backward_rows(rows: Rows<'_>, dp: &mut [f32], known: &[(f32, f32)]) {
    dispatch(SoftmaxBackward { rows, dp, known });
}

struct SoftmaxBackward<'a> {
    rows: Rows<'a>,
    dp: &'a mut [f32],
    known: &'a [(f32, f32)],
}

impl Kernel for SoftmaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let n = self.rows.weight.len();
        let zero = simd.zero();
        for (i, &(z, d)) in self.known.iter().enumerate() {
            self.rows.weigh(i);
            // A row that saw nothing has z = −∞ and no weights; 0 keeps the arithmetic finite.
            let z = simd.splat(if z == f32::NEG_INFINITY { 0.0 } else { z });
            let d = simd.splat(d);
            let s = self.rows.scores[i * n..(i + 1) * n].chunks_exact_mut(S::LANES);
            let dp = self.dp[i * n..(i + 1) * n].chunks_exact_mut(S::LANES);
            for ((s, dp), w) in s.zip(dp).zip(self.rows.weight.chunks_exact(S::LANES)) {
                let w = simd.load(w);
                let p = simd.mul(w, math::exp(simd, simd.sub(simd.load(s), z)));
                let p = simd.select_gt(w, zero, p, zero);
                simd.store(s, p);
                simd.store(dp, simd.mul(p, simd.sub(simd.load(dp), d)));
            }
        }
    }
}

/// Folds one tile's unnormalised `o` with its `(m, Σ)` into the running `out` and `z` at the queries' positions.
pub(crate) fn fold_rows(
    out: &mut ViewMut<'_>,
    z: &mut [f32],
    positions: impl Iterator<Item = usize>,
    o: &[f32],
    tops: &[(f32, f32)],
) {
    dispatch(Fold { out, z, positions, o, tops });
}

struct Fold<'a, 'b, I> {
    out: &'a mut ViewMut<'b>,
    z: &'a mut [f32],
    positions: I,
    o: &'a [f32],
    tops: &'a [(f32, f32)],
}

impl<I: Iterator<Item = usize>> Kernel for Fold<'_, '_, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let dim = self.out.cols();
        for (i, position) in self.positions.enumerate() {
            let (max, sum) = self.tops[i];
            let o = &self.o[i * dim..(i + 1) * dim];
            fold(self.out.row_mut(position), &mut self.z[position], o, max, sum);
        }
    }
}

#[inline(always)]
fn fold(out: &mut [f32], z: &mut f32, o: &[f32], max: f32, sum: f32) {
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

/// `x_j ← x_j·mask(row, id_j)`, mask 0 or `keep`.
pub(crate) fn drop_out(x: &mut [f32], ids: &[u32], row: Key, threshold: u32, keep: f32) {
    dispatch(DropOut { x, ids, row, threshold, keep });
}

struct DropOut<'a> {
    x: &'a mut [f32],
    ids: &'a [u32],
    row: Key,
    threshold: u32,
    keep: f32,
}

impl Kernel for DropOut<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (x, &id) in self.x.iter_mut().zip(self.ids) {
            *x *= if self.row.bits(u64::from(id)) < self.threshold { 0.0 } else { self.keep };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lone_weights(n: usize) -> Vec<f32> {
        (0..LANES).map(|l| if l < n { 1.0 } else { 0.0 }).collect()
    }

    struct One<'a>(&'a mut [f32], &'a [f32]);

    impl Kernel for One<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> (f32, f32) {
            softmax(simd, self.0, self.1)
        }
    }

    #[test]
    fn folding_two_tiles_is_one_softmax_over_both() {
        let (s1, s2) = ([0.3_f32, -1.0], [2.0_f32, 0.1]);
        let mut out = [f32::NAN; 1];
        let mut z = f32::NEG_INFINITY;
        for (s, v) in [(s1, [1.0_f32, 2.0]), (s2, [3.0, -4.0])] {
            let mut p = [0.0; LANES];
            p[..2].copy_from_slice(&s);
            let (max, sum) = dispatch(One(&mut p, &lone_weights(2)));
            fold(&mut out, &mut z, &[p[0] * v[0] + p[1] * v[1]], max, sum);
        }
        let all: f32 = [0.3_f32, -1.0, 2.0, 0.1].iter().map(|s| s.exp()).sum();
        let o = (0.3_f32.exp() + 2.0 * (-1.0_f32).exp() + 3.0 * 2.0_f32.exp() - 4.0 * 0.1_f32.exp()) / all;
        assert!((out[0] - o).abs() < 1e-6 && (z - all.ln()).abs() < 1e-6, "{out:?} {z}");
    }

    #[test]
    fn a_row_that_sees_nothing_stays_empty() {
        let mut s = [1.0; LANES];
        let (max, sum) = dispatch(One(&mut s, &[0.0; LANES]));
        let (mut out, mut z) = ([7.0], f32::NEG_INFINITY);
        fold(&mut out, &mut z, &[1.0], max, sum);
        assert_eq!((s, out, z), ([0.0; LANES], [7.0], f32::NEG_INFINITY));
    }

    #[test]
    fn a_pair_that_meets_in_two_of_three_rounds_weighs_a_half() {
        let n = LANES;
        let mut codes = vec![2; 3 * n];
        (codes[0], codes[n], codes[2 * n]) = (4, 3, 1);
        let (horizon, id) = (vec![1; n], (1..=n as u32).collect::<Vec<_>>());
        let keys = KeySide { horizon: &horizon, id: &id, gate: &vec![0; n], codes: &codes, buckets: &[] };
        let side = |codes| QuerySide { horizon: 5, id: 0, gate: 0, codes, buckets: &[], pairs: None };
        let mut w = vec![0.0; n];
        // The key's own chunk, the chunk before, two chunks before (out of reach).
        weights(&mut w, &keys, &side(&[4, 4, 3]), Meeting::Window { after: 0, reach: 1 });
        assert_eq!(w[0], 0.5);
        weights(
            &mut w,
            &keys,
            &side(&[0, 4, 3]),
            Meeting::Circle { after: 0, reach: 1, total: 5, same_bucket: false },
        );
        assert_eq!(w[0], 0.5, "chunk 0 follows chunk 4 on a circle of 5");
        weights(&mut w, &keys, &side(&[4, 3, 2]), Meeting::Anywhere { keep: true });
        assert_eq!(w[0], 2.0);
    }
}
