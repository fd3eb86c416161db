//! Stable counting sort of positions by (bucket, position), each round on its own, with its inverse.
//!
//! ```text
//! order[r][rank] = position      positions in sorted order
//! undo[r][position] = rank       undo∘order = identity
//! ```
//!
//! The other implementations sort the key `len·bucket + position` with an O(L log L) sort; counting needs
//! O(len + buckets) and is stable by construction. Since buckets carry a round offset there, one flat sort of
//! `rounds·len` entries equals these sorts one after another: `flat rank = r·len + rank`.

use crate::buckets::Buckets;

/// Positions sorted by bucket, in every round, with the start of every bucket: what a table of candidates needs, and
/// the definition in [`naive`](crate::naive). Attention sorts with [`rank_positions`] instead, which keeps one round
/// at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedBuckets {
    rounds: usize,
    len: usize,
    num_buckets: usize,
    order: Vec<u32>,
    undo: Vec<u32>,
    starts: Vec<u32>,
}

/// Calls `place(position, rank)` for every position of one round, positions rising: a sort that keeps nothing.
///
/// `next` is scratch, one number a bucket.
///
/// # Panics
/// If an id is not below `next.len()`.
#[track_caller]
pub fn rank_positions(ids: &[u32], next: &mut [u32], mut place: impl FnMut(u32, u32)) {
    next.fill(0);
    for &id in ids {
        next[id as usize] += 1;
    }
    // From here on a counter is where its bucket's next position goes.
    let mut start = 0;
    for next in next.iter_mut() {
        start += core::mem::replace(next, start);
    }
    for (position, &id) in (0..).zip(ids) {
        let rank = &mut next[id as usize];
        place(position, *rank);
        *rank += 1;
    }
}

/// Sorts the positions of every round.
pub fn sort_buckets(buckets: &Buckets) -> SortedBuckets {
    let (rounds, len, num_buckets) = (buckets.rounds(), buckets.len(), buckets.num_buckets());
    let mut order = vec![0; rounds * len];
    let mut undo = vec![0; rounds * len];
    let mut starts = vec![0; rounds * (num_buckets + 1)];
    for round in 0..rounds {
        let starts = &mut starts[round * (num_buckets + 1)..][..=num_buckets];
        let (order, undo) =
            (&mut order[round * len..(round + 1) * len], &mut undo[round * len..(round + 1) * len]);
        rank_positions(buckets.round(round), &mut starts[..num_buckets], |position, rank| {
            order[rank as usize] = position;
            undo[position as usize] = rank;
        });
        // Each bucket's counter has come to its end: the next one's start.
        starts.copy_within(..num_buckets, 1);
        starts[0] = 0;
    }
    SortedBuckets { rounds, len, num_buckets, order, undo, starts }
}

impl SortedBuckets {
    /// Hash rounds.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Positions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No positions at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Position at each flat rank, `[rounds, len]`.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Rank within its round of each position, `[rounds, len]`.
    pub fn undo(&self) -> &[u32] {
        &self.undo
    }

    /// Positions of one round in sorted order.
    pub fn order_of(&self, round: usize) -> &[u32] {
        &self.order[round * self.len..(round + 1) * self.len]
    }

    /// Ranks of the positions of one round.
    pub fn undo_of(&self, round: usize) -> &[u32] {
        &self.undo[round * self.len..(round + 1) * self.len]
    }

    /// The positions of one bucket, rising; empty for a bucket that does not exist.
    pub fn bucket(&self, round: usize, bucket: u32) -> &[u32] {
        let bucket = bucket as usize;
        if bucket >= self.num_buckets {
            return &[];
        }
        let starts = &self.starts[round * (self.num_buckets + 1)..];
        &self.order_of(round)[starts[bucket] as usize..starts[bucket + 1] as usize]
    }

    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        (self.order.capacity() + self.undo.capacity() + self.starts.capacity()) * size_of::<u32>()
    }
}
