//! The positions of a round, sorted by bucket and, within a bucket, by position: what chunks are cut from.
//!
//! Only the round at work is sorted, into one list of positions, unless neighbours reach into the rounds before and
//! after ([`Wrap::Circular`]): at a million tokens a list is 4 MB, and a thread's cache holds one.

use core::ops::Range;

use reformer_lsh::{Buckets, Wrap, rank_positions};
use reformer_tensor::{Lease, Workspace};

/// The sorted rounds of one head.
pub(crate) struct SortedRounds<'a> {
    buckets: &'a Buckets,
    /// `[len]` of the round at work, or `[rounds, len]`.
    lists: Lease<u32>,
    /// Per bucket of the round sorted last, the rank after its last position.
    ends: Lease<u32>,
    every_round: bool,
}

impl<'a> SortedRounds<'a> {
    pub(crate) fn new(workspace: &Workspace, buckets: &'a Buckets, wrap: Wrap) -> Self {
        let every_round = wrap == Wrap::Circular;
        let lists = if every_round { buckets.rounds() } else { 1 };
        let mut sorted = Self {
            buckets,
            lists: workspace.take_u32(lists * buckets.len()),
            ends: workspace.take_u32(buckets.num_buckets()),
            every_round,
        };
        // A circle's chunk may look into any round at any time.
        if every_round {
            for round in 0..buckets.rounds() {
                sorted.sort(round, round);
            }
        }
        sorted
    }

    fn sort(&mut self, round: usize, list: usize) {
        let len = self.buckets.len();
        let order = &mut self.lists[list * len..(list + 1) * len];
        // The counters start at each bucket's first rank and are its end when all its positions are placed.
        rank_positions(self.buckets.round(round), &mut self.ends, |position, rank| {
            order[rank as usize] = position;
        });
    }

    /// Makes a round the one at work.
    pub(crate) fn turn_to(&mut self, round: usize) {
        if !self.every_round {
            self.sort(round, 0);
        }
    }

    /// Positions of `round` in sorted order. Only the current round's are kept, except on a circle.
    pub(crate) fn of(&self, round: usize) -> &[u32] {
        let list = if self.every_round { round } else { 0 };
        &self.lists[list * self.buckets.len()..(list + 1) * self.buckets.len()]
    }

    /// The buckets of some ranks of a round.
    ///
    /// Sorted as they are, they are counted off by rank: looking them up position by position is a miss of the cache
    /// each in a long sequence, and part of what made a million tokens twice as slow a token as four thousand.
    pub(crate) fn buckets_of(&self, round: usize, ranks: Range<usize>) -> impl Iterator<Item = u32> {
        let ids = self.buckets.round(round);
        let list = &self.of(round)[ranks.clone()];
        let mut bucket =
            if self.every_round { 0 } else { self.ends.partition_point(|&end| end as usize <= ranks.start) };
        ranks.zip(list).map(move |(rank, &position)| {
            if self.every_round {
                return ids[position as usize];
            }
            while self.ends[bucket] as usize <= rank {
                bucket += 1;
            }
            bucket as u32
        })
    }
}
