//! Softmax over the rows of one group of queries, its backward, and folding into the running result.
//!
//! ```text
//! w_j   = 0 if j is invisible, else 1, or 1/N_ij
//! m     = max_{w_j > 0} s_j        p_j = w_j exp(s_j − m)     Σ = Σ_j p_j      z_tile = m + log Σ
//! fold  z' = log(e^z + e^{z_tile}),  out ← out·e^{z − z'} + o·e^{m − z'}       o = Σ_j p_j v_j
//! backward   P_j = w_j exp(s_j − z),  dS_j = P_j (dP_j − D)                    D = dO·O, over all rounds
//! ```
//! Keys are compared with queries on the way, four rows at a time, so that what is loaded of the keys serves four; an
//! invisible score becomes `−∞`, whose exponential is exactly 0. Only rules that are not a comparison or two per pair
//! fill a row of weights first ([`crate::weights`]). The logarithms and exponentials of the fold are taken for all rows at
//! once.

use reformer_tensor::simd::{Simd, math};

use crate::weights::{KeySide, Meeting, QuerySide, weigh};

/// Queries that are computed together.
pub(crate) const GROUP: usize = 16;

/// Rows that share what is loaded of the keys.
const QUAD: usize = 4;

/// Who sees whom in one group.
#[derive(Clone, Copy)]
pub(crate) struct Rule<'a> {
    pub(crate) keys: KeySide<'a>,
    /// Queries beyond the group's last see nothing.
    pub(crate) queries: &'a [QuerySide<'a>; GROUP],
    pub(crate) meeting: Meeting,
}

impl Rule<'_> {
    fn plain(&self) -> bool {
        let common = matches!(self.meeting, Meeting::Uncounted | Meeting::Window { .. });
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

/// Largest score and sum of every row of a group; `−∞` and 0 where nothing is visible.
#[derive(Clone, Copy)]
pub(crate) struct Tops {
    pub(crate) max: [f32; GROUP],
    pub(crate) sum: [f32; GROUP],
}

/// `s ← p` in `rows` rows (a multiple of four) of `scores`.
#[inline(always)]
pub(crate) fn softmax<S: Simd>(
    s: S,
    rule: &Rule<'_>,
    rows: usize,
    scores: &mut [f32],
    weight: &mut [f32],
) -> Tops {
    let mut tops = Tops { max: [f32::NEG_INFINITY; GROUP], sum: [0.0; GROUP] };
    match rule.meeting {
        _ if !rule.plain() => weighted(s, rule, rows, scores, weight, &mut tops),
        Meeting::Window { after, reach } => {
            compared::<S, true>(s, rule, (after, reach), rows, scores, &mut tops);
        }
        _ => compared::<S, false>(s, rule, (0, 0), rows, scores, &mut tops),
    }
    tops
}

#[inline(always)]
fn compared<S: Simd, const COUNTED: bool>(
    s: S,
    rule: &Rule<'_>,
    window: (u32, u32),
    rows: usize,
    scores: &mut [f32],
    tops: &mut Tops,
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
        let mut shift = [s.zero(); QUAD];
        for i in 0..QUAD {
            let max = s.maximum(top[i]);
            tops.max[first + i] = max;
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
        for (sum, lanes) in tops.sum[first..].iter_mut().zip(sums) {
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
    tops: &mut Tops,
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
            let p = s.select_gt(w, zero, p, zero);
            s.store(x, p);
            sums = s.add(sums, p);
        }
        (tops.max[i], tops.sum[i]) = (max, s.sum(sums));
    }
}

/// What the backward pass knows of a group's rows.
#[derive(Clone, Copy, Default)]
pub(crate) struct KnownRows {
    pub(crate) z: [f32; GROUP],
    /// `dO·O`.
    pub(crate) d: [f32; GROUP],
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
        _ if !rule.plain() => weighted_backward(s, rule, rows, known, scores, dp, weight),
        Meeting::Window { after, reach } => {
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
