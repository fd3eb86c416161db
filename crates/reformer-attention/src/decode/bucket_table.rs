//! Which earlier positions fell into which bucket: what a decoding head keeps beside its rows.
//!
//! ```text
//! (round, bucket) → count, first line, last line          line: 14 positions, line before, line after (64 bytes)
//! ```
//! A bucket's positions stand in lines of one cache line each, oldest first, chained both ways. Adding a position costs
//! O(rounds); the latest `n` of a bucket are read in `n/14` cache lines; forgetting from the end (a chat's undo) undoes
//! exactly what adding did, because the youngest line is always the last one. All are independent of how long the
//! sequence is.
//!
//! Memory: `4·rounds` bytes a position for its bucket ids and about `6·rounds` in lines.

use reformer_lsh::Buckets;

use crate::error::{AttentionError, Result};

const NONE: u32 = u32::MAX;
/// Positions of a line.
const LINE: usize = 14;

/// Some positions of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
struct Line {
    positions: [u32; LINE],
    before: u32,
    after: u32,
}

/// Where a bucket's lines begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain {
    first: u32,
    last: u32,
    count: u32,
}

const EMPTY: Chain = Chain { first: NONE, last: NONE, count: 0 };

/// The buckets of every position so far, of one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketTable {
    rounds: usize,
    num_buckets: usize,
    /// `[rounds, num_buckets]`.
    chains: Vec<Chain>,
    lines: Vec<Line>,
    /// `[len, rounds]`.
    ids: Vec<u32>,
}

impl BucketTable {
    /// No positions.
    pub fn new(rounds: usize, num_buckets: usize) -> Self {
        let chains = vec![EMPTY; rounds * num_buckets];
        Self { rounds, num_buckets, chains, lines: Vec::new(), ids: Vec::new() }
    }

    /// The first `len` positions of a prompt's buckets; a bucket of padding behind them is not kept.
    pub fn of_prompt(buckets: &Buckets, num_buckets: usize, len: usize) -> Result<Self> {
        let mut table = Self::new(buckets.rounds(), num_buckets);
        let mut ids = vec![0; buckets.rounds()];
        for t in 0..len.min(buckets.len()) {
            for (r, id) in ids.iter_mut().enumerate() {
                *id = buckets.round(r)[t];
            }
            table.push(&ids)?;
        }
        Ok(table)
    }

    /// Positions so far.
    pub fn len(&self) -> usize {
        self.ids.len().checked_div(self.rounds).unwrap_or(0)
    }

    /// No positions.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Hash rounds.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Buckets of a round.
    pub fn num_buckets(&self) -> usize {
        self.num_buckets
    }

    /// The bucket ids of every position, `[len, rounds]`: all there is to know.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        self.chains.capacity() * size_of::<Chain>()
            + self.lines.capacity() * size_of::<Line>()
            + self.ids.capacity() * size_of::<u32>()
    }

    /// Adds the next position: its bucket in every round.
    pub fn push(&mut self, ids: &[u32]) -> Result<()> {
        if ids.len() != self.rounds {
            let what = "buckets of a position";
            return Err(AttentionError::Count { what, got: ids.len(), expected: self.rounds });
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.num_buckets) {
            return Err(AttentionError::Setting {
                key: "bucket",
                got: id.to_string(),
                expected: "below the table's bucket count",
            });
        }
        let position = self.len() as u32;
        // All ids were looked at before the first is entered: a refused position must leave no trace in some rounds.
        for (r, &id) in ids.iter().enumerate() {
            let chain = &mut self.chains[r * self.num_buckets + id as usize];
            let slot = chain.count as usize % LINE;
            if slot == 0 {
                let fresh = self.lines.len() as u32;
                // NONE is beyond every line, so that a bucket's first line is told by the lookup that fails.
                match self.lines.get_mut(chain.last as usize) {
                    Some(last) => last.after = fresh,
                    None => chain.first = fresh,
                }
                self.lines.push(Line { positions: [0; LINE], before: chain.last, after: NONE });
                chain.last = fresh;
            }
            self.lines[chain.last as usize].positions[slot] = position;
            chain.count += 1;
        }
        self.ids.extend_from_slice(ids);
        Ok(())
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        while self.len() > len {
            let at = (self.len() - 1) * self.rounds;
            // Backwards, so that the youngest line goes first.
            for r in (0..self.rounds).rev() {
                let chain = &mut self.chains[r * self.num_buckets + self.ids[at + r] as usize];
                chain.count -= 1;
                let slot = chain.count as usize % LINE;
                if slot == 0 {
                    let line = self.lines.pop().expect("a chain that counts has a line");
                    chain.last = line.before;
                    match self.lines.get_mut(line.before as usize) {
                        Some(before) => before.after = NONE,
                        None => chain.first = NONE,
                    }
                } else {
                    // As it was before: two tables with the same positions are equal, whatever was undone.
                    self.lines[chain.last as usize].positions[slot] = 0;
                }
            }
            self.ids.truncate(at);
        }
    }

    /// The bucket of a position.
    pub fn bucket(&self, round: usize, position: usize) -> u32 {
        self.ids[position * self.rounds + round]
    }

    /// The buckets of a position, `[rounds]`.
    pub(super) fn buckets_of(&self, position: usize) -> &[u32] {
        &self.ids[position * self.rounds..][..self.rounds]
    }

    fn chain(&self, round: usize, bucket: u32) -> Chain {
        self.chains[round * self.num_buckets + bucket as usize]
    }

    /// How many positions of a round stand before the first one of a bucket, sorted by bucket.
    pub(super) fn rank_of(&self, round: usize, bucket: u32) -> usize {
        let before = &self.chains[round * self.num_buckets..][..bucket as usize];
        before.iter().map(|chain| chain.count as usize).sum()
    }

    /// Positions of a bucket.
    pub(super) fn count(&self, round: usize, bucket: u32) -> usize {
        self.chain(round, bucket).count as usize
    }

    /// The positions of a bucket, latest first.
    pub fn latest(&self, round: usize, bucket: u32) -> impl Iterator<Item = u32> + '_ {
        let Chain { last, count, .. } = self.chain(round, bucket);
        let (mut line, mut left) = (last, count as usize);
        // The count says where in a line one stands; a length in each line would cost a place in it.
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let slot = left % LINE;
            let at = &self.lines[line as usize];
            if slot == 0 {
                line = at.before;
            }
            Some(at.positions[slot])
        })
    }

    /// The positions of a bucket, earliest first.
    pub(super) fn earliest(&self, round: usize, bucket: u32) -> impl Iterator<Item = u32> + '_ {
        let Chain { first, count, .. } = self.chain(round, bucket);
        let mut line = first;
        (0..count as usize).map(move |i| {
            let at = &self.lines[line as usize];
            if i % LINE == LINE - 1 {
                line = at.after;
            }
            at.positions[i % LINE]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_read_from_both_ends() {
        let mut table = BucketTable::new(2, 4);
        for ids in [[0, 1], [2, 1], [0, 3], [0, 1]] {
            table.push(&ids).unwrap();
        }
        assert_eq!(table.latest(0, 0).collect::<Vec<_>>(), [3, 2, 0]);
        assert_eq!(table.latest(1, 1).collect::<Vec<_>>(), [3, 1, 0]);
        assert_eq!(table.earliest(1, 1).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!((table.latest(1, 0).count(), table.earliest(1, 0).count()), (0, 0));
        assert_eq!((table.rank_of(0, 2), table.count(0, 0), table.rank_of(1, 3)), (3, 3, 3));
    }

    #[test]
    fn buckets_longer_than_a_line_lose_nothing() {
        let mut table = BucketTable::new(1, 2);
        for t in 0..100_u32 {
            table.push(&[u32::from(t % 3 == 0)]).unwrap();
        }
        let expected: Vec<u32> = (0..100).filter(|t| t % 3 == 0).collect();
        assert_eq!(table.earliest(0, 1).collect::<Vec<_>>(), expected);
        assert!(table.latest(0, 1).eq(expected.into_iter().rev()));
    }

    #[test]
    fn truncating_undoes_pushing() {
        let mut table = BucketTable::new(2, 3);
        let mut states = Vec::new();
        for t in 0..90_u32 {
            states.push(table.clone());
            table.push(&[t * t % 3, u32::from(t > 40)]).unwrap();
        }
        for (len, state) in states.iter().enumerate().rev() {
            table.truncate(len);
            assert_eq!(&table, state, "{len}");
        }
        table.truncate(7);
        assert!(table.is_empty());
    }

    #[test]
    fn foreign_buckets_are_refused() {
        let mut table = BucketTable::new(2, 4);
        assert!(table.push(&[1]).unwrap_err().to_string().contains("has 1 entries, expected 2"));
        assert!(table.push(&[1, 4]).unwrap_err().to_string().contains("bucket is 4"));
        assert!(table.is_empty());
    }
}
