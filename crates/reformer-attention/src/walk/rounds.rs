//! All rounds of a head, cut into ranges of chunks that threads share. The idea:
//!
//! ```text
//! for each round, for each range of chunks (in parallel):
//!     o, z ← accumulated with what the range's queries see                       round.rs
//! backward: P_rij = w_rij exp(s_ij − z_i), z over all rounds; D_i = dO_i·O_i; dS = P∘(dP − D)
//! ```
//! Derivation of the backward: `o_i = Σ_rj P_rij v_j` is one softmax over all pairs of all rounds, so
//! `dv_j = Σ P dO_i` and `ds = P (dO·v_j − Σ_{r'j'} P dO·v_{j'}) = P (dP − dO·o_i)`. Rounds need nothing of one
//! another.
//!
//! Where the code departs from it:
//! 1. **Ranges are of fixed length**, so bits do not depend on the number of threads.
//! 2. **No write conflicts, no atomics.** In a round every position is a query once and, in its own chunk, a key
//!    once; its rows are claimed by the range that has its chunk. What a range finds for the keys of its neighbours'
//!    chunks waits in an *overhang* and is added afterwards, in the order of the ranges. Atomic additions would be in
//!    no fixed order, and floats added in another order are other floats.
//! 3. **Waves.** Overhangs are added after every sixteen ranges, which bounds their memory whatever the length, and
//!    leaves a wave long enough that threads seldom wait at its end.

use core::ops::Range;

use reformer_tensor::{Cpu, SharedRows, View, ViewMut};

use super::chunks::ChunkedList;
use super::round::Round;
use super::sorted::SortedRounds;
use crate::heads::{Head, HeadGradients, HeadOutput, HeadUpstream};
use crate::visibility::duplicates::{Codes, Meeting, meeting_codes};

/// Positions of a range: long enough that the neighbours' chunks, gathered twice, do not show.
const RANGE: usize = 2048;

/// Ranges of a wave.
const WAVE: usize = 16;

/// Calls `turn` for every round with its ranges of chunks.
fn each_round(
    list: &ChunkedList<'_>,
    cpu: &Cpu,
    head: &Head<'_>,
    dout: Option<View<'_>>,
    mut turn: impl FnMut(&Round<'_>, Vec<Range<isize>>),
) {
    let (workspace, chunks) = (&cpu.workspace, &list.chunks);
    let (rounds, chunk) = (chunks.rounds(), chunks.chunk_length());
    let table =
        list.buckets.map(|buckets| meeting_codes(workspace, buckets, list.meeting, chunk, list.same_bucket));
    let apart = matches!(list.meeting, Meeting::OnCircle { same_bucket: true, .. });
    let codes = match &table {
        Some(table) if !table.is_empty() => {
            Codes::Table { codes: table, rounds, apart: list.buckets.filter(|_| apart) }
        }
        _ => Codes::None,
    };
    let mut sorted = list.buckets.map(|buckets| SortedRounds::new(workspace, buckets, chunks.wrap()));
    for index in 0..rounds {
        // One round after the other, not in parallel: each adds to the rows of all positions.
        if let Some(sorted) = sorted.as_mut() {
            sorted.turn_to(index);
        }
        let (first, end) = (index * chunks.per_round(), (index + 1) * chunks.per_round());
        let step = (RANGE / chunk).max(1);
        let ranges = (first..end).step_by(step).map(|at| at as isize..end.min(at + step) as isize);
        let round = Round { list, head, sorted: sorted.as_ref(), codes, index, clip: list.clip(head), dout };
        turn(&round, ranges.collect());
    }
}

/// Accumulates all rounds into `output`.
pub(super) fn forward(list: &ChunkedList<'_>, cpu: &Cpu, head: &Head<'_>, output: &mut HeadOutput<'_>) {
    each_round(list, cpu, head, None, |round, ranges| {
        let z = ViewMut::new(output.z, head.len(), 1);
        let rows = SharedRows::new([output.out.reborrow(), z]);
        cpu.threads.for_each(ranges, |range| round.forward(&cpu.workspace, &range, &rows));
    });
}

/// Adds the gradients of all rounds to `into`.
pub(super) fn backward(
    list: &ChunkedList<'_>,
    cpu: &Cpu,
    head: &Head<'_>,
    upstream: &HeadUpstream<'_>,
    into: &mut HeadGradients<'_>,
) {
    let neighbours = list.chunks.before() + list.chunks.after();
    let overhang = (neighbours * list.chunks.chunk_length() * 2 * head.dim()).max(1);
    let mut overhangs = cpu.workspace.take(WAVE * overhang);
    each_round(list, cpu, head, Some(upstream.dout), |round, ranges| {
        for wave in ranges.chunks(WAVE) {
            let none = || ViewMut::new(&mut [], head.len(), 0);
            let dk = into.dk.as_mut().map_or_else(none, ViewMut::reborrow);
            let rows = SharedRows::new([into.dq.reborrow(), dk, into.dv.reborrow()]);
            let work = wave.iter().zip(overhangs.chunks_mut(overhang)).collect();
            cpu.threads.for_each(work, |(range, overhang): (&Range<isize>, &mut [f32])| {
                round.backward(&cpu.workspace, range, upstream, &rows, overhang);
            });
            // In the order of the ranges, by one thread: floats added in another order are other floats.
            drop(rows);
            for (range, overhang) in wave.iter().zip(overhangs.chunks(overhang)) {
                round.add_overhang(range, overhang, into);
            }
        }
    });
}
