//! The working set of one thread: a few query rows against a few keys, gathered once into contiguous memory.
//!
//! ```text
//! forward    S = Q·Kᵀ → P,  O = P·V
//! backward   S = Q·Kᵀ → P,  dP = dO·Vᵀ → dS = P∘(dP − D)
//!            dV += Pᵀ·dO,  dK += dSᵀ·Q,  dQ = dS·K
//! ```
//! A tile knows nothing of chunks and rounds: its users fill query rows and key slots and say which weight a pair has.
//! Nothing in it is as long as the sequence; it is leased, so its size shows in the workspace's peak.
//!
//! # Shapes
//! - `q, o, dout, dq: [queries, dim]`   - `k, v, dk, dv: [keys, dim]`   - `scores, dscores: [queries, keys]`

use reformer_tensor::{Address, Key, Lease, View, ViewMut, Workspace, tile};

use crate::config::Keys;
use crate::mask::{HIDDEN, NOBODY, Sight};
use crate::row::{self, KeySide, LANES, Meeting, QuerySide};

/// Query rows that a tile takes at once: scores of 64 x 128 stay in the first-level cache's neighbourhood.
pub(crate) const QUERIES: usize = 64;

/// One head of one sequence, to read.
#[derive(Clone, Copy)]
pub(crate) struct Band<'a> {
    pub(crate) q: View<'a>,
    /// What keys are made of.
    pub(crate) k: View<'a>,
    pub(crate) v: View<'a>,
    pub(crate) keys: Keys,
    pub(crate) sight: Sight<'a>,
    pub(crate) dropout: Option<Dropout>,
}

impl Band<'_> {
    pub(crate) fn len(&self) -> usize {
        self.q.rows()
    }

    pub(crate) fn dim(&self) -> usize {
        self.q.cols()
    }
}

/// Dropout of probabilities: a mask bit for every (round, query, key), whatever tile they meet in, so that the backward
/// pass and the naive twin find the same one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub(crate) address: Address,
    pub(crate) rate: f32,
}

impl Dropout {
    /// The key of one query's masks in one round.
    pub(crate) fn row(self, round: usize, query: usize) -> Key {
        self.address.sub(round as u64).sub(query as u64).key()
    }

    /// 0 or `1/(1 − rate)`.
    #[inline]
    pub(crate) fn factor(self, row: Key, key: usize) -> f32 {
        let threshold = (f64::from(self.rate) * 4_294_967_296.0) as u32;
        if row.bits(key as u64) < threshold { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }

    /// The round under which the self-target of a lone row is masked.
    pub(crate) const ALONE: usize = usize::MAX;
}

pub(crate) struct Tile {
    pub(crate) dim: usize,
    pub(crate) keys: usize,
    rounds: usize,
    q: Lease,
    pub(crate) k: Lease,
    v: Lease,
    scores: Lease,
    weight: Lease,
    o: Lease,
    scale: Lease,
    horizon: Lease<u32>,
    pub(crate) id: Lease<u32>,
    gate: Lease<u32>,
    codes: Lease<u32>,
    buckets: Lease<u32>,
    backward: Option<Backward>,
}

struct Backward {
    dout: Lease,
    dscores: Lease,
    dq: Lease,
    dk: Lease,
    dv: Lease,
    kept: Lease,
}

/// What a query row of the tile is.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) position: usize,
    pub(crate) gate: u32,
    pub(crate) codes: &'a [u32],
    pub(crate) buckets: &'a [u32],
}

/// How many numbers of each kind decide about a pair.
#[derive(Clone, Copy)]
pub(crate) struct CodeCount {
    pub(crate) codes: usize,
    pub(crate) buckets: usize,
}

impl Tile {
    /// A tile for `keys` keys (rounded up to whole lanes), all hidden.
    pub(crate) fn new(
        workspace: &Workspace,
        dim: usize,
        keys: usize,
        counts: CodeCount,
        backward: bool,
    ) -> Self {
        let keys = keys.next_multiple_of(LANES);
        let mut tile = Self {
            dim,
            keys,
            rounds: counts.codes,
            q: workspace.take_zeroed(QUERIES * dim),
            k: workspace.take_zeroed(keys * dim),
            v: workspace.take_zeroed(keys * dim),
            scores: workspace.take_zeroed(QUERIES * keys),
            weight: workspace.take_zeroed(keys),
            o: workspace.take_zeroed(QUERIES * dim),
            scale: workspace.take_zeroed(keys),
            horizon: workspace.take_u32(keys),
            id: workspace.take_u32(keys),
            gate: workspace.take_u32(keys),
            codes: workspace.take_u32(counts.codes * keys),
            buckets: workspace.take_u32(counts.buckets * keys),
            backward: backward.then(|| Backward {
                dout: workspace.take_zeroed(QUERIES * dim),
                dscores: workspace.take_zeroed(QUERIES * keys),
                dq: workspace.take_zeroed(QUERIES * dim),
                dk: workspace.take_zeroed(keys * dim),
                dv: workspace.take_zeroed(keys * dim),
                kept: workspace.take_zeroed(keys),
            }),
        };
        tile.hide(0..keys);
        tile
    }

    /// Empties key slots: hidden, and zero so that no stale number is multiplied by a probability of 0.
    pub(crate) fn hide(&mut self, slots: core::ops::Range<usize>) {
        self.horizon[slots.clone()].fill(HIDDEN);
        self.id[slots.clone()].fill(NOBODY);
        self.gate[slots.clone()].fill(0);
        for h in 0..self.rounds {
            self.codes[h * self.keys..][slots.clone()].fill(0);
        }
        self.k[slots.start * self.dim..slots.end * self.dim].fill(0.0);
        self.v[slots.start * self.dim..slots.end * self.dim].fill(0.0);
    }

    /// Puts one key into a slot.
    #[inline]
    pub(crate) fn load_key(&mut self, band: &Band<'_>, slot: usize, position: usize, gate: u32) {
        let rows = slot * self.dim..(slot + 1) * self.dim;
        self.scale[slot] = band.keys.write(band.k.row(position), &mut self.k[rows.clone()]);
        self.v[rows].copy_from_slice(band.v.row(position));
        self.horizon[slot] = band.sight.horizon_key(position);
        self.id[slot] = position as u32;
        self.gate[slot] = gate;
    }

    /// What decides in round `h` whether a query meets the key of a slot.
    #[inline]
    pub(crate) fn set_code(&mut self, h: usize, slot: usize, code: u32) {
        self.codes[h * self.keys + slot] = code;
    }

    /// The key's bucket in round `h`.
    #[inline]
    pub(crate) fn set_bucket(&mut self, h: usize, slot: usize, bucket: u32) {
        self.buckets[h * self.keys + slot] = bucket;
    }

    fn weigh(&mut self, band: &Band<'_>, query: &Query<'_>, meeting: Meeting) {
        let keys = KeySide {
            horizon: &self.horizon,
            id: &self.id,
            gate: &self.gate,
            codes: &self.codes,
            buckets: &self.buckets,
        };
        let side = QuerySide {
            horizon: band.sight.horizon_query(query.position),
            id: band.sight.id_query(query.position),
            gate: query.gate,
            codes: query.codes,
            buckets: query.buckets,
        };
        row::weights(&mut self.weight, &keys, &side, meeting);
        if let Some(pairs) = band.sight.pairs_of(query.position, band.len()) {
            row::hide_pairs(&mut self.weight, &self.id, pairs);
        }
    }

    /// Attends `queries` to the keys at hand and folds the result into `out` and `z` (rows by position).
    pub(crate) fn forward(
        &mut self,
        band: &Band<'_>,
        round: usize,
        queries: &[Query<'_>],
        meeting: Meeting,
        running: &mut Running<'_>,
    ) {
        let (n, dim, keys) = (queries.len(), self.dim, self.keys);
        self.load_queries(band, queries);
        tile::nt(n, keys, dim, &self.q, &self.k, &mut self.scores);
        let mut tops = [(f32::NEG_INFINITY, 0.0); QUERIES];
        for (i, query) in queries.iter().enumerate() {
            self.weigh(band, query, meeting);
            let s = &mut self.scores[i * keys..(i + 1) * keys];
            tops[i] = row::softmax(s, &self.weight);
            if let Some(dropout) = band.dropout {
                let mask = dropout.row(round, query.position);
                for (s, &id) in s.iter_mut().zip(self.id.iter()) {
                    *s *= dropout.factor(mask, id as usize);
                }
            }
        }
        tile::nn(n, dim, keys, &self.scores, &self.v, &mut self.o);
        for (i, query) in queries.iter().enumerate() {
            let o = &self.o[i * dim..(i + 1) * dim];
            let (max, sum) = tops[i];
            row::fold(running.out.row_mut(query.position), &mut running.z[query.position], o, max, sum);
        }
    }

    fn load_queries(&mut self, band: &Band<'_>, queries: &[Query<'_>]) {
        for (i, query) in queries.iter().enumerate() {
            self.q[i * self.dim..(i + 1) * self.dim].copy_from_slice(band.q.row(query.position));
        }
    }

    /// Adds what `queries` contribute: to `dq` at once, to the slots' `dk` and `dv` until [`Tile::flush`].
    pub(crate) fn backward(
        &mut self,
        band: &Band<'_>,
        round: usize,
        queries: &[Query<'_>],
        meeting: Meeting,
        known: &Known<'_>,
        dq: &mut ViewMut<'_>,
    ) {
        let (n, dim, keys) = (queries.len(), self.dim, self.keys);
        let Some(mut b) = self.backward.take() else { return };
        self.load_queries(band, queries);
        for (i, query) in queries.iter().enumerate() {
            b.dout[i * dim..(i + 1) * dim].copy_from_slice(known.dout.row(query.position));
        }
        tile::nt(n, keys, dim, &self.q, &self.k, &mut self.scores);
        tile::nt(n, keys, dim, &b.dout, &self.v, &mut b.dscores);
        for (i, query) in queries.iter().enumerate() {
            self.weigh(band, query, meeting);
            let s = &mut self.scores[i * keys..(i + 1) * keys];
            let ds = &mut b.dscores[i * keys..(i + 1) * keys];
            let (z, d) = (known.z[query.position], known.d[query.position]);
            // A row that saw nothing has z = −∞ and no weights; 0 keeps the arithmetic finite.
            let z = if z == f32::NEG_INFINITY { 0.0 } else { z };
            if let Some(dropout) = band.dropout {
                let mask = dropout.row(round, query.position);
                for (f, &id) in b.kept.iter_mut().zip(self.id.iter()) {
                    *f = dropout.factor(mask, id as usize);
                }
                multiply(ds, &b.kept);
                row::softmax_backward(s, ds, &self.weight, z, d);
                multiply(s, &b.kept);
            } else {
                row::softmax_backward(s, ds, &self.weight, z, d);
            }
        }
        tile::tn_add(keys, dim, n, &self.scores, &b.dout, &mut b.dv);
        tile::tn_add(keys, dim, n, &b.dscores, &self.q, &mut b.dk);
        tile::nn(n, dim, keys, &b.dscores, &self.k, &mut b.dq);
        for (i, query) in queries.iter().enumerate() {
            add(dq.row_mut(query.position), &b.dq[i * dim..(i + 1) * dim]);
        }
        self.backward = Some(b);
    }

    /// Adds the slots' `dk` and `dv` to the rows they came from and clears them. `dk: None`: keys are the queries.
    pub(crate) fn flush(&mut self, keys: Keys, slots: core::ops::Range<usize>, into: &mut Sinks<'_, '_>) {
        let dim = self.dim;
        let Some(b) = self.backward.as_mut() else { return };
        for slot in slots.clone().filter(|&s| self.id[s] != NOBODY) {
            let (rows, position) = (slot * dim..(slot + 1) * dim, self.id[slot] as usize);
            let dx = into.dk.as_deref_mut().unwrap_or(into.dq).row_mut(position);
            keys.add_gradient(&self.k[rows.clone()], self.scale[slot], &b.dk[rows.clone()], dx);
            add(into.dv.row_mut(position), &b.dv[rows]);
        }
        b.dk[slots.start * dim..slots.end * dim].fill(0.0);
        b.dv[slots.start * dim..slots.end * dim].fill(0.0);
    }
}

/// The running result of one band.
pub(crate) struct Running<'a> {
    pub(crate) out: ViewMut<'a>,
    /// `−∞` until a row has seen something.
    pub(crate) z: &'a mut [f32],
}

/// What the backward pass of one band knows.
pub(crate) struct Known<'a> {
    pub(crate) dout: View<'a>,
    pub(crate) z: &'a [f32],
    /// `dO·O` of every row.
    pub(crate) d: &'a [f32],
}

/// Where the gradients of one band go.
pub(crate) struct Sinks<'a, 'b> {
    pub(crate) dq: &'a mut ViewMut<'b>,
    pub(crate) dk: Option<&'a mut ViewMut<'b>>,
    pub(crate) dv: &'a mut ViewMut<'b>,
}

#[inline]
fn add(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

#[inline]
fn multiply(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y *= x;
    }
}
