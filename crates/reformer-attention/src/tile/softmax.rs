//! Step 2 of a tile: softmax over the rows of its queries, and its backward. The idea:
//!
//! ```text
//! w_j   = 0 if j is invisible, else 1, or 1/N_ij
//! m     = max_{w_j > 0} s_j        p_j = w_j exp(s_j − m)     Σ = Σ_j p_j      z_tile = m + log Σ
//! backward   P_j = w_j exp(s_j − z),  dS_j = P_j (dP_j − D)                    D = dO·O, over all rounds
//! ```
//! Where the code departs from it:
//! 1. Keys are compared with queries on the way ([`compared`]); an invisible score becomes `−∞`, whose exponential is
//!    exactly 0. A row of weights, filled first, was a store and a load more a pair. Only rules that are not a
//!    comparison or two per pair still fill one ([`weighted`], `visibility/weigh.rs`).
//! 2. Four rows go together: what is loaded of the keys serves four.
//! 3. `1/N` multiplies the exponential instead of `log N` being taken off the score: no logarithm a pair.
//! 4. Two passes over the scores, not an online softmax: sixteen rows of scores are in the first-level cache anyway,
//!    and a running maximum would rescale at every step.

use reformer_tensor::simd::{Simd, math};

use super::QUERIES;
use crate::visibility::duplicates::Meeting;
use crate::visibility::weigh::{KeySide, QuerySide, weigh};

/// Rows that share what is loaded of the keys.
const QUAD: usize = 4;

/// Who sees whom in one tile.
#[derive(Clone, Copy)]
pub(crate) struct Rule<'a> {
    pub(crate) keys: KeySide<'a>,
    /// Queries beyond the tile's last see nothing.
    pub(crate) queries: &'a [QuerySide<'a>; QUERIES],
    pub(crate) meeting: Meeting,
}

impl Rule<'_> {
    /// Whether the rule is a comparison or two per pair.
    fn is_compared(&self) -> bool {
        let common = matches!(self.meeting, Meeting::Uncounted | Meeting::InReach { .. });
        common && self.queries[0].pairs.is_none()
    }

    /// Which of the keys from `at` on each of four queries sees.
    #[inline(always)]
    fn visible<S: Simd>(&self, s: S, first: usize, at: usize) -> [S::M; QUAD] {
        let keys = &self.keys;
        let (horizon, gate, id) = (&keys.horizon[at..], &keys.gate[at..], &keys.id[at..]);
        let q = &self.queries[first..first + QUAD];
        // Written out: the arrays' own `map` is not compiled with the kernel's instructions.
        let [a, b, c, d] = [q[0].horizon, q[1].horizon, q[2].horizon, q[3].horizon];
        let early = [s.le_u32(horizon, a), s.le_u32(horizon, b), s.le_u32(horizon, c), s.le_u32(horizon, d)];
        let [a, b, c, d] = [q[0].gate, q[1].gate, q[2].gate, q[3].gate];
        let inside = [s.eq_u32(gate, a), s.eq_u32(gate, b), s.eq_u32(gate, c), s.eq_u32(gate, d)];
        let [a, b, c, d] = [q[0].id, q[1].id, q[2].id, q[3].id];
        let itself = [s.eq_u32(id, a), s.eq_u32(id, b), s.eq_u32(id, c), s.eq_u32(id, d)];
        [
            s.and_not(s.and(early[0], inside[0]), itself[0]),
            s.and_not(s.and(early[1], inside[1]), itself[1]),
            s.and_not(s.and(early[2], inside[2]), itself[2]),
            s.and_not(s.and(early[3], inside[3]), itself[3]),
        ]
    }

    /// `1/N` of each of four queries with the keys from `at` on.
    #[inline(always)]
    fn shares<S: Simd>(&self, s: S, (after, reach): (u32, u32), first: usize, at: usize) -> [S::V; QUAD] {
        let (zero, one) = (s.zero(), s.splat(1.0));
        // reformer-pytorch's epsilon: see `visibility/weigh.rs`.
        let mut counts = [s.splat(1e-9); QUAD];
        for h in 0..self.queries[first].codes.len() {
            let codes = &self.keys.codes[h * self.keys.stride + at..];
            for (i, count) in counts.iter_mut().enumerate() {
                let code = self.queries[first + i].codes[h];
                let met = s.within_u32(code.wrapping_add(after), codes, reach);
                *count = s.add(*count, s.select(met, one, zero));
            }
        }
        [s.div(one, counts[0]), s.div(one, counts[1]), s.div(one, counts[2]), s.div(one, counts[3])]
    }
}

/// Largest score and sum of every row of a tile; `−∞` and 0 where nothing is visible.
#[derive(Clone, Copy)]
pub(crate) struct RowStats {
    pub(crate) max: [f32; QUERIES],
    pub(crate) sum: [f32; QUERIES],
}

/// `s ← p` in `rows` rows (a multiple of four) of `scores`.
#[inline(always)]
pub(crate) fn softmax<S: Simd>(
    s: S,
    rule: &Rule<'_>,
    rows: usize,
    scores: &mut [f32],
    weight: &mut [f32],
) -> RowStats {
    let mut stats = RowStats { max: [f32::NEG_INFINITY; QUERIES], sum: [0.0; QUERIES] };
    // Whether pairs are counted is decided here, outside the loops: a test a pair would cost as much as the
    // exponential.
    match rule.meeting {
        _ if !rule.is_compared() => weighted(s, rule, rows, scores, weight, &mut stats),
        Meeting::InReach { after, reach } => {
            compared::<S, true>(s, rule, (after, reach), rows, scores, &mut stats);
        }
        _ => compared::<S, false>(s, rule, (0, 0), rows, scores, &mut stats),
    }
    stats
}

#[inline(always)]
fn compared<S: Simd, const COUNTED: bool>(
    s: S,
    rule: &Rule<'_>,
    window: (u32, u32),
    rows: usize,
    scores: &mut [f32],
    stats: &mut RowStats,
) {
    let n = rule.keys.id.len();
    let nothing = s.splat(f32::NEG_INFINITY);
    for (first, quad) in (0..rows).step_by(QUAD).zip(scores.chunks_exact_mut(QUAD * n)) {
        let mut top = [nothing; QUAD];
        for at in (0..n).step_by(S::LANES) {
            let visible = rule.visible(s, first, at);
            for i in 0..QUAD {
                let x = &mut quad[i * n + at..];
                let score = s.select(visible[i], s.load(x), nothing);
                s.store(x, score);
                top[i] = s.max(score, top[i]);
            }
        }
        // The second pass: only now is the maximum known.
        let mut shift = [s.zero(); QUAD];
        for i in 0..QUAD {
            let max = s.maximum(top[i]);
            stats.max[first + i] = max;
            // A row that sees nothing: −∞ − 0, whose exponential is 0.
            shift[i] = s.splat(if max == f32::NEG_INFINITY { 0.0 } else { max });
        }
        let mut sums = [s.zero(); QUAD];
        for at in (0..n).step_by(S::LANES) {
            let shares = if COUNTED { rule.shares(s, window, first, at) } else { [nothing; QUAD] };
            for i in 0..QUAD {
                let x = &mut quad[i * n + at..];
                let p = math::exp(s, s.sub(s.load(x), shift[i]));
                let p = if COUNTED { s.mul(p, shares[i]) } else { p };
                s.store(x, p);
                sums[i] = s.add(sums[i], p);
            }
        }
        for (sum, lanes) in stats.sum[first..].iter_mut().zip(sums) {
            *sum = s.sum(lanes);
        }
    }
}

#[inline(always)]
fn weighted<S: Simd>(
    s: S,
    rule: &Rule<'_>,
    rows: usize,
    scores: &mut [f32],
    weight: &mut [f32],
    stats: &mut RowStats,
) {
    let n = rule.keys.id.len();
    let (zero, nothing, weight) = (s.zero(), s.splat(f32::NEG_INFINITY), &mut weight[..n]);
    for (i, row) in scores.chunks_exact_mut(n).enumerate().take(rows) {
        weigh(weight, &rule.keys, &rule.queries[i], rule.meeting);
        let mut top = nothing;
        for (x, w) in row.chunks_exact(S::LANES).zip(weight.chunks_exact(S::LANES)) {
            top = s.max(s.select_gt(s.load(w), zero, s.load(x), nothing), top);
        }
        let max = s.maximum(top);
        let (mut sums, shift) = (zero, s.splat(if max == f32::NEG_INFINITY { 0.0 } else { max }));
        for (x, w) in row.chunks_exact_mut(S::LANES).zip(weight.chunks_exact(S::LANES)) {
            let w = s.load(w);
            let p = s.mul(w, math::exp(s, s.sub(s.load(x), shift)));
            // An invisible score may be any number, and its exponential infinite: 0 · ∞ is NaN.
            let p = s.select_gt(w, zero, p, zero);
            s.store(x, p);
            sums = s.add(sums, p);
        }
        (stats.max[i], stats.sum[i]) = (max, s.sum(sums));
    }
}

/// What the backward pass knows of a tile's rows.
#[derive(Clone, Copy, Default)]
pub(crate) struct KnownRows {
    pub(crate) z: [f32; QUERIES],
    /// `dO·O`.
    pub(crate) d: [f32; QUERIES],
}

/// `s ← P`, `dp ← dS` in `rows` rows (a multiple of four).
#[inline(always)]
pub(crate) fn softmax_backward<S: Simd>(
    s: S,
    rule: &Rule<'_>,
    rows: usize,
    known: &KnownRows,
    scores: &mut [f32],
    dp: &mut [f32],
    weight: &mut [f32],
) {
    match rule.meeting {
        _ if !rule.is_compared() => weighted_backward(s, rule, rows, known, scores, dp, weight),
        Meeting::InReach { after, reach } => {
            compared_backward::<S, true>(s, rule, (after, reach), rows, known, scores, dp);
        }
        _ => compared_backward::<S, false>(s, rule, (0, 0), rows, known, scores, dp),
    }
}

/// A row that saw nothing has `z = −∞` and no visible keys; 0 keeps the arithmetic finite.
#[inline(always)]
fn shift(z: f32) -> f32 {
    if z == f32::NEG_INFINITY { 0.0 } else { z }
}

#[inline(always)]
fn compared_backward<S: Simd, const COUNTED: bool>(
    s: S,
    rule: &Rule<'_>,
    window: (u32, u32),
    rows: usize,
    known: &KnownRows,
    scores: &mut [f32],
    dp: &mut [f32],
) {
    let n = rule.keys.id.len();
    let nothing = s.splat(f32::NEG_INFINITY);
    let quads = scores.chunks_exact_mut(QUAD * n).zip(dp.chunks_exact_mut(QUAD * n));
    for (first, (scores, dp)) in (0..rows).step_by(QUAD).zip(quads) {
        let (mut z, mut d) = ([nothing; QUAD], [nothing; QUAD]);
        for i in 0..QUAD {
            (z[i], d[i]) = (s.splat(shift(known.z[first + i])), s.splat(known.d[first + i]));
        }
        for at in (0..n).step_by(S::LANES) {
            let visible = rule.visible(s, first, at);
            let shares = if COUNTED { rule.shares(s, window, first, at) } else { [nothing; QUAD] };
            for i in 0..QUAD {
                let (x, dp) = (&mut scores[i * n + at..], &mut dp[i * n + at..]);
                let score = s.select(visible[i], s.load(x), nothing);
                let p = math::exp(s, s.sub(score, z[i]));
                let p = if COUNTED { s.mul(p, shares[i]) } else { p };
                s.store(x, p);
                s.store(dp, s.mul(p, s.sub(s.load(dp), d[i])));
            }
        }
    }
}

#[inline(always)]
fn weighted_backward<S: Simd>(
    s: S,
    rule: &Rule<'_>,
    rows: usize,
    known: &KnownRows,
    scores: &mut [f32],
    dp: &mut [f32],
    weight: &mut [f32],
) {
    let n = rule.keys.id.len();
    let (zero, weight) = (s.zero(), &mut weight[..n]);
    for i in 0..rows {
        weigh(weight, &rule.keys, &rule.queries[i], rule.meeting);
        let (z, d) = (s.splat(shift(known.z[i])), s.splat(known.d[i]));
        let x = scores[i * n..(i + 1) * n].chunks_exact_mut(S::LANES);
        let dp = dp[i * n..(i + 1) * n].chunks_exact_mut(S::LANES);
        for ((x, dp), w) in x.zip(dp).zip(weight.chunks_exact(S::LANES)) {
            let w = s.load(w);
            let p = s.mul(w, math::exp(s, s.sub(s.load(x), z)));
            let p = s.select_gt(w, zero, p, zero);
            s.store(x, p);
            s.store(dp, s.mul(p, s.sub(s.load(dp), d)));
        }
    }
}
