//! Which earlier positions fell into which bucket: what a decoding head keeps beside its rows.
//!
//! Every (round, bucket) is a list through its positions, latest first: `last` points to its head, `previous` from a
//! position to the one before it in its bucket. Remembering a position costs O(rounds), recalling the latest `n` of a
//! bucket O(n), and forgetting from the end (a chat's undo) undoes exactly what remembering did. All are independent of
//! how long the sequence is.

use reformer_lsh::Buckets;

use crate::error::{AttentionError, Result};

const NONE: u32 = u32::MAX;

/// The buckets of every position so far, of one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketMemory {
    rounds: usize,
    num_buckets: usize,
    /// `[rounds, num_buckets]`.
    last: Vec<u32>,
    /// `[len, rounds]`.
    previous: Vec<u32>,
    /// `[len, rounds]`.
    ids: Vec<u32>,
}

impl BucketMemory {
    /// No positions.
    pub fn new(rounds: usize, num_buckets: usize) -> Self {
        Self {
            rounds,
            num_buckets,
            last: vec![NONE; rounds * num_buckets],
            previous: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// The positions of a prompt.
    pub fn of_prompt(buckets: &Buckets) -> Self {
        let mut memory = Self::new(buckets.rounds(), buckets.num_buckets());
        let mut ids = vec![0; buckets.rounds()];
        for t in 0..buckets.len() {
            for (r, id) in ids.iter_mut().enumerate() {
                *id = buckets.round(r)[t];
            }
            memory.remember(&ids);
        }
        memory
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

    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        (self.last.capacity() + self.previous.capacity() + self.ids.capacity()) * size_of::<u32>()
    }

    /// Adds the next position: its bucket in every round.
    pub fn push(&mut self, ids: &[u32]) -> Result<()> {
        if ids.len() != self.rounds {
            return Err(AttentionError::Count {
                what: "buckets of a position",
                got: ids.len(),
                expected: self.rounds,
            });
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.num_buckets) {
            return Err(AttentionError::Setting {
                key: "bucket",
                got: id.to_string(),
                expected: "below the memory's bucket count",
            });
        }
        self.remember(ids);
        Ok(())
    }

    fn remember(&mut self, ids: &[u32]) {
        let position = self.len() as u32;
        for (r, &id) in ids.iter().enumerate() {
            let last = &mut self.last[r * self.num_buckets + id as usize];
            self.previous.push(*last);
            *last = position;
        }
        self.ids.extend_from_slice(ids);
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        while self.len() > len {
            let at = (self.len() - 1) * self.rounds;
            for r in 0..self.rounds {
                self.last[r * self.num_buckets + self.ids[at + r] as usize] = self.previous[at + r];
            }
            self.previous.truncate(at);
            self.ids.truncate(at);
        }
    }

    /// The bucket of a position.
    pub fn bucket(&self, round: usize, position: usize) -> u32 {
        self.ids[position * self.rounds + round]
    }

    /// The positions of a bucket, latest first.
    pub fn recall(&self, round: usize, bucket: u32) -> impl Iterator<Item = usize> + '_ {
        let first = self.last[round * self.num_buckets + bucket as usize];
        let next =
            move |&at: &u32| Some(self.previous[at as usize * self.rounds + round]).filter(|&p| p != NONE);
        core::iter::successors(Some(first).filter(|&p| p != NONE), next).map(|at| at as usize)
    }

    /// All positions of a round by (bucket, position).
    pub(crate) fn sorted(&self, round: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|&t| self.bucket(round, t as usize));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::BucketMemory;

    #[test]
    fn a_bucket_is_recalled_latest_first() {
        let mut memory = BucketMemory::new(2, 4);
        for ids in [[0, 1], [2, 1], [0, 3], [0, 1]] {
            memory.push(&ids).unwrap();
        }
        assert_eq!(memory.recall(0, 0).collect::<Vec<_>>(), [3, 2, 0]);
        assert_eq!(memory.recall(1, 1).collect::<Vec<_>>(), [3, 1, 0]);
        assert_eq!(memory.recall(1, 0).count(), 0);
        assert_eq!(memory.sorted(0), [0, 2, 3, 1]);
    }

    #[test]
    fn truncating_undoes_pushing() {
        let mut memory = BucketMemory::new(1, 2);
        let mut states = Vec::new();
        for id in [0, 1, 1, 0, 1] {
            states.push(memory.clone());
            memory.push(&[id]).unwrap();
        }
        for (len, state) in states.iter().enumerate().rev() {
            memory.truncate(len);
            assert_eq!(&memory, state);
        }
        memory.truncate(7);
        assert!(memory.is_empty());
    }

    #[test]
    fn foreign_buckets_are_refused() {
        let mut memory = BucketMemory::new(2, 4);
        assert!(memory.push(&[1]).unwrap_err().to_string().contains("has 1 entries, expected 2"));
        assert!(memory.push(&[1, 4]).unwrap_err().to_string().contains("bucket is 4"));
        assert!(memory.is_empty());
    }
}
