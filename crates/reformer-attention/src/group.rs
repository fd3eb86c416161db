//! A few queries against the keys of a window: one kernel from the gathered rows to the folded result.
//!
//! ```text
//! forward    S = Q·Kᵀ → P,  O = P·V,  (out, z) ← folded with O
//! backward   S = Q·Kᵀ → P,  dP = dO·Vᵀ → dS = P∘(dP − D)
//!            dV += Pᵀ·dO,  dK += dSᵀ·Q,  dQ = dS·K
//! ```
//! Sixteen queries at a time: their scores stay in the first-level cache, and the keys that none of them can see are few.
//! Rows beyond the last query of a short group are computed like the others and see nothing.
//!
//! # Shapes
//! - `q, dout, o, dq: [16, wide]`   - `scores, dscores: [16, slots]`

use core::ops::Range;

use reformer_tensor::simd::{Kernel, Simd, dispatch, rows};
use reformer_tensor::tile::packed::{by_columns, by_panels, by_rows};
use reformer_tensor::{Lease, View, ViewMut, Workspace};

use crate::band::{Band, Known};
use crate::fold::fold;
use crate::key::{copy, doubts};
use crate::mask::NOBODY;
use crate::softmax::{GROUP, KnownRows, Rule, softmax, softmax_backward};
use crate::weights::{Meeting, QuerySide};
use crate::window::{Codes, SlotGradients, Window};

/// The running results of a group's rows: `[out, z]`.
pub(crate) type RunningRows<'a> = [[&'a mut [f32]; 2]];

/// The queries of a group and what is computed from them.
pub(crate) struct Group {
    wide: usize,
    rows: usize,
    position: [u32; GROUP],
    gate: [u32; GROUP],
    rounds: usize,
    codes: Vec<u32>,
    bucket_rounds: usize,
    buckets: Vec<u32>,
    q: Lease,
    o: Lease,
    scores: Lease,
    weight: Lease,
    /// `dout` and `dscores`.
    backward: Option<(Lease, Lease)>,
    dq: Option<Lease>,
}

/// Where and by which rule a group attends.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) band: &'a Band<'a>,
    pub(crate) meeting: Meeting,
    pub(crate) round: usize,
    /// First slot that any of the queries sees, and the end of them.
    pub(crate) first: usize,
    pub(crate) end: usize,
}

impl Attention<'_> {
    /// The whole panels around the slots.
    fn panels(&self) -> Range<usize> {
        self.first / 16 * 16..self.end.next_multiple_of(16)
    }
}

impl Group {
    /// For at most `keys` keys at a time.
    pub(crate) fn new(
        workspace: &Workspace,
        dim: usize,
        keys: usize,
        codes: &Codes<'_>,
        backward: bool,
    ) -> Self {
        let wide = dim.next_multiple_of(16);
        let (rounds, bucket_rounds) = (codes.rounds(), codes.bucket_rounds());
        Self {
            wide,
            rows: 0,
            position: [NOBODY; GROUP],
            gate: [0; GROUP],
            rounds,
            codes: vec![0; GROUP * rounds],
            bucket_rounds,
            buckets: vec![0; GROUP * bucket_rounds],
            q: workspace.take_zeroed(GROUP * wide),
            o: workspace.take_zeroed(GROUP * wide),
            scores: workspace.take_zeroed(GROUP * keys),
            weight: workspace.take_zeroed(keys),
            backward: backward
                .then(|| (workspace.take_zeroed(GROUP * wide), workspace.take_zeroed(GROUP * keys))),
            dq: backward.then(|| workspace.take_zeroed(GROUP * wide)),
        }
    }

    /// Which queries, at most sixteen: `(position, gate)`.
    pub(crate) fn set(&mut self, queries: impl Iterator<Item = (usize, u32)>, codes: &Codes<'_>) {
        self.rows = 0;
        for (i, (position, gate)) in queries.enumerate() {
            (self.position[i], self.gate[i], self.rows) = (position as u32, gate, i + 1);
            for h in 0..self.rounds {
                self.codes[i * self.rounds + h] = codes.code(h, position);
            }
            for h in 0..self.bucket_rounds {
                self.buckets[i * self.bucket_rounds + h] = codes.bucket(h, position);
            }
        }
    }

    /// Their positions.
    pub(crate) fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.position[..self.rows].iter().map(|&p| p as usize)
    }

    /// Attends to the keys at hand and folds the result into the rows.
    pub(crate) fn forward(&mut self, attention: &Attention<'_>, window: &Window, rows: &mut RunningRows<'_>) {
        dispatch(Forward { group: self, attention, window, rows });
    }

    /// Adds to the slots' `dk` and `dv`, and writes `dq` to the slots from `own` on.
    pub(crate) fn backward(
        &mut self,
        attention: &Attention<'_>,
        window: &mut Window,
        known: &Known<'_>,
        own: usize,
    ) {
        let Some(mut gradients) = window.gradients.take() else { return };
        let SlotGradients { v_panels, dq, dk, dv } = &mut gradients;
        let dq = &mut dq[own * self.wide..(own + GROUP) * self.wide];
        dispatch(Backward { group: self, attention, window, v_panels, known, dq, dk, dv });
        window.gradients = Some(gradients);
    }

    /// The same with `dq` added to the rows of its positions.
    pub(crate) fn backward_into(
        &mut self,
        attention: &Attention<'_>,
        window: &mut Window,
        known: &Known<'_>,
        into: &mut ViewMut<'_>,
    ) {
        let Some(mut own) = self.dq.take() else { return };
        let Some(mut gradients) = window.gradients.take() else { return };
        let SlotGradients { v_panels, dk, dv, .. } = &mut gradients;
        dispatch(Backward { group: self, attention, window, v_panels, known, dq: &mut own, dk, dv });
        for (position, row) in self.positions().zip(own.chunks_exact(self.wide)) {
            rows::add(row, into.row_mut(position));
        }
        (window.gradients, self.dq) = (Some(gradients), Some(own));
    }
}

/// The queries as the rules see them.
#[inline(always)]
fn sides<'a>(
    band: &Band<'a>,
    rows: usize,
    position: &[u32; GROUP],
    gate: &[u32; GROUP],
    (codes, rounds): (&'a [u32], usize),
    (buckets, bucket_rounds): (&'a [u32], usize),
) -> [QuerySide<'a>; GROUP] {
    let mut sides = [QuerySide::default(); GROUP];
    for (i, side) in sides.iter_mut().enumerate() {
        side.codes = &codes[i * rounds..(i + 1) * rounds];
        side.buckets = &buckets[i * bucket_rounds..(i + 1) * bucket_rounds];
        if i < rows {
            let at = position[i] as usize;
            side.horizon = band.sight.horizon_query(at);
            side.id = band.sight.id_query(at);
            side.gate = gate[i];
            side.pairs = band.sight.pairs_of(at, band.len());
        }
    }
    sides
}

#[inline(always)]
fn gather<S: Simd>(s: S, band: &Band<'_>, from: View<'_>, positions: &[u32], wide: usize, to: &mut [f32]) {
    let mut doubt = s.zero();
    for (&position, to) in positions.iter().zip(to.chunks_exact_mut(wide)) {
        let row = from.row(position as usize);
        copy(s, row, &mut to[..row.len()]);
        doubt = doubts(s, row, doubt);
    }
    band.report(s, doubt);
}

#[inline(always)]
fn drop_out(attention: &Attention<'_>, positions: &[u32], ids: &[u32], x: &mut [f32]) {
    let Some(dropout) = attention.band.dropout else { return };
    for (row, &position) in x.chunks_exact_mut(ids.len()).zip(positions) {
        dropout.apply(attention.round, position as usize, ids, row);
    }
}

struct Forward<'a, 'b, 'c> {
    group: &'a mut Group,
    attention: &'a Attention<'a>,
    window: &'a Window,
    rows: &'b mut RunningRows<'c>,
}

impl Kernel for Forward<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { group, attention, window, rows } = self;
        let (band, panels, wide, dim) = (attention.band, attention.panels(), window.wide, window.dim);
        let (n, m) = (panels.len(), group.rows.next_multiple_of(8));
        let positions = &group.position[..group.rows];
        gather(s, band, band.q, positions, wide, &mut group.q);
        let scores = &mut group.scores[..m * n];
        let keys = &window.k_panels[panels.start * dim..panels.end * dim];
        by_panels(s, (m, dim), (&group.q, wide), keys, (scores, n));

        let (codes, buckets) = ((&group.codes[..], group.rounds), (&group.buckets[..], group.bucket_rounds));
        let queries = sides(band, group.rows, &group.position, &group.gate, codes, buckets);
        let rule = Rule { keys: window.side(panels.clone()), queries: &queries, meeting: attention.meeting };
        let tops = softmax(s, &rule, m, scores, &mut group.weight);
        drop_out(attention, positions, rule.keys.id, scores);
        // Keys before the first visible one weigh nothing.
        let before = attention.first - panels.start;
        let values = &window.v[attention.first * wide..];
        let seen = attention.end - attention.first;
        by_rows(s, [m, wide, seen], (&scores[before..], n), values, &mut group.o);
        fold(s, &tops, &group.o, wide, rows);
    }
}

struct Backward<'a, 'b> {
    group: &'a mut Group,
    attention: &'a Attention<'a>,
    window: &'a Window,
    v_panels: &'a [f32],
    known: &'a Known<'b>,
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

impl Kernel for Backward<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { group, attention, window, v_panels, known, dq, dk, dv } = self;
        let Some((dout, dscores)) = group.backward.as_mut() else { return };
        let (band, panels, wide, dim) = (attention.band, attention.panels(), window.wide, window.dim);
        let (n, m) = (panels.len(), group.rows.next_multiple_of(8));
        let positions = &group.position[..group.rows];
        gather(s, band, band.q, positions, wide, &mut group.q);
        gather(s, band, known.dout, positions, wide, dout);
        let mut of_rows = KnownRows::default();
        for (i, &position) in positions.iter().enumerate() {
            (of_rows.z[i], of_rows.d[i]) = (known.z[position as usize], known.d[position as usize]);
        }
        let (scores, dscores) = (&mut group.scores[..m * n], &mut dscores[..m * n]);
        let packed = panels.start * dim..panels.end * dim;
        by_panels(s, (m, dim), (&group.q, wide), &window.k_panels[packed.clone()], (scores, n));
        by_panels(s, (m, dim), (dout, wide), &v_panels[packed], (dscores, n));

        let (codes, buckets) = ((&group.codes[..], group.rounds), (&group.buckets[..], group.bucket_rounds));
        let queries = sides(band, group.rows, &group.position, &group.gate, codes, buckets);
        let rule = Rule { keys: window.side(panels.clone()), queries: &queries, meeting: attention.meeting };
        // With dropout o = Σ P·mask·v: the mask multiplies dP before the softmax's backward, and P where it meets dO.
        drop_out(attention, positions, rule.keys.id, dscores);
        softmax_backward(s, &rule, m, &of_rows, scores, dscores, &mut group.weight);
        drop_out(attention, positions, rule.keys.id, scores);
        let slots = panels.start * wide..panels.end * wide;
        by_columns(s, [n, wide, m], (scores, n), dout, &mut dv[slots.clone()]);
        by_columns(s, [n, wide, m], (dscores, n), &group.q, &mut dk[slots]);
        let before = attention.first - panels.start;
        let keys = &window.k[attention.first * wide..];
        let seen = attention.end - attention.first;
        by_rows(s, [m, wide, seen], (&dscores[before..], n), keys, dq);
    }
}
