//! The definitions, word for word: the truth that the fast paths are held to. For tests and benches.
//!
//! Which pairs meet is decided first ([`pairs`]), with integers; then one softmax over all pairs of a row, of all
//! rounds, is taken ([`attention`], [`attention_backward`]), generic over the number type. Self-targets are written
//! as the paper writes them, a score of `−1e5` beside the others.

use reformer_lsh::{Buckets, Chunks};
use reformer_tensor::{Address, Real};

use crate::attention::Attention;
use crate::config::{ALONE, Duplicates, FullConfig, KeyNorm, Keys, LocalConfig, LshConfig};
use crate::dropout::Dropout;
use crate::operands::Masks;
use crate::visibility::{Causal, Visibility};

/// A key that a query sees in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The key's position.
    pub key: usize,
    /// The round they meet in.
    pub round: usize,
    /// What the score loses.
    pub correction: f64,
    /// The query itself where it may be seen only if alone: the score is [`ALONE`].
    pub itself: bool,
}

/// Time, padding, given pairs; `None` if invisible, else whether it is a lone self-target.
struct Rules<'a> {
    visibility: Visibility,
    shared: bool,
    masks: Masks<'a>,
}

impl Rules<'_> {
    fn see(&self, len: usize, i: usize, j: usize) -> Option<bool> {
        let token = |t: usize| self.masks.tokens.is_none_or(|m| m[t]);
        let Visibility { causal, mask_queries, unmaskable } = self.visibility;
        // Before "itself": a padded query does not even see itself.
        if mask_queries && !token(i) {
            return None;
        }
        if self.shared && i == j {
            return Some(true);
        }
        let future = match causal {
            Causal::No => false,
            Causal::Yes => i < j,
            Causal::Below(end) => i < j && j < end,
        };
        let hidden = !token(j) && j >= unmaskable;
        let apart = self.masks.pairs.is_some_and(|p| !p[i * len + j]);
        (!future && !hidden && !apart).then_some(false)
    }
}

/// The pairs of every query; `buckets` are needed for LSH attention.
pub fn pairs(
    attention: &Attention,
    len: usize,
    masks: Masks<'_>,
    buckets: Option<&Buckets>,
) -> Vec<Vec<Pair>> {
    match attention {
        Attention::Full(config) => full_pairs(config, len, masks),
        Attention::Local(config) => local_pairs(config, len, masks),
        Attention::Lsh(config) => {
            lsh_pairs(config, len, masks, buckets.expect("LSH attention is defined by buckets"))
        }
    }
}

/// The pairs of every query in LSH attention.
fn lsh_pairs(config: &LshConfig, len: usize, masks: Masks<'_>, buckets: &Buckets) -> Vec<Vec<Pair>> {
    let &LshConfig { visibility, same_bucket, duplicates, .. } = config;
    let rules = Rules { visibility, shared: true, masks };
    // Compared pair by pair, where the fast path compares one code: the twin must not share the trick it is to check.
    let same = |h: usize, i: usize, j: usize| !same_bucket || buckets.round(h)[i] == buckets.round(h)[j];
    if config.is_exact(len) {
        // Where all pairs meet in all rounds, the rounds are one.
        let rounds = if same_bucket { buckets.rounds() } else { 1 };
        return exact_pairs(&rules, len, rounds, same, duplicates == Duplicates::Keep);
    }
    let (m, before, after) = (config.chunk_length, config.chunks_before, config.chunks_after);
    let chunks = Chunks::new(buckets.rounds(), len, m, before, after, config.wrap).expect("checked sizes");
    let order = sorted(buckets);
    let home = homes(&chunks, &order);
    let meet = |h: usize, i: usize, j: usize| {
        same(h, i, j) && chunks.neighbours(home[h][i]).any(|c| c == home[h][j])
    };
    let row = |i: usize| {
        let mut row = Vec::new();
        for (r, home) in home.iter().enumerate() {
            for &(round, bucket, j) in chunks.neighbours(home[i]).flat_map(|c| &order[chunks.range(c)]) {
                // On a circle a neighbour may be of another round, whose buckets have the same numbers.
                let elsewhere = same_bucket && (round, bucket) != (r, buckets.round(r)[i]);
                let Some(itself) = rules.see(len, i, j).filter(|_| !elsewhere) else { continue };
                let n = (0..buckets.rounds()).filter(|&h| meet(h, i, j)).count() as f64;
                let correction = if duplicates == Duplicates::Correct { (n + 1e-9).ln() } else { 0.0 };
                row.push(Pair { key: j, round: r, correction, itself });
            }
        }
        row
    };
    (0..len).map(row).collect()
}

/// `(round, bucket, position)` of every flat rank.
fn sorted(buckets: &Buckets) -> Vec<(usize, u32, usize)> {
    let of_round = |r: usize| (0..buckets.len()).map(move |t| (r, buckets.round(r)[t], t));
    let mut order: Vec<_> = (0..buckets.rounds()).flat_map(of_round).collect();
    order.sort_unstable();
    order
}

/// The chunk of every position in every round.
fn homes(chunks: &Chunks, order: &[(usize, u32, usize)]) -> Vec<Vec<usize>> {
    let (rounds, len) = order.last().map_or((0, 0), |last| (last.0 + 1, order.len() / (last.0 + 1)));
    let mut home = vec![vec![0; len]; rounds];
    for chunk in 0..chunks.count() {
        for &(round, _, position) in &order[chunks.range(chunk)] {
            home[round][position] = chunk;
        }
    }
    home
}

fn exact_pairs(
    rules: &Rules<'_>,
    len: usize,
    rounds: usize,
    same: impl Fn(usize, usize, usize) -> bool,
    keep: bool,
) -> Vec<Vec<Pair>> {
    let pair = |i: usize, key: usize| {
        let n = (0..rounds).filter(|&h| same(h, i, key)).count();
        let itself = rules.see(len, i, key).filter(|_| n > 0)?;
        Some(Pair { key, round: 0, correction: if keep { -(n as f64).ln() } else { 0.0 }, itself })
    };
    (0..len).map(|i| (0..len).filter_map(|key| pair(i, key)).collect()).collect()
}

/// The pairs of every query in local attention.
fn local_pairs(config: &LocalConfig, len: usize, masks: Masks<'_>) -> Vec<Vec<Pair>> {
    let m = config.chunk_length;
    let rules = Rules { visibility: config.visibility, shared: config.keys.are_shared(), masks };
    let chunks = Chunks::new(1, len, m, config.chunks_before, config.chunks_after, config.wrap)
        .expect("checked sizes");
    let row = |i: usize| {
        let keys = chunks.neighbours(i / m).flat_map(|c| chunks.range(c));
        keys.filter_map(|key| Some(Pair { key, round: 0, correction: 0.0, itself: rules.see(len, i, key)? }))
            .collect()
    };
    (0..len).map(row).collect()
}

/// The pairs of every query in full attention.
fn full_pairs(config: &FullConfig, len: usize, masks: Masks<'_>) -> Vec<Vec<Pair>> {
    let rules = Rules { visibility: config.visibility, shared: config.keys.are_shared(), masks };
    exact_pairs(&rules, len, 1, |_, _, _| true, false)
}

/// The numbers of one head, `[len, dim]` each; `k` is not read where keys are shared.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a, T> {
    /// Queries.
    pub q: &'a [T],
    /// Keys.
    pub k: &'a [T],
    /// Values.
    pub v: &'a [T],
    /// Columns.
    pub dim: usize,
    /// Where keys come from.
    pub keys: Keys,
    /// Address of this head's masks, rate.
    pub dropout: Option<(Address, f32)>,
}

impl<T: Real> Operands<'_, T> {
    /// The key at `j` and its factor `c`.
    fn key(&self, j: usize) -> (Vec<T>, T) {
        let d = T::of(self.dim as f64);
        let x = &if self.keys == Keys::Separate { self.k } else { self.q }[j * self.dim..(j + 1) * self.dim];
        let squares: T = x.iter().map(|&x| x * x).sum();
        let c = match self.keys {
            Keys::Separate => d.sqrt().recip(),
            Keys::Shared(KeyNorm::Rms) => ((squares / d + T::of(1e-6)).sqrt() * d.sqrt()).recip(),
            Keys::Shared(KeyNorm::UnitScaled) => (squares.sqrt().max(T::of(1e-12)) * d.sqrt()).recip(),
        };
        (x.iter().map(|&x| c * x).collect(), c)
    }

    fn score(&self, i: usize, pair: &Pair) -> T {
        let dot =
            || row(self.q, i, self.dim).iter().zip(self.key(pair.key).0).map(|(&q, k)| q * k).sum::<T>();
        if pair.itself { T::of(f64::from(ALONE)) } else { dot() - T::of(pair.correction) }
    }

    /// Probabilities of a row's pairs, and their logsumexp: `−∞` of nothing.
    fn softmax(&self, i: usize, pairs: &[Pair]) -> (Vec<T>, T) {
        let scores: Vec<T> = pairs.iter().map(|p| self.score(i, p)).collect();
        let max = scores.iter().copied().fold(T::neg_infinity(), T::max);
        let sum: T = scores.iter().map(|&s| (s - max).exp()).sum();
        let z = if pairs.is_empty() { max } else { max + sum.ln() };
        (scores.into_iter().map(|s| (s - max).exp() / sum).collect(), z)
    }

    fn kept(&self, i: usize, pair: &Pair) -> T {
        let Some((address, rate)) = self.dropout else { return T::one() };
        let dropout = Dropout { address, rate };
        // All rounds' self-targets of a lone row are one.
        let round = if pair.itself { Dropout::ALONE } else { pair.round };
        T::of(f64::from(dropout.factor(round, i, pair.key)))
    }
}

fn row<T>(x: &[T], i: usize, dim: usize) -> &[T] {
    &x[i * dim..(i + 1) * dim]
}

/// `o_i = Σ exp(s − z_i) v`, `z_i = logsumexp s`; rows without pairs are 0 and `−∞`. Returns `(o, z)`.
pub fn attention<T: Real>(x: &Operands<'_, T>, pairs: &[Vec<Pair>]) -> (Vec<T>, Vec<T>) {
    let mut out = vec![T::zero(); pairs.len() * x.dim];
    let mut z = vec![T::neg_infinity(); pairs.len()];
    for (i, pairs) in pairs.iter().enumerate() {
        let (p, lse) = x.softmax(i, pairs);
        z[i] = lse;
        for (pair, &p) in pairs.iter().zip(&p) {
            let p = p * x.kept(i, pair);
            for c in 0..x.dim {
                out[i * x.dim + c] += p * x.v[pair.key * x.dim + c];
            }
        }
    }
    (out, z)
}

/// Gradients `(dq, dk, dv)` of `Σ out·dout`; where keys are shared `dk` is 0 and its part is in `dq`.
pub fn attention_backward<T: Real>(x: &Operands<'_, T>, pairs: &[Vec<Pair>], dout: &[T]) -> [Vec<T>; 3] {
    let (d, shared) = (x.dim, x.keys != Keys::Separate);
    let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![T::zero(); dout.len()]);
    let out = attention(x, pairs).0;
    for (i, pairs) in pairs.iter().enumerate() {
        let (p, _) = x.softmax(i, pairs);
        let along: T = (0..d).map(|c| dout[i * d + c] * out[i * d + c]).sum();
        for (pair, &p) in pairs.iter().zip(&p) {
            let (kept, j) = (x.kept(i, pair), pair.key);
            let dp: T = (0..d).map(|c| dout[i * d + c] * x.v[j * d + c]).sum();
            let ds = if pair.itself { T::zero() } else { p * (dp * kept - along) };
            let (k, scale) = x.key(j);
            let dk_j: Vec<T> = row(x.q, i, d).iter().map(|&q| ds * q).collect();
            // ∂(c·x): c·dk, minus c·k(k·dk)/α² where c depends on x.
            let squares =
                if x.keys == Keys::Shared(KeyNorm::UnitScaled) { T::of(d as f64) } else { T::one() };
            let norm = if shared {
                k.iter().zip(&dk_j).map(|(&k, &g)| k * g).sum::<T>() * squares
            } else {
                T::zero()
            };
            for c in 0..d {
                dv[j * d + c] += p * kept * dout[i * d + c];
                dq[i * d + c] += ds * k[c];
                (if shared { &mut dq } else { &mut dk })[j * d + c] += scale * (dk_j[c] - norm * k[c]);
            }
        }
    }
    [dq, dk, dv]
}
