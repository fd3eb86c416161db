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

use reformer_tensor::simd::rows;
use reformer_tensor::{Address, Key, Lease, View, ViewMut, Workspace, tile};

use crate::config::Keys;
use crate::mask::{HIDDEN, NOBODY, Sight};
use crate::row::{self, KeySide, LANES, Meeting, QuerySide, Rows};

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
    fn row(self, round: usize, query: usize) -> Key {
        self.address.sub(round as u64).sub(query as u64).key()
    }

    fn threshold(self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// 0 or `1/(1 − rate)`.
    pub(crate) fn factor(self, round: usize, query: usize, key: usize) -> f32 {
        let dropped = self.row(round, query).bits(key as u64) < self.threshold();
        if dropped { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }

    /// Multiplies one query's row by its factors.
    fn apply(self, round: usize, query: usize, keys: &[u32], x: &mut [f32]) {
        row::drop_out(x, keys, self.row(round, query), self.threshold(), 1.0 / (1.0 - self.rate));
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
        let sides = sides(band, queries);
        row::softmax_rows(self.rows(&sides[..n], meeting), &mut tops);
        if let Some(dropout) = band.dropout {
            for (i, query) in queries.iter().enumerate() {
                dropout.apply(round, query.position, &self.id, &mut self.scores[i * keys..(i + 1) * keys]);
            }
        }
        tile::nn(n, dim, keys, &self.scores, &self.v, &mut self.o);
        let positions = queries.iter().map(|query| query.position);
        row::fold_rows(&mut running.out, running.z, positions, &self.o, &tops);
    }

    fn load_queries(&mut self, band: &Band<'_>, queries: &[Query<'_>]) {
        for (i, query) in queries.iter().enumerate() {
            self.q[i * self.dim..(i + 1) * self.dim].copy_from_slice(band.q.row(query.position));
        }
    }

    fn rows<'a>(&'a mut self, queries: &'a [QuerySide<'a>], meeting: Meeting) -> Rows<'a> {
        let keys = KeySide {
            horizon: &self.horizon,
            id: &self.id,
            gate: &self.gate,
            codes: &self.codes,
            buckets: &self.buckets,
        };
        Rows { keys, queries, meeting, weight: &mut self.weight, scores: &mut self.scores }
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
        let mut of_rows = [(0.0, 0.0); QUERIES];
        for (i, query) in queries.iter().enumerate() {
            b.dout[i * dim..(i + 1) * dim].copy_from_slice(known.dout.row(query.position));
            of_rows[i] = (known.z[query.position], known.d[query.position]);
        }
        tile::nt(n, keys, dim, &self.q, &self.k, &mut self.scores);
        tile::nt(n, keys, dim, &b.dout, &self.v, &mut b.dscores);
        // With dropout o = Σ P·mask·v: the mask multiplies dP before the softmax's backward, and P where it meets dO.
        let drop_out = |x: &mut [f32], ids: &[u32]| {
            let Some(dropout) = band.dropout else { return };
            for (x, query) in x.chunks_exact_mut(keys).zip(queries) {
                dropout.apply(round, query.position, ids, x);
            }
        };
        drop_out(&mut b.dscores, &self.id);
        let sides = sides(band, queries);
        row::softmax_backward_rows(self.rows(&sides[..n], meeting), &mut b.dscores, &of_rows[..n]);
        drop_out(&mut self.scores, &self.id);
        tile::tn_add(keys, dim, n, &self.scores, &b.dout, &mut b.dv);
        tile::tn_add(keys, dim, n, &b.dscores, &self.q, &mut b.dk);
        tile::nn(n, dim, keys, &b.dscores, &self.k, &mut b.dq);
        for (i, query) in queries.iter().enumerate() {
            rows::add(&b.dq[i * dim..(i + 1) * dim], dq.row_mut(query.position));
        }
        self.backward = Some(b);
    }

    /// Adds the slots' `dk` and `dv` to the rows they came from and clears them. `dk: None`: keys are the queries.
    pub(crate) fn flush(&mut self, keys: Keys, slots: core::ops::Range<usize>, into: &mut Sinks<'_, '_>) {
        let dim = self.dim;
        let Some(b) = self.backward.as_mut() else { return };
        for slot in slots.clone().filter(|&s| self.id[s] != NOBODY) {
            let (rows, position) = (slot * dim..(slot + 1) * dim, self.id[slot] as usize);
            let dx = into.dk.as_deref_mut().unwrap_or(&mut *into.dq).row_mut(position);
            keys.add_gradient(&self.k[rows.clone()], self.scale[slot], &b.dk[rows.clone()], dx);
            rows::add(&b.dv[rows], into.dv.row_mut(position));
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

/// The queries as the row kernels see them.
fn sides<'a>(band: &Band<'a>, queries: &[Query<'a>]) -> [QuerySide<'a>; QUERIES] {
    core::array::from_fn(|i| {
        let Some(query) = queries.get(i) else { return QuerySide::default() };
        QuerySide {
            horizon: band.sight.horizon_query(query.position),
            id: band.sight.id_query(query.position),
            gate: query.gate,
            codes: query.codes,
            buckets: query.buckets,
            pairs: band.sight.pairs_of(query.position, band.len()),
        }
    })
}
