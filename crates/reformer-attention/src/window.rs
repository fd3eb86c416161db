//! The keys that are at hand: gathered once into contiguous memory, in the two orders in which products want them.
//!
//! ```text
//! slot   one key: its row k = c·x, its value row v, what decides who sees it, and (backward) dk, dv, dq of its position
//! panel  16 slots of k (backward: also of v), transposed
//! ```
//! A window knows nothing of chunks and rounds: its users say which positions go to which slots, in pieces of whole
//! panels. Nothing in it is as long as the sequence; it is leased, so its size shows in the workspace's peak.
//!
//! # Shapes
//! - `k, v, dk, dv, dq: [keys, wide]`, `wide` = `dim` rounded up to 16, the columns beyond `dim` always 0
//! - panels: `[keys/16, dim, 16]`   - codes: `[rounds, keys]`

use core::ops::Range;

use reformer_lsh::Buckets;
use reformer_tensor::simd::{Kernel, Simd, dispatch, prefetch};
use reformer_tensor::tile::packed::{PANEL, pack_panel};
use reformer_tensor::{Lease, Workspace};

use crate::band::Band;
use crate::key::{copy, doubts, map_with};
use crate::mask::{HIDDEN, NOBODY};
use crate::weights::KeySide;

/// What must be equal between a query and a key of unloaded slots: no round has so many buckets.
const NO_GATE: u32 = u32::MAX;

/// What decides in how many rounds a pair meets.
#[derive(Clone, Copy)]
pub(crate) enum Codes<'a> {
    /// Nothing.
    None,
    /// `[len, rounds]`, and buckets where they are compared apart.
    Table(&'a [u32], usize, Option<&'a Buckets>),
    /// The buckets themselves.
    Ids(&'a Buckets),
}

impl Codes<'_> {
    pub(crate) fn rounds(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Table(_, rounds, _) => *rounds,
            Self::Ids(buckets) => buckets.rounds(),
        }
    }

    /// Rounds whose buckets are compared apart.
    pub(crate) fn bucket_rounds(&self) -> usize {
        if let Self::Table(_, rounds, Some(_)) = self { *rounds } else { 0 }
    }

    #[inline]
    pub(crate) fn code(&self, round: usize, position: usize) -> u32 {
        match self {
            Self::None => 0,
            Self::Table(table, rounds, _) => table[position * rounds + round],
            Self::Ids(buckets) => buckets.round(round)[position],
        }
    }

    /// Asks for the codes of a position.
    pub(crate) fn prefetch(&self, position: usize) {
        if let Self::Table(table, rounds, _) = self {
            prefetch(&table[position * rounds..][..*rounds]);
        }
    }

    pub(crate) fn bucket(&self, round: usize, position: usize) -> u32 {
        if let Self::Table(_, _, Some(buckets)) = self { buckets.round(round)[position] } else { 0 }
    }
}

pub(crate) struct Window {
    pub(crate) dim: usize,
    pub(crate) wide: usize,
    pub(crate) keys: usize,
    pub(crate) k: Lease,
    pub(crate) v: Lease,
    pub(crate) k_panels: Lease,
    scale: Lease,
    horizon: Lease<u32>,
    pub(crate) id: Lease<u32>,
    pub(crate) gate: Lease<u32>,
    rounds: usize,
    codes: Lease<u32>,
    bucket_rounds: usize,
    buckets: Lease<u32>,
    pub(crate) gradients: Option<SlotGradients>,
}

/// What the backward pass keeps of every slot.
pub(crate) struct SlotGradients {
    pub(crate) v_panels: Lease,
    pub(crate) dq: Lease,
    pub(crate) dk: Lease,
    pub(crate) dv: Lease,
}

impl Window {
    /// `keys` slots, a multiple of [`PANEL`], with unspecified contents: load or hide before use.
    pub(crate) fn new(
        workspace: &Workspace,
        dim: usize,
        keys: usize,
        codes: &Codes<'_>,
        backward: bool,
    ) -> Self {
        let wide = dim.next_multiple_of(PANEL);
        let take = |len: usize| {
            // The columns beyond dim are never written.
            if wide == dim { workspace.take(len) } else { workspace.take_zeroed(len) }
        };
        let (rounds, bucket_rounds) = (codes.rounds(), codes.bucket_rounds());
        Self {
            dim,
            wide,
            keys,
            k: take(keys * wide),
            v: take(keys * wide),
            k_panels: workspace.take(keys * dim),
            scale: workspace.take(keys),
            horizon: workspace.take_u32(keys),
            id: workspace.take_u32(keys),
            gate: workspace.take_u32(keys),
            rounds,
            codes: workspace.take_u32(rounds * keys),
            bucket_rounds,
            buckets: workspace.take_u32(bucket_rounds * keys),
            gradients: backward.then(|| SlotGradients {
                v_panels: workspace.take(keys * dim),
                dq: workspace.take(keys * wide),
                dk: workspace.take(keys * wide),
                dv: workspace.take(keys * wide),
            }),
        }
    }

    /// Loads positions with their gates into the first of `slots`, which are whole panels, and hides the others.
    pub(crate) fn load(
        &mut self,
        band: &Band<'_>,
        slots: Range<usize>,
        positions: impl Iterator<Item = (usize, u32)>,
        codes: &Codes<'_>,
    ) {
        let mut end = slots.start;
        for (slot, (position, gate)) in slots.clone().zip(positions) {
            end = slot + 1;
            self.id[slot] = position as u32;
            self.horizon[slot] = band.sight.horizon_key(position);
            self.gate[slot] = gate;
            for h in 0..self.rounds {
                self.codes[h * self.keys + slot] = codes.code(h, position);
            }
            for h in 0..self.bucket_rounds {
                self.buckets[h * self.keys + slot] = codes.bucket(h, position);
            }
        }
        self.hide(end..slots.end);
        dispatch(Gather { window: self, band, slots, end });
    }

    /// Empties slots: seen by nobody, and zero so that no stale number is multiplied by a probability of 0.
    pub(crate) fn hide(&mut self, slots: Range<usize>) {
        if slots.is_empty() {
            return;
        }
        self.horizon[slots.clone()].fill(HIDDEN);
        self.id[slots.clone()].fill(NOBODY);
        // Runs of one bucket go on over the unfilled end of a chunk.
        let gate = if slots.start > 0 { self.gate[slots.start - 1] } else { NO_GATE };
        self.gate[slots.clone()].fill(gate);
        for h in 0..self.rounds {
            self.codes[h * self.keys..][slots.clone()].fill(0);
        }
        for h in 0..self.bucket_rounds {
            self.buckets[h * self.keys..][slots.clone()].fill(0);
        }
        let rows = slots.start * self.wide..slots.end * self.wide;
        self.k[rows.clone()].fill(0.0);
        self.v[rows].fill(0.0);
    }

    /// Hides whole panels.
    pub(crate) fn hide_panels(&mut self, slots: Range<usize>) {
        let panels = slots.start * self.dim..slots.end * self.dim;
        self.k_panels[panels.clone()].fill(0.0);
        if let Some(g) = self.gradients.as_mut() {
            g.v_panels[panels].fill(0.0);
            g.dk[slots.start * self.wide..slots.end * self.wide].fill(0.0);
            g.dv[slots.start * self.wide..slots.end * self.wide].fill(0.0);
        }
        self.hide(slots.clone());
        self.gate[slots].fill(NO_GATE);
    }

    /// Moves whole panels of slots to the front.
    pub(crate) fn keep(&mut self, slots: Range<usize>) {
        let rows = slots.start * self.wide..slots.end * self.wide;
        let panels = slots.start * self.dim..slots.end * self.dim;
        self.k.copy_within(rows.clone(), 0);
        self.v.copy_within(rows.clone(), 0);
        self.k_panels.copy_within(panels.clone(), 0);
        self.scale.copy_within(slots.clone(), 0);
        for x in [&mut self.horizon, &mut self.id, &mut self.gate] {
            x.copy_within(slots.clone(), 0);
        }
        for x in self.codes.chunks_exact_mut(self.keys).chain(self.buckets.chunks_exact_mut(self.keys)) {
            x.copy_within(slots.clone(), 0);
        }
        if let Some(g) = self.gradients.as_mut() {
            g.v_panels.copy_within(panels, 0);
            for x in [&mut g.dq, &mut g.dk, &mut g.dv] {
                x.copy_within(rows.clone(), 0);
            }
        }
    }

    /// The keys of some slots.
    pub(crate) fn side(&self, slots: Range<usize>) -> KeySide<'_> {
        let rounds = |x: &'_ [u32]| if x.is_empty() { 0 } else { slots.start };
        KeySide {
            horizon: &self.horizon[slots.clone()],
            id: &self.id[slots.clone()],
            gate: &self.gate[slots.clone()],
            codes: &self.codes[rounds(&self.codes)..],
            buckets: &self.buckets[rounds(&self.buckets)..],
            stride: self.keys,
        }
    }

    /// Whether a slot holds a position.
    pub(crate) fn is_filled(&self, slot: usize) -> bool {
        self.id[slot] != NOBODY
    }

    /// Adds a slot's `dk`, through its key, to `dx`.
    #[inline(always)]
    pub(crate) fn add_key_gradient<S: Simd>(&self, s: S, band: &Band<'_>, slot: usize, dx: &mut [f32]) {
        let Some(g) = &self.gradients else { return };
        let row = slot * self.wide..(slot + 1) * self.wide;
        band.keys.add_gradient(s, (&self.k[row.clone()], self.scale[slot]), &g.dk[row], dx);
    }

    /// Adds a slot's `dv`.
    #[inline(always)]
    pub(crate) fn add_value_gradient<S: Simd>(&self, s: S, slot: usize, dv: &mut [f32]) {
        let Some(g) = &self.gradients else { return };
        let row = &g.dv[slot * self.wide..(slot + 1) * self.wide];
        map_with(
            s,
            row,
            dv,
            #[inline(always)]
            |x, y| s.add(x, y),
        );
    }
}

/// Copies the rows of the slots' positions and packs their panels.
struct Gather<'a, 'b> {
    window: &'a mut Window,
    band: &'a Band<'b>,
    slots: Range<usize>,
    /// The end of the filled slots.
    end: usize,
}

impl Kernel for Gather<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { window, band, slots, end } = self;
        let (dim, wide) = (window.dim, window.wide);
        let mut doubt = s.zero();
        for slot in slots.start..end {
            let position = window.id[slot] as usize;
            let (x, v) = (band.k.row(position), band.v.row(position));
            let row = &mut window.k[slot * wide..(slot + 1) * wide];
            window.scale[slot] = band.keys.write(s, x, row);
            copy(s, v, &mut window.v[slot * wide..][..dim]);
            doubt = doubts(s, x, doubts(s, v, doubt));
        }
        band.report(s, doubt);
        for panel in slots.clone().step_by(PANEL) {
            let to = panel * dim..(panel + PANEL) * dim;
            pack_panel(s, dim, (&window.k[panel * wide..], wide), &mut window.k_panels[to.clone()]);
            if let Some(g) = window.gradients.as_mut() {
                pack_panel(s, dim, (&window.v[panel * wide..], wide), &mut g.v_panels[to]);
            }
        }
        if let Some(g) = window.gradients.as_mut() {
            g.dk[slots.start * wide..slots.end * wide].fill(0.0);
            g.dv[slots.start * wide..slots.end * wide].fill(0.0);
        }
    }
}
