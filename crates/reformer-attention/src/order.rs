//! Positions by rank, and how often two positions meet: what the rounds of one band are cut from.
//!
//! Only the round at work is sorted, into one list of positions, unless neighbours reach into the rounds before and after
//! ([`Wrap::Circular`]). Where pairs are counted each position has one number a round, all of them side by side: a key is
//! gathered with one cache line, not with one a round.

use core::ops::Range;

use reformer_lsh::{Buckets, Wrap, rank_positions};
use reformer_tensor::{Lease, Workspace};

use crate::weights::Meeting;

/// The sorted rounds of one band.
pub(crate) struct Order<'a> {
    buckets: &'a Buckets,
    /// `[len]` of the round at work, or `[rounds, len]`.
    lists: Lease<u32>,
    next: Lease<u32>,
    every_round: bool,
}

impl<'a> Order<'a> {
    pub(crate) fn new(workspace: &Workspace, buckets: &'a Buckets, wrap: Wrap) -> Self {
        let every_round = wrap == Wrap::Circular;
        let lists = if every_round { buckets.rounds() } else { 1 };
        let mut order = Self {
            buckets,
            lists: workspace.take_u32(lists * buckets.len()),
            next: workspace.take_u32(buckets.num_buckets()),
            every_round,
        };
        if every_round {
            for round in 0..buckets.rounds() {
                order.sort(round, round);
            }
        }
        order
    }

    fn sort(&mut self, round: usize, list: usize) {
        let len = self.buckets.len();
        let order = &mut self.lists[list * len..(list + 1) * len];
        rank_positions(self.buckets.round(round), &mut self.next, |position, rank| {
            order[rank as usize] = position;
        });
    }

    /// Makes a round the one at work.
    pub(crate) fn turn_to(&mut self, round: usize) {
        if !self.every_round {
            self.sort(round, 0);
        }
    }

    /// The buckets of some ranks of a round. Sorted as they are, they are counted off, not looked up position by position.
    pub(crate) fn buckets_of(&self, round: usize, ranks: Range<usize>) -> impl Iterator<Item = u32> {
        let ids = self.buckets.round(round);
        let list = &self.of(round)[ranks.clone()];
        // After the sort of the round at work each bucket's counter stands at its end.
        let mut bucket =
            if self.every_round { 0 } else { self.next.partition_point(|&end| end as usize <= ranks.start) };
        ranks.zip(list).map(move |(rank, &position)| {
            if self.every_round {
                return ids[position as usize];
            }
            while self.next[bucket] as usize <= rank {
                bucket += 1;
            }
            bucket as u32
        })
    }

    /// The positions of one round, by rank; of the one at work unless all are kept.
    pub(crate) fn of(&self, round: usize) -> &[u32] {
        let list = if self.every_round { round } else { 0 };
        &self.lists[list * self.buckets.len()..(list + 1) * self.buckets.len()]
    }
}

/// `[len, rounds]`: the codes with which [`Meeting`] counts the rounds in which two positions meet; empty if it does not.
///
/// With `window` chunks in reach a code is the number of the chunk, plus `window·bucket` where only the same bucket is
/// visible. On a circle it is the chunk's number among those of all rounds.
pub(crate) fn meeting_codes(
    workspace: &Workspace,
    buckets: &Buckets,
    meeting: Meeting,
    chunk: usize,
    same_bucket: bool,
) -> Lease<u32> {
    let (rounds, len) = (buckets.rounds(), buckets.len());
    let (spread, turn) = match meeting {
        Meeting::Window { reach, .. } if same_bucket => (reach + 1, 0),
        Meeting::Window { .. } => (0, 0),
        Meeting::Circle { .. } => (0, len.div_ceil(chunk) as u32),
        Meeting::Uncounted | Meeting::Anywhere { .. } => return workspace.take_u32(0),
    };
    let mut codes = workspace.take_u32(rounds * len);
    let mut next = workspace.take_u32(buckets.num_buckets());
    for round in 0..rounds {
        let (ids, first) = (buckets.round(round), round as u32 * turn);
        rank_positions(ids, &mut next, |position, rank| {
            let at = position as usize;
            codes[at * rounds + round] = first + rank / chunk as u32 + spread * ids[at];
        });
    }
    codes
}
