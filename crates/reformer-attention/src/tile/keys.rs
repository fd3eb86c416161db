//! The keys at hand: gathered once into contiguous memory, in the two orders in which products want them.
//!
//! ```text
//! slot   one key: its row k = c·x, its value row v, what decides who sees it,
//!        and (backward) dk, dv, dq of its position
//! panel  16 slots of k (backward: also of v), transposed
//! ```
//! Gathered keys know nothing of chunks and rounds: their users say which positions go to which slots, in pieces of
//! whole panels. Nothing here is as long as the sequence; it is leased, so its size shows in the workspace's peak.
//!
//! What the backward pass keeps beside the keys is a type, [`SlotGradients`] in place of `()`: keys that were
//! gathered for a forward pass cannot be asked for gradients.
//!
//! # Shapes
//! - `k, v, dk, dv, dq: [slots, wide]`, `wide` = `dim` rounded up to 16, the columns beyond `dim` always 0
//! - panels: `[slots/16, dim, 16]`

use core::ops::Range;

use reformer_tensor::simd::{Kernel, Simd, dispatch, row};
use reformer_tensor::tile::packed::pack_panel;
use reformer_tensor::{Lease, Workspace};

use super::KEYS_PER_PANEL;
use crate::heads::Head;
use crate::visibility::duplicates::{Codes, SlotCodes};
use crate::visibility::mask::{CLOSED, HIDDEN, NOBODY};
use crate::visibility::weigh::KeySide;

/// How many slots of what width.
#[derive(Clone, Copy)]
pub(crate) struct SlotShape {
    /// Columns of a head.
    pub(crate) dim: usize,
    /// Columns of a slot: `dim` in whole panels, so that a product may write past `dim`.
    pub(crate) wide: usize,
    pub(crate) slots: usize,
}

impl SlotShape {
    fn rows(&self, slots: &Range<usize>) -> Range<usize> {
        slots.start * self.wide..slots.end * self.wide
    }

    fn row(&self, slot: usize) -> Range<usize> {
        slot * self.wide..(slot + 1) * self.wide
    }

    fn panels(&self, slots: &Range<usize>) -> Range<usize> {
        slots.start * self.dim..slots.end * self.dim
    }
}

/// What a pass keeps of every slot beside its key.
pub(crate) trait PerSlot {
    /// Room, with unspecified contents.
    fn take(workspace: &Workspace, shape: SlotShape) -> Self;
    /// Makes freshly gathered slots ready; `v` are their value rows.
    fn prepare<S: Simd>(&mut self, s: S, shape: SlotShape, slots: &Range<usize>, v: &[f32]);
    /// Empties whole panels.
    fn hide(&mut self, shape: SlotShape, slots: &Range<usize>);
    /// Moves whole panels of slots to the front.
    fn keep(&mut self, shape: SlotShape, slots: &Range<usize>);
}

/// The forward pass keeps nothing.
impl PerSlot for () {
    fn take(_: &Workspace, _: SlotShape) -> Self {}
    #[inline(always)]
    fn prepare<S: Simd>(&mut self, _: S, _: SlotShape, _: &Range<usize>, _: &[f32]) {}
    fn hide(&mut self, _: SlotShape, _: &Range<usize>) {}
    fn keep(&mut self, _: SlotShape, _: &Range<usize>) {}
}

/// What the backward pass keeps of every slot.
pub(crate) struct SlotGradients {
    /// Values in panels, for `dP = dO·Vᵀ`.
    pub(crate) v_panels: Lease,
    /// Of the slot's position as a query; written where the position's own chunk is at work.
    pub(crate) dq: Lease,
    pub(crate) dk: Lease,
    pub(crate) dv: Lease,
}

impl PerSlot for SlotGradients {
    fn take(workspace: &Workspace, shape: SlotShape) -> Self {
        let rows = || workspace.take(shape.slots * shape.wide);
        Self { v_panels: workspace.take(shape.slots * shape.dim), dq: rows(), dk: rows(), dv: rows() }
    }

    #[inline(always)]
    fn prepare<S: Simd>(&mut self, s: S, shape: SlotShape, slots: &Range<usize>, v: &[f32]) {
        for panel in slots.clone().step_by(KEYS_PER_PANEL) {
            let to = shape.panels(&(panel..panel + KEYS_PER_PANEL));
            pack_panel(s, shape.dim, (&v[panel * shape.wide..], shape.wide), &mut self.v_panels[to]);
        }
        self.dk[shape.rows(slots)].fill(0.0);
        self.dv[shape.rows(slots)].fill(0.0);
    }

    fn hide(&mut self, shape: SlotShape, slots: &Range<usize>) {
        self.v_panels[shape.panels(slots)].fill(0.0);
        self.dk[shape.rows(slots)].fill(0.0);
        self.dv[shape.rows(slots)].fill(0.0);
    }

    fn keep(&mut self, shape: SlotShape, slots: &Range<usize>) {
        self.v_panels.copy_within(shape.panels(slots), 0);
        for rows in [&mut self.dq, &mut self.dk, &mut self.dv] {
            rows.copy_within(shape.rows(slots), 0);
        }
    }
}

/// The keys themselves.
pub(crate) struct KeyRows {
    pub(crate) shape: SlotShape,
    /// `[slots, wide]`
    pub(crate) k: Lease,
    /// `[slots, wide]`
    pub(crate) v: Lease,
    /// `[slots/16, dim, 16]`
    pub(crate) k_panels: Lease,
    /// `c` of `k = c·x`, which the gradient through the key needs again.
    scale: Lease,
    /// What a query's horizon is compared with: [`crate::visibility::mask`].
    horizon: Lease<u32>,
    /// The position in a slot, or [`NOBODY`].
    pub(crate) id: Lease<u32>,
    /// What must equal a query's: the bucket, with its round, where only the same bucket is seen.
    pub(crate) gate: Lease<u32>,
    codes: SlotCodes,
}

impl KeyRows {
    /// Some slots as the rules see them.
    pub(crate) fn side(&self, slots: Range<usize>) -> KeySide<'_> {
        let (codes, buckets) = self.codes.from(slots.start);
        KeySide {
            horizon: &self.horizon[slots.clone()],
            id: &self.id[slots.clone()],
            gate: &self.gate[slots],
            codes,
            buckets,
            stride: self.shape.slots,
        }
    }

    /// Whether a slot holds a position.
    pub(crate) fn is_filled(&self, slot: usize) -> bool {
        self.id[slot] != NOBODY
    }

    /// Empties slots: seen by nobody, and zero so that no stale number is multiplied by a probability of 0 (NaN · 0
    /// is NaN).
    fn hide(&mut self, slots: &Range<usize>) {
        if slots.is_empty() {
            return;
        }
        self.horizon[slots.clone()].fill(HIDDEN);
        self.id[slots.clone()].fill(NOBODY);
        // Runs of one bucket go on over the unfilled end of a chunk, or a tile's keys would end there.
        let gate = if slots.start > 0 { self.gate[slots.start - 1] } else { CLOSED };
        self.gate[slots.clone()].fill(gate);
        self.codes.clear(slots.clone());
        let rows = self.shape.rows(slots);
        self.k[rows.clone()].fill(0.0);
        self.v[rows].fill(0.0);
    }

    fn keep(&mut self, slots: &Range<usize>) {
        let (rows, panels) = (self.shape.rows(slots), self.shape.panels(slots));
        self.k.copy_within(rows.clone(), 0);
        self.v.copy_within(rows, 0);
        self.k_panels.copy_within(panels, 0);
        self.scale.copy_within(slots.clone(), 0);
        for column in [&mut self.horizon, &mut self.id, &mut self.gate] {
            column.copy_within(slots.clone(), 0);
        }
        self.codes.keep(slots.clone());
    }
}

/// Keys with what the pass keeps of them: `()` forward, [`SlotGradients`] backward.
pub(crate) struct GatheredKeys<P> {
    pub(crate) rows: KeyRows,
    pub(crate) pass: P,
}

impl<P: PerSlot> GatheredKeys<P> {
    /// `slots` slots, a multiple of [`KEYS_PER_PANEL`], with unspecified contents: load or hide before use.
    pub(crate) fn new(workspace: &Workspace, dim: usize, slots: usize, codes: &Codes<'_>) -> Self {
        let shape = SlotShape { dim, wide: dim.next_multiple_of(KEYS_PER_PANEL), slots };
        let wide_rows = || {
            let len = slots * shape.wide;
            // The columns beyond dim are never written, and are multiplied.
            if shape.wide == dim { workspace.take(len) } else { workspace.take_zeroed(len) }
        };
        let rows = KeyRows {
            shape,
            k: wide_rows(),
            v: wide_rows(),
            k_panels: workspace.take(slots * dim),
            scale: workspace.take(slots),
            horizon: workspace.take_u32(slots),
            id: workspace.take_u32(slots),
            gate: workspace.take_u32(slots),
            codes: SlotCodes::new(workspace, slots, codes),
        };
        Self { rows, pass: P::take(workspace, shape) }
    }

    /// Loads `(position, gate)` into the first of `slots`, which are whole panels, and hides the others.
    pub(crate) fn load(
        &mut self,
        head: &Head<'_>,
        slots: Range<usize>,
        positions: impl Iterator<Item = (usize, u32)>,
        codes: &Codes<'_>,
    ) {
        let mut end = slots.start;
        let rows = &mut self.rows;
        for (slot, (position, gate)) in slots.clone().zip(positions) {
            end = slot + 1;
            rows.id[slot] = position as u32;
            rows.horizon[slot] = head.mask.horizon_key(position);
            rows.gate[slot] = gate;
            rows.codes.load(slot, position, codes);
        }
        // Hidden before they are packed: a panel is packed whole.
        rows.hide(&(end..slots.end));
        dispatch(Gather { keys: self, head, slots, end });
    }

    /// Empties whole panels.
    pub(crate) fn hide_panels(&mut self, slots: Range<usize>) {
        // Nobody will pack these panels: nothing is there beyond the ends of a round.
        let shape = self.rows.shape;
        self.rows.k_panels[shape.panels(&slots)].fill(0.0);
        self.pass.hide(shape, &slots);
        self.rows.hide(&slots);
        self.rows.gate[slots].fill(CLOSED);
    }

    /// Moves whole panels of slots to the front.
    pub(crate) fn keep(&mut self, slots: Range<usize>) {
        self.pass.keep(self.rows.shape, &slots);
        self.rows.keep(&slots);
    }
}

impl GatheredKeys<SlotGradients> {
    /// Adds a slot's `dk`, through its key, to `dx`.
    #[inline(always)]
    pub(crate) fn add_key_gradient<S: Simd>(&self, s: S, head: &Head<'_>, slot: usize, dx: &mut [f32]) {
        let Self { rows, pass } = self;
        let row = rows.shape.row(slot);
        head.keys.add_gradient(s, &rows.k[row.clone()], rows.scale[slot], &pass.dk[row], dx);
    }

    /// Adds a slot's `dv`.
    #[inline(always)]
    pub(crate) fn add_value_gradient<S: Simd>(&self, s: S, slot: usize, dv: &mut [f32]) {
        row::add(s, &self.pass.dv[self.rows.shape.row(slot)], dv);
    }

    /// Adds a slot's `dq`.
    #[inline(always)]
    pub(crate) fn add_query_gradient<S: Simd>(&self, s: S, slot: usize, dq: &mut [f32]) {
        row::add(s, &self.pass.dq[self.rows.shape.row(slot)], dq);
    }
}

/// Copies the rows of the slots' positions and packs their panels.
struct Gather<'a, 'b, P> {
    keys: &'a mut GatheredKeys<P>,
    head: &'a Head<'b>,
    slots: Range<usize>,
    /// The end of the filled slots.
    end: usize,
}

impl<P: PerSlot> Kernel for Gather<'_, '_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { keys: GatheredKeys { rows: keys, pass }, head, slots, end } = self;
        let SlotShape { dim, wide, .. } = keys.shape;
        let mut found = s.zero();
        // Row by row as they lie in memory; the panels are made of the copies, which are in the cache by then.
        for slot in slots.start..end {
            let position = keys.id[slot] as usize;
            let (x, v) = (head.k.row(position), head.v.row(position));
            keys.scale[slot] = head.keys.write(s, x, &mut keys.k[slot * wide..(slot + 1) * wide]);
            row::copy(s, v, &mut keys.v[slot * wide..][..dim]);
            // The rows are at hand now: a check later would read all of them again.
            found = row::non_finite(s, x, row::non_finite(s, v, found));
        }
        head.report(s, found);
        for panel in slots.clone().step_by(KEYS_PER_PANEL) {
            let to = panel * dim..(panel + KEYS_PER_PANEL) * dim;
            pack_panel(s, dim, (&keys.k[panel * wide..], wide), &mut keys.k_panels[to]);
        }
        pass.prepare(s, keys.shape, &slots, &keys.v);
    }
}
