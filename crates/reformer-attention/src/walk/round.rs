//! One round over a range of chunks. The idea:
//!
//! ```text
//! for chunk in range:                         a slice of the sorted positions
//!     gather the keys of chunk + after        each key once per range, not once per query
//!     for each sixteen queries of chunk:
//!         attend to the slots of chunk − before ..= chunk + after
//!     backward: add dk, dv of the chunk that leaves the reach to its positions
//! ```
//! Where the code departs from it:
//! 1. A chunk takes `stride` slots, its length rounded up to 16: products read whole panels. The rest is hidden.
//! 2. The gathered keys hold [`BATCH`] slots beyond the reach, so that what stays in reach is moved once a batch, not
//!    once a chunk.
//! 3. [`Clip::seen`](crate::visibility::mask::Clip::seen) cuts keys that the order of the list proves invisible
//!    (another bucket's run, the future): a third of the reach is left with the automatic number of buckets. With
//!    weights compared on the way that took a thread from 22.6 to 64.8 useful GFLOP/s at 16,384 tokens.
//! 4. Chunks before and after the range are another thread's. Their gradients go to an overhang and are added after the
//!    wave, in order: no atomics, and the same bits for any number of threads.
//! 5. The next chunk's rows are asked for ahead, no later one's: rows of one head of eight share an eighth of the
//!    cache's sets. Four chunks ahead was tried, and what was fetched was gone again before it was used.

use core::ops::Range;

use reformer_tensor::simd::{dispatch, prefetch};
use reformer_tensor::{SharedRows, View, Workspace};

use super::chunks::ChunkedList;
use super::overhang::{self, AddToRows, WriteOverhang};
use super::sorted::SortedRounds;
use crate::heads::{Head, HeadGradients, HeadUpstream};
use crate::tile::QUERIES;
use crate::tile::keys::{GatheredKeys, PerSlot, SlotGradients};
use crate::tile::queries::{BackwardRoom, ForwardRoom, KeyRange, Queries};
use crate::visibility::duplicates::Codes;
use crate::visibility::mask::Clip;

/// Slots gathered at a time, besides the neighbours'.
const BATCH: usize = 256;

/// One round of a head at work.
pub(super) struct Round<'a> {
    pub(super) list: &'a ChunkedList<'a>,
    pub(super) head: &'a Head<'a>,
    /// `None` where rank = position.
    pub(super) sorted: Option<&'a SortedRounds<'a>>,
    pub(super) codes: Codes<'a>,
    pub(super) index: usize,
    pub(super) clip: Clip,
    /// What else the backward pass gathers, to be asked for ahead.
    pub(super) dout: Option<View<'a>>,
}

/// What a pass does on the way: `attend` to every tile of queries in turn, and `leave` every chunk, with its first
/// slot, when no later query of the range reaches it any more.
trait Visitor<P, R> {
    fn attend(
        &mut self,
        keys: &mut GatheredKeys<P>,
        queries: &mut Queries<R>,
        range: &KeyRange<'_>,
        own: usize,
    );
    fn leave(&mut self, keys: &GatheredKeys<P>, chunk: isize, first: usize);
}

impl Round<'_> {
    /// Slots of the gathered keys, and of a query's reach.
    fn sizes(&self) -> (usize, usize) {
        let (stride, chunks) = (self.list.stride(), &self.list.chunks);
        let around = chunks.before() + chunks.after();
        ((around + self.batch()) * stride, (around + 1) * stride)
    }

    /// Chunks gathered at a time.
    fn batch(&self) -> usize {
        (BATCH / self.list.stride()).clamp(1, self.list.chunks.per_round())
    }

    fn load<P: PerSlot>(&self, keys: &mut GatheredKeys<P>, chunk: isize, slot: usize) {
        let (list, slots) = (self.list, slot..slot + self.list.stride());
        let Some((round, ranks)) = list.chunks.ranks(self.index, chunk) else {
            return keys.hide_panels(slots);
        };
        let Some(sorted) = self.sorted else {
            return keys.load(self.head, slots, ranks.map(|rank| (rank, 0)), &self.codes);
        };
        let positions = sorted.of(round)[ranks.clone()].iter().map(|&t| t as usize);
        if !list.same_bucket {
            return keys.load(self.head, slots, positions.map(|position| (position, 0)), &self.codes);
        }
        // On a circle another round's bucket of the same number must not pass for this one's.
        let first = list.buckets.map_or(0, |b| round * b.num_buckets()) as u32;
        let gates = sorted.buckets_of(round, ranks).map(|bucket| first + bucket);
        keys.load(self.head, slots, positions.zip(gates), &self.codes);
    }

    /// Goes through a range of chunks. The order of events is that of the pseudo-code above.
    fn walk<P: PerSlot, R>(
        &self,
        keys: &mut GatheredKeys<P>,
        queries: &mut Queries<R>,
        range: &Range<isize>,
        visitor: &mut impl Visitor<P, R>,
    ) {
        let (list, stride, batch) = (self.list, self.list.stride(), self.batch() as isize);
        let (before, after) = (list.chunks.before() as isize, list.chunks.after() as isize);
        for start in range.clone().step_by(batch as usize) {
            let end = range.end.min(start + batch);
            let slot_of = |chunk: isize| (chunk - (start - before)) as usize * stride;
            if start == range.start {
                // The first reach; every later one moves up by a chunk.
                for chunk in start - before..start + after {
                    self.load(keys, chunk, slot_of(chunk));
                }
            }
            for chunk in start..end {
                self.load(keys, chunk + after, slot_of(chunk + after));
                let reach = slot_of(chunk - before)..slot_of(chunk + after) + stride;
                let own = slot_of(chunk);
                let filled = list.chunks.ranks(self.index, chunk).map_or(0, |(_, ranks)| ranks.len());
                for first in (0..filled).step_by(QUERIES) {
                    let slots = own + first..own + filled.min(first + QUERIES);
                    let tile = slots.clone().map(|s| (keys.rows.id[s] as usize, keys.rows.gate[s]));
                    queries.set(tile, &self.codes);
                    let seen = self.clip.seen(&keys.rows.gate, &slots, &reach);
                    self.prefetch(chunk + after + 1, first);
                    let range = KeyRange {
                        head: self.head,
                        meeting: list.meeting,
                        round: self.index,
                        first: seen.start,
                        end: seen.end,
                    };
                    visitor.attend(keys, queries, &range, slots.start);
                }
            }
            // The last batch drops everything, the others what the next batch will not reach.
            let dropped = if end == range.end { end + after } else { end - before };
            for chunk in start - before..dropped {
                visitor.leave(keys, chunk, slot_of(chunk));
            }
            if end < range.end {
                keys.keep(slot_of(end - before)..slot_of(end + after));
            }
        }
    }

    /// Asks for some rows of the next chunk. They are scattered, so the hardware prefetcher does not find them.
    fn prefetch(&self, chunk: isize, first: usize) {
        let Some((round, ranks)) = self.list.chunks.ranks(self.index, chunk) else { return };
        // Positions as they stand: the hardware sees that stream.
        let Some(sorted) = self.sorted else { return };
        for &position in sorted.of(round)[ranks].iter().skip(first).take(QUERIES) {
            self.codes.prefetch(position as usize);
            for rows in [Some(self.head.k), Some(self.head.v), self.dout].into_iter().flatten() {
                prefetch(rows.row(position as usize));
            }
        }
    }

    /// Accumulates what the queries of a range see into their running rows `[out, z]`.
    pub(super) fn forward(&self, workspace: &Workspace, range: &Range<isize>, rows: &SharedRows<'_, 2>) {
        let ((slots, reach), dim) = (self.sizes(), self.head.dim());
        let mut keys = GatheredKeys::<()>::new(workspace, dim, slots, &self.codes);
        let mut queries = Queries::<ForwardRoom>::new(workspace, dim, reach, &self.codes);
        self.walk(&mut keys, &mut queries, range, &mut Forward { rows });
    }

    /// Adds the gradients of a range to its positions' rows `[dq, dk, dv]`; its neighbours' to `overhang`.
    pub(super) fn backward(
        &self,
        workspace: &Workspace,
        range: &Range<isize>,
        upstream: &HeadUpstream<'_>,
        rows: &SharedRows<'_, 3>,
        overhang: &mut [f32],
    ) {
        let ((slots, reach), dim) = (self.sizes(), self.head.dim());
        let mut keys = GatheredKeys::<SlotGradients>::new(workspace, dim, slots, &self.codes);
        let mut queries = Queries::<BackwardRoom>::new(workspace, dim, reach, &self.codes);
        let mut visitor = Backward { round: self, range, upstream, rows, overhang };
        self.walk(&mut keys, &mut queries, range, &mut visitor);
    }

    /// Adds what a range has found for its neighbours' chunks.
    pub(super) fn add_overhang(&self, range: &Range<isize>, overhang: &[f32], into: &mut HeadGradients<'_>) {
        let (list, dim) = (self.list, self.head.dim());
        for chunk in overhang::chunks(&list.chunks, range) {
            let Some((round, ranks)) = list.chunks.ranks(self.index, chunk) else { continue };
            let piece = overhang::piece(&list.chunks, dim, range, chunk).expect("a neighbour's chunk");
            let position = |rank| self.sorted.map_or(rank, |sorted| sorted.of(round)[rank] as usize);
            overhang::add(&overhang[piece], dim, ranks.map(position), into);
        }
    }
}

/// The forward pass: rows are claimed tile by tile, and nothing has to be done when a chunk is left.
struct Forward<'a, 'b> {
    rows: &'a SharedRows<'b, 2>,
}

impl Visitor<(), ForwardRoom> for Forward<'_, '_> {
    fn attend(
        &mut self,
        keys: &mut GatheredKeys<()>,
        queries: &mut Queries<ForwardRoom>,
        range: &KeyRange<'_>,
        _: usize,
    ) {
        let mut running: [[&mut [f32]; 2]; QUERIES] = core::array::from_fn(|_| [&mut [][..], &mut []]);
        let mut count = 0;
        for (row, position) in running.iter_mut().zip(queries.positions()) {
            *row = self.rows.claim(position);
            // Scattered as they are, they are asked for before the products, which take long enough.
            for row in row.iter() {
                prefetch(row);
            }
            count += 1;
        }
        queries.forward(range, keys, &mut running[..count]);
    }

    fn leave(&mut self, _: &GatheredKeys<()>, _: isize, _: usize) {}
}

/// The backward pass: gradients of keys are gathered in their slots, and go where they belong when their chunk is left.
struct Backward<'a, 'b> {
    round: &'a Round<'a>,
    range: &'a Range<isize>,
    upstream: &'a HeadUpstream<'a>,
    rows: &'a SharedRows<'b, 3>,
    overhang: &'a mut [f32],
}

impl Visitor<SlotGradients, BackwardRoom> for Backward<'_, '_> {
    fn attend(
        &mut self,
        keys: &mut GatheredKeys<SlotGradients>,
        queries: &mut Queries<BackwardRoom>,
        range: &KeyRange<'_>,
        own: usize,
    ) {
        queries.backward(range, keys, self.upstream, own);
    }

    fn leave(&mut self, keys: &GatheredKeys<SlotGradients>, chunk: isize, first: usize) {
        let (head, chunks) = (self.round.head, &self.round.list.chunks);
        let slots = first..first + chunks.chunk_length();
        match overhang::piece(chunks, head.dim(), self.range, chunk) {
            None => dispatch(AddToRows { keys, head, slots, rows: self.rows }),
            Some(piece) => {
                dispatch(WriteOverhang { keys, head, slots, into: &mut self.overhang[piece] });
            }
        }
    }
}
