//! Sixteen queries against gathered keys: one kernel from the gathered rows to the accumulated result. The idea:
//!
//! ```text
//! forward                                 backward (P and dS from S and dP; D = dO·O over all rounds)
//! 1  S = Q·Kᵀ                             1  S = Q·Kᵀ,  dP = dO·Vᵀ
//! 2  P = softmax numerators of S          2  P = w exp(S − z),  dS = P∘(dP − D)
//! 3  O = P·V                              3  dV += Pᵀ·dO                   in the forward pass: O = P·V
//! 4  (out, z) ← accumulated with O        4  dK += dSᵀ·Q,  dQ = dS·K       in the forward pass: S = Q·Kᵀ
//! ```
//! Where the code departs from it:
//! 1. Keys are read in whole panels around the visible slots ([`KeyRange::panels`]): a product reads panels. The slots
//!    in front of the first visible one weigh nothing and are left out again in `P·V`, which goes slot by slot.
//! 2. Rows beyond the last query of a short tile are computed like the others, up to a multiple of eight, and see
//!    nothing: a branch a row would cost more than the row.
//! 3. `P` is not normalised by its own sum: the sum goes into the accumulation over tiles and rounds. Backward it is
//!    normalised by `z` of all rounds, so that no round needs anything of another.
//! 4. Everything of a tile is one dispatched kernel. Apart, each of its five steps would be a call that the compiler
//!    cannot inline into the instructions of its level.
//!
//! # Shapes
//! - `q, dout, o, dq: [16, wide]`   - `scores, dscores: [16, slots]`

use core::ops::Range;

use reformer_tensor::simd::{Kernel, Simd, dispatch, row, rows};
use reformer_tensor::tile::packed::{by_columns, by_panels, by_rows};
use reformer_tensor::{Lease, View, ViewMut, Workspace};

use super::accumulate::{RunningRows, accumulate};
use super::keys::{GatheredKeys, KeyRows, SlotGradients};
use super::softmax::{KnownRows, Rule, softmax, softmax_backward};
use super::{KEYS_PER_PANEL, QUERIES, QUERY_STEP};
use crate::heads::{Head, HeadUpstream};
use crate::visibility::duplicates::{Codes, Meeting, QueryCodes};
use crate::visibility::mask::NOBODY;
use crate::visibility::weigh::QuerySide;

/// What a forward pass needs beside the scores.
pub(crate) struct ForwardRoom {
    o: Lease,
}

/// What a backward pass needs beside the scores.
pub(crate) struct BackwardRoom {
    dout: Lease,
    dscores: Lease,
}

/// The queries of a tile and what is computed from them; `R` is the room of a forward or a backward pass.
pub(crate) struct Queries<R> {
    wide: usize,
    rows: usize,
    position: [u32; QUERIES],
    gate: [u32; QUERIES],
    codes: QueryCodes,
    q: Lease,
    scores: Lease,
    weight: Lease,
    room: R,
}

/// Which keys a tile of queries meets, and by which rule.
#[derive(Clone, Copy)]
pub(crate) struct KeyRange<'a> {
    pub(crate) head: &'a Head<'a>,
    pub(crate) meeting: Meeting,
    /// Where dropout draws its bits.
    pub(crate) round: usize,
    /// First slot that any of the queries sees.
    pub(crate) first: usize,
    /// The end of what they see.
    pub(crate) end: usize,
}

impl KeyRange<'_> {
    /// The whole panels around the slots.
    fn panels(&self) -> Range<usize> {
        self.first / KEYS_PER_PANEL * KEYS_PER_PANEL..self.end.next_multiple_of(KEYS_PER_PANEL)
    }
}

impl<R> Queries<R> {
    fn with_room(
        workspace: &Workspace,
        dim: usize,
        keys: usize,
        codes: &Codes<'_>,
        room: impl FnOnce(usize) -> R,
    ) -> Self {
        let wide = dim.next_multiple_of(KEYS_PER_PANEL);
        Self {
            wide,
            rows: 0,
            position: [NOBODY; QUERIES],
            gate: [0; QUERIES],
            codes: QueryCodes::new(QUERIES, codes),
            q: workspace.take_zeroed(QUERIES * wide),
            scores: workspace.take_zeroed(QUERIES * keys),
            weight: workspace.take_zeroed(keys),
            room: room(wide),
        }
    }

    /// Which queries, at most sixteen: `(position, gate)`.
    pub(crate) fn set(&mut self, queries: impl Iterator<Item = (usize, u32)>, codes: &Codes<'_>) {
        self.rows = 0;
        for (i, (position, gate)) in queries.enumerate() {
            (self.position[i], self.gate[i], self.rows) = (position as u32, gate, i + 1);
            self.codes.set(i, position, codes);
        }
    }

    /// Their positions.
    pub(crate) fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.position[..self.rows].iter().map(|&p| p as usize)
    }

    /// Rows that are computed.
    fn computed(&self) -> usize {
        self.rows.next_multiple_of(QUERY_STEP)
    }
}

impl Queries<ForwardRoom> {
    /// For at most `keys` keys at a time.
    pub(crate) fn new(workspace: &Workspace, dim: usize, keys: usize, codes: &Codes<'_>) -> Self {
        let room = |wide| ForwardRoom { o: workspace.take_zeroed(QUERIES * wide) };
        Self::with_room(workspace, dim, keys, codes, room)
    }

    /// Attends to keys and accumulates the result into the rows of the queries.
    pub(crate) fn forward(
        &mut self,
        range: &KeyRange<'_>,
        keys: &GatheredKeys<()>,
        rows: &mut RunningRows<'_>,
    ) {
        dispatch(Forward { queries: self, range, keys: &keys.rows, rows });
    }
}

impl Queries<BackwardRoom> {
    /// For at most `keys` keys at a time.
    pub(crate) fn new(workspace: &Workspace, dim: usize, keys: usize, codes: &Codes<'_>) -> Self {
        let room = |wide| BackwardRoom {
            dout: workspace.take_zeroed(QUERIES * wide),
            dscores: workspace.take_zeroed(QUERIES * keys),
        };
        Self::with_room(workspace, dim, keys, codes, room)
    }

    /// Adds to the slots' `dk` and `dv`, and writes `dq` to the slots from `own` on, where the queries' own keys are.
    pub(crate) fn backward(
        &mut self,
        range: &KeyRange<'_>,
        keys: &mut GatheredKeys<SlotGradients>,
        upstream: &HeadUpstream<'_>,
        own: usize,
    ) {
        let GatheredKeys { rows: keys, pass: SlotGradients { v_panels, dq, dk, dv } } = keys;
        let dq = &mut dq[own * self.wide..(own + QUERIES) * self.wide];
        dispatch(Backward { queries: self, range, keys, v_panels, upstream, dq, dk, dv });
    }

    /// The same with `dq` added to the rows of its positions.
    pub(crate) fn backward_into(
        &mut self,
        range: &KeyRange<'_>,
        keys: &mut GatheredKeys<SlotGradients>,
        upstream: &HeadUpstream<'_>,
        into: &mut ViewMut<'_>,
    ) {
        // The slots' own dq is free: the keys at hand are not the queries.
        self.backward(range, keys, upstream, 0);
        for (position, row) in self.positions().zip(keys.pass.dq.chunks_exact(self.wide)) {
            rows::add(row, into.row_mut(position));
        }
    }
}

/// The queries as the rules see them. Those beyond the last see nothing: their horizon is 0.
#[inline(always)]
fn sides<'a>(
    head: &Head<'a>,
    rows: usize,
    position: &[u32; QUERIES],
    gate: &[u32; QUERIES],
    codes: &'a QueryCodes,
) -> [QuerySide<'a>; QUERIES] {
    let mut sides = [QuerySide::default(); QUERIES];
    for (i, side) in sides.iter_mut().enumerate() {
        (side.codes, side.buckets) = codes.of(i);
        if i < rows {
            let at = position[i] as usize;
            side.horizon = head.mask.horizon_query(at);
            side.id = head.mask.id_query(at);
            side.gate = gate[i];
            side.pairs = head.mask.pairs_of(at, head.len());
        }
    }
    sides
}

#[inline(always)]
fn gather<S: Simd>(s: S, head: &Head<'_>, from: View<'_>, positions: &[u32], wide: usize, to: &mut [f32]) {
    let mut found = s.zero();
    for (&position, to) in positions.iter().zip(to.chunks_exact_mut(wide)) {
        let x = from.row(position as usize);
        row::copy(s, x, &mut to[..x.len()]);
        found = row::non_finite(s, x, found);
    }
    head.report(s, found);
}

/// Multiplies probabilities (or their gradients) by the dropout mask of their pairs.
#[inline(always)]
fn drop_out(range: &KeyRange<'_>, positions: &[u32], ids: &[u32], x: &mut [f32]) {
    let Some(dropout) = range.head.dropout else { return };
    for (row, &position) in x.chunks_exact_mut(ids.len()).zip(positions) {
        dropout.apply(range.round, position as usize, ids, row);
    }
}

struct Forward<'a, 'b, 'c> {
    queries: &'a mut Queries<ForwardRoom>,
    range: &'a KeyRange<'a>,
    keys: &'a KeyRows,
    rows: &'b mut RunningRows<'c>,
}

impl Kernel for Forward<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { queries, range, keys, rows } = self;
        let (head, panels, m) = (range.head, range.panels(), queries.computed());
        let (n, wide, dim) = (panels.len(), keys.shape.wide, keys.shape.dim);
        let positions = &queries.position[..queries.rows];

        // 1. S = Q·Kᵀ, of whole panels.
        gather(s, head, head.q, positions, wide, &mut queries.q);
        let scores = &mut queries.scores[..m * n];
        let packed = panels.start * dim..panels.end * dim;
        by_panels(s, (m, dim), (&queries.q, wide), &keys.k_panels[packed], (scores, n));

        // 2. P ← w exp(S − max): row maxima and sums stay beside it, unnormalised.
        let sides = sides(head, queries.rows, &queries.position, &queries.gate, &queries.codes);
        let rule = Rule { keys: keys.side(panels.clone()), queries: &sides, meeting: range.meeting };
        let stats = softmax(s, &rule, m, scores, &mut queries.weight);
        // The mask comes after the sum: dropped probabilities still count in the denominator.
        drop_out(range, positions, rule.keys.id, scores);

        // 3. O = P·V, from the first visible slot on: those before weigh nothing.
        let before = range.first - panels.start;
        let (values, seen) = (&keys.v[range.first * wide..], range.end - range.first);
        by_rows(s, [m, wide, seen], (&scores[before..], n), values, &mut queries.room.o);

        // 4. (out, z) ← accumulated with O.
        accumulate(s, &stats, &queries.room.o, wide, rows);
    }
}

struct Backward<'a, 'b> {
    queries: &'a mut Queries<BackwardRoom>,
    range: &'a KeyRange<'a>,
    keys: &'a KeyRows,
    v_panels: &'a [f32],
    upstream: &'a HeadUpstream<'b>,
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

impl Kernel for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { queries, range, keys, v_panels, upstream, dq, dk, dv } = self;
        let (head, panels, m) = (range.head, range.panels(), queries.computed());
        let (n, wide, dim) = (panels.len(), keys.shape.wide, keys.shape.dim);
        let positions = &queries.position[..queries.rows];
        let BackwardRoom { dout, dscores } = &mut queries.room;

        // 1. S = Q·Kᵀ again (forward step 1), and dP = dO·Vᵀ from forward step 3.
        gather(s, head, head.q, positions, wide, &mut queries.q);
        gather(s, head, upstream.dout, positions, wide, dout);
        let (scores, dscores) = (&mut queries.scores[..m * n], &mut dscores[..m * n]);
        let packed = panels.start * dim..panels.end * dim;
        by_panels(s, (m, dim), (&queries.q, wide), &keys.k_panels[packed.clone()], (scores, n));
        by_panels(s, (m, dim), (dout, wide), &v_panels[packed], (dscores, n));

        // 2. P = w exp(S − z) (forward step 2, normalised by all rounds at once), dS = P∘(dP − D).
        let sides = sides(head, queries.rows, &queries.position, &queries.gate, &queries.codes);
        let rule = Rule { keys: keys.side(panels.clone()), queries: &sides, meeting: range.meeting };
        let mut known = KnownRows::default();
        for (i, &position) in positions.iter().enumerate() {
            (known.z[i], known.d[i]) = (upstream.z[position as usize], upstream.d[position as usize]);
        }
        // With dropout o = Σ P·mask·v: the mask multiplies dP before the softmax's backward, and P where it meets dO.
        drop_out(range, positions, rule.keys.id, dscores);
        softmax_backward(s, &rule, m, &known, scores, dscores, &mut queries.weight);
        drop_out(range, positions, rule.keys.id, scores);

        // 3. dV += Pᵀ·dO.
        let slots = panels.start * wide..panels.end * wide;
        by_columns(s, [n, wide, m], (scores, n), dout, &mut dv[slots.clone()]);

        // 4. dK += dSᵀ·Q, dQ = dS·K.
        by_columns(s, [n, wide, m], (dscores, n), &queries.q, &mut dk[slots]);
        let before = range.first - panels.start;
        let (rows, seen) = (&keys.k[range.first * wide..], range.end - range.first);
        by_rows(s, [m, wide, seen], (&dscores[before..], n), rows, dq);
    }
}
