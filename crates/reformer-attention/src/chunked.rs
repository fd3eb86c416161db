//! Attention in chunks of a list of positions: LSH (lists sorted by bucket, one a round) and local (positions as they
//! stand, one round).
//!
//! ```text
//! for each round, for each range of chunks (in parallel):
//!     for each chunk c of m ranks:
//!         keys     ranks of chunks c − before … c + after        gathered once a range
//!         o, z  ←  folded with  Σ_j w_ij exp(s_ij) v_j           sixteen queries at a time (group.rs)
//! backward: P_rij = w_rij exp(s_ij − z_i), z over all rounds; D_i = dO_i·O_i; dS = P∘(dP − D)
//! ```
//! Derivation of the backward: `o_i = Σ_rj P_rij v_j` is one softmax over all pairs of all rounds, so
//! `dv_j = Σ P dO_i` and `ds = P (dO·v_j − Σ_{r'j'} P dO·v_{j'}) = P (dP − dO·o_i)`. Rounds need nothing of one another.
//!
//! **What cannot be seen is not computed.** Sorted by bucket and position, a causal query of the same bucket sees nothing
//! after its own rank and nothing before its bucket's first: a group of queries takes the keys between.
//!
//! **No write conflicts.** In a round every position is a query once and, in its own chunk, a key once; its rows are claimed
//! by the range that has its chunk. What a range finds for the keys of its neighbours' chunks waits in an overhang that
//! is added after them, in the order of the ranges. Ranges are of fixed length, so bits do not depend on threads.

use core::ops::Range;

use reformer_lsh::{Buckets, Wrap};
use reformer_tensor::{Cpu, SharedRows, View, ViewMut};

use crate::band::{Band, Known, Running, Sinks};
use crate::order::{Order, meeting_codes};
use crate::round::{Clip, Round};
use crate::softmax::GROUP;
use crate::weights::Meeting;
use crate::window::Codes;

/// Positions of a range: long enough that the neighbours' chunks, gathered twice, do not show.
const RANGE: usize = 2048;

/// Ranges between two additions of overhangs, which bounds their memory.
const WAVE: usize = 16;

/// How a list is cut, and who is visible in a chunk's reach.
pub(crate) struct Chunked<'a> {
    pub(crate) len: usize,
    pub(crate) rounds: usize,
    pub(crate) chunk: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) wrap: Wrap,
    /// What positions are sorted by; `None` where rank = position.
    pub(crate) buckets: Option<&'a Buckets>,
    /// Visible only in the same bucket.
    pub(crate) same_bucket: bool,
    pub(crate) meeting: Meeting,
}

impl Chunked<'_> {
    pub(crate) fn per_round(&self) -> usize {
        self.len.div_ceil(self.chunk)
    }

    /// Slots of a chunk: whole panels.
    pub(crate) fn stride(&self) -> usize {
        self.chunk.next_multiple_of(GROUP)
    }

    /// The chunk at `at`, counted over all rounds, which may lie beyond the ends of `round`: its round and ranks.
    pub(crate) fn ranks(&self, round: usize, at: isize) -> Option<(usize, Range<usize>)> {
        let per_round = self.per_round();
        let chunk = match self.wrap {
            Wrap::Circular => at.rem_euclid((self.rounds * per_round) as isize) as usize,
            Wrap::Bounded => {
                let inside = (round * per_round) as isize..((round + 1) * per_round) as isize;
                inside.contains(&at).then_some(at as usize)?
            }
        };
        let first = chunk % per_round * self.chunk;
        Some((chunk / per_round, first..self.len.min(first + self.chunk)))
    }

    fn clip(&self, band: &Band<'_>) -> Clip {
        let causal = band.sight.causal_below.is_some_and(|below| below >= self.len);
        let gated = self.same_bucket && self.buckets.is_some();
        Clip {
            runs: gated && self.wrap == Wrap::Bounded,
            past: causal
                && (gated || self.buckets.is_none())
                && (self.wrap == Wrap::Bounded || self.after == 0),
        }
    }

    /// Calls `turn` for every round with its ranges of chunks.
    fn each_round(
        &self,
        cpu: &Cpu,
        band: &Band<'_>,
        dout: Option<View<'_>>,
        mut turn: impl FnMut(&Round<'_>, Vec<Range<isize>>),
    ) {
        let workspace = &cpu.workspace;
        let table = self
            .buckets
            .map(|buckets| meeting_codes(workspace, buckets, self.meeting, self.chunk, self.same_bucket));
        let apart = matches!(self.meeting, Meeting::Circle { same_bucket: true, .. });
        let codes = match &table {
            Some(table) if !table.is_empty() => {
                Codes::Table(table, self.rounds, self.buckets.filter(|_| apart))
            }
            _ => Codes::None,
        };
        let mut order = self.buckets.map(|buckets| Order::new(workspace, buckets, self.wrap));
        for round in 0..self.rounds {
            if let Some(order) = order.as_mut() {
                order.turn_to(round);
            }
            let (first, end) = (round * self.per_round(), (round + 1) * self.per_round());
            let step = (RANGE / self.chunk).max(1);
            let ranges = (first..end).step_by(step).map(|at| at as isize..end.min(at + step) as isize);
            let clip = self.clip(band);
            let round = Round { list: self, band, order: order.as_ref(), codes, index: round, clip, dout };
            turn(&round, ranges.collect());
        }
    }

    /// Folds all rounds into `running`.
    pub(crate) fn forward(&self, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>) {
        self.each_round(cpu, band, None, |round, ranges| {
            let z = ViewMut::new(running.z, self.len, 1);
            let rows = SharedRows::new([running.out.reborrow(), z]);
            cpu.threads.for_each(ranges, |range| round.forward(&cpu.workspace, &range, &rows));
        });
    }

    /// Adds the gradients of all rounds to `into`.
    pub(crate) fn backward(&self, cpu: &Cpu, band: &Band<'_>, known: &Known<'_>, into: &mut Sinks<'_>) {
        let hanging = ((self.before + self.after) * self.chunk * 2 * band.dim()).max(1);
        let mut overhangs = cpu.workspace.take(WAVE * hanging);
        self.each_round(cpu, band, Some(known.dout), |round, ranges| {
            for wave in ranges.chunks(WAVE) {
                let none = || ViewMut::new(&mut [], self.len, 0);
                let dk = into.dk.as_mut().map_or_else(none, ViewMut::reborrow);
                let rows = SharedRows::new([into.dq.reborrow(), dk, into.dv.reborrow()]);
                let work = wave.iter().zip(overhangs.chunks_mut(hanging)).collect();
                cpu.threads.for_each(work, |(range, overhang): (&Range<isize>, &mut [f32])| {
                    round.backward(&cpu.workspace, range, known, &rows, overhang);
                });
                drop(rows);
                for (range, overhang) in wave.iter().zip(overhangs.chunks(hanging)) {
                    round.add_overhang(range, overhang, into);
                }
            }
        });
    }
}
