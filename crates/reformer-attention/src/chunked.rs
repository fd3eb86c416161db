//! Attention in chunks of a list of positions: LSH (lists sorted by bucket, one a round) and local (positions as they
//! stand, one round).
//!
//! ```text
//! for each round, for each chunk c of m ranks:
//!     keys     ranks of chunks c − before … c + after        a ring of slots: one chunk is gathered, one is dropped
//!     o, z  ←  folded with  Σ_j w_ij exp(s_ij) v_j           (row.rs)
//! backward: P_rij = w_rij exp(s_ij − z_i), z over all rounds; D_i = dO_i·O_i; dS = P∘(dP − D)
//! ```
//! Derivation of the backward: `o_i = Σ_rj P_rij v_j` is one softmax over all pairs of all rounds, so
//! `dv_j = Σ P dO_i` and `ds = P (dO·v_j − Σ_{r'j'} P dO·v_{j'}) = P (dP − dO·o_i)`. Rounds need nothing of one another.
//!
//! The order of keys inside the ring is not that of the sequence; nothing depends on it but round-off, and forward and
//! backward agree. Weights come from positions and buckets alone ([`crate::row`]).

use core::ops::Range;

use reformer_lsh::{Buckets, SortedBuckets, Wrap};
use reformer_tensor::{Lease, Workspace};

use crate::row::Meeting;
use crate::tile::{Band, CodeCount, Known, QUERIES, Query, Running, Sinks, Tile};

/// How a list is cut, and who is visible in a chunk's reach.
pub(crate) struct Chunked<'a> {
    pub(crate) len: usize,
    pub(crate) rounds: usize,
    pub(crate) chunk: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) wrap: Wrap,
    /// Positions by rank, `None` where rank = position.
    pub(crate) sorted: Option<&'a SortedBuckets>,
    /// Visible only in the same bucket.
    pub(crate) gate: Option<&'a Buckets>,
    pub(crate) meeting: Meeting,
    /// `[rounds, len]` codes of positions, as `meeting` wants them; empty if it wants none.
    pub(crate) codes: Option<Lease<u32>>,
}

/// The codes with which [`Meeting`] counts the rounds in which two positions meet.
pub(crate) fn meeting_codes(
    workspace: &Workspace,
    sorted: &SortedBuckets,
    buckets: Option<&Buckets>,
    chunk: usize,
    window: usize,
    wrap: Wrap,
) -> Lease<u32> {
    let (rounds, len) = (sorted.rounds(), sorted.len());
    let per_round = len.div_ceil(chunk);
    let mut codes = workspace.take_u32(rounds * len);
    for h in 0..rounds {
        for (t, &rank) in sorted.undo_of(h).iter().enumerate() {
            let at = rank as usize / chunk;
            codes[h * len + t] = match wrap {
                Wrap::Circular => (h * per_round + at) as u32,
                Wrap::Bounded => (at + buckets.map_or(0, |b| b.round(h)[t] as usize * window)) as u32,
            };
        }
    }
    codes
}

impl Chunked<'_> {
    fn per_round(&self) -> usize {
        self.len.div_ceil(self.chunk)
    }

    fn slots(&self) -> usize {
        self.before + 1 + self.after
    }

    /// The stretches of chunks inside which chunks are neighbours.
    fn segments(&self) -> Vec<Range<isize>> {
        let per_round = self.per_round() as isize;
        match self.wrap {
            Wrap::Circular => core::iter::once(0..self.rounds as isize * per_round).collect(),
            Wrap::Bounded => (0..self.rounds as isize).map(|r| r * per_round..(r + 1) * per_round).collect(),
        }
    }

    /// Round and ranks of the chunk at `at`, which may lie beyond its segment's ends.
    fn ranks(&self, segment: &Range<isize>, at: isize) -> Option<(usize, Range<usize>)> {
        let chunk = match self.wrap {
            Wrap::Circular => at.rem_euclid(segment.end) as usize,
            Wrap::Bounded => segment.contains(&at).then_some(at as usize)?,
        };
        let (round, first) = (chunk / self.per_round(), chunk % self.per_round() * self.chunk);
        Some((round, first..self.len.min(first + self.chunk)))
    }

    fn position(&self, round: usize, rank: usize) -> usize {
        self.sorted.map_or(rank, |s| s.order()[round * self.len + rank] as usize)
    }

    /// What must be equal: bucket and round.
    fn gate_of(&self, round: usize, position: usize) -> u32 {
        self.gate.map_or(0, |b| (round * b.num_buckets()) as u32 + b.round(round)[position])
    }

    fn code_counts(&self) -> CodeCount {
        let codes = if self.codes.is_some() { self.rounds } else { 0 };
        CodeCount { codes, buckets: if self.compares_buckets() { self.rounds } else { 0 } }
    }

    fn compares_buckets(&self) -> bool {
        matches!(self.meeting, Meeting::Circle { same_bucket: true, .. })
    }

    /// First slot of the chunk at `at`.
    fn slot(&self, at: isize) -> usize {
        at.rem_euclid(self.slots() as isize) as usize * self.chunk
    }

    fn load(&self, tile: &mut Tile, band: &Band<'_>, segment: &Range<isize>, at: isize) {
        let slot = self.slot(at);
        let Some((round, ranks)) = self.ranks(segment, at) else {
            tile.hide(slot..slot + self.chunk);
            return;
        };
        let count = ranks.len();
        for (i, rank) in ranks.enumerate() {
            let position = self.position(round, rank);
            tile.load_key(band, slot + i, position, self.gate_of(round, position));
            if let Some(codes) = &self.codes {
                for h in 0..self.rounds {
                    tile.set_code(h, slot + i, codes[h * self.len + position]);
                }
            }
            if let (true, Some(buckets)) = (self.compares_buckets(), self.gate) {
                for h in 0..self.rounds {
                    tile.set_bucket(h, slot + i, buckets.round(h)[position]);
                }
            }
        }
        if count < self.chunk {
            tile.hide(slot + count..slot + self.chunk);
        }
    }

    /// Calls `visit` for every chunk with its keys at hand, in pieces of at most [`QUERIES`] queries; `drop_slots` sees
    /// the slots of a chunk before they are used again, and after the last chunk all of them.
    fn walk(
        &self,
        tile: &mut Tile,
        band: &Band<'_>,
        mut visit: impl FnMut(&mut Tile, usize, &[Query<'_>]),
        mut drop_slots: impl FnMut(&mut Tile, Range<usize>),
    ) {
        let (codes, buckets) = (self.code_counts().codes, self.code_counts().buckets);
        let mut query_codes = vec![0; QUERIES * codes];
        let mut query_buckets = vec![0; QUERIES * buckets];
        for segment in self.segments() {
            for at in segment.start - self.before as isize..segment.start + self.after as isize {
                self.load(tile, band, &segment, at);
            }
            for at in segment.clone() {
                let ahead = at + self.after as isize;
                let slot = self.slot(ahead);
                drop_slots(tile, slot..slot + self.chunk);
                self.load(tile, band, &segment, ahead);
                let Some((round, ranks)) = self.ranks(&segment, at) else { continue };
                for first in ranks.clone().step_by(QUERIES) {
                    let piece = first..ranks.end.min(first + QUERIES);
                    for (i, rank) in piece.clone().enumerate() {
                        let position = self.position(round, rank);
                        for h in 0..codes {
                            query_codes[i * codes + h] =
                                self.codes.as_ref().map_or(0, |c| c[h * self.len + position]);
                        }
                        for h in 0..buckets {
                            query_buckets[i * buckets + h] = self.gate.map_or(0, |b| b.round(h)[position]);
                        }
                    }
                    let queries: Vec<Query<'_>> = piece
                        .enumerate()
                        .map(|(i, rank)| {
                            let position = self.position(round, rank);
                            Query {
                                position,
                                gate: self.gate_of(round, position),
                                codes: &query_codes[i * codes..(i + 1) * codes],
                                buckets: &query_buckets[i * buckets..(i + 1) * buckets],
                            }
                        })
                        .collect();
                    visit(tile, round, &queries);
                }
            }
            drop_slots(tile, 0..self.slots() * self.chunk);
            tile.hide(0..tile.keys);
        }
    }

    fn tile(&self, workspace: &Workspace, band: &Band<'_>, backward: bool) -> Tile {
        Tile::new(workspace, band.dim(), self.slots() * self.chunk, self.code_counts(), backward)
    }

    /// Folds all rounds into `running`.
    pub(crate) fn forward(&self, workspace: &Workspace, band: &Band<'_>, running: &mut Running<'_>) {
        let mut tile = self.tile(workspace, band, false);
        let visit = |tile: &mut Tile, round: usize, queries: &[Query<'_>]| {
            tile.forward(band, round, queries, self.meeting, running);
        };
        self.walk(&mut tile, band, visit, |_, _| ());
    }

    /// Adds the gradients of all rounds to `into`.
    pub(crate) fn backward(
        &self,
        workspace: &Workspace,
        band: &Band<'_>,
        known: &Known<'_>,
        into: &mut Sinks<'_, '_>,
    ) {
        let mut tile = self.tile(workspace, band, true);
        let into = core::cell::RefCell::new(into);
        let visit = |tile: &mut Tile, round: usize, queries: &[Query<'_>]| {
            tile.backward(band, round, queries, self.meeting, known, into.borrow_mut().dq);
        };
        let drop_slots = |tile: &mut Tile, slots: Range<usize>| {
            tile.flush(band.keys, slots, &mut into.borrow_mut());
        };
        self.walk(&mut tile, band, visit, drop_slots);
    }
}
