//! Bucket ids as a value: decided once in the forward pass and handed to whoever needs them again.
//!
//! # Shapes
//! - `ids: [rounds, len]`, every id below `num_buckets`, without the offset `round·num_buckets` that other
//!   implementations add ([`Buckets::with_offsets`] adds it)

use crate::error::{LshError, Result};

/// The bucket of every position in every round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    rounds: usize,
    len: usize,
    per_round: usize,
    ids: Vec<u32>,
}

impl Buckets {
    /// Takes ids `[rounds, len]` made elsewhere; `num_buckets` counts the pad bucket if there is one.
    pub fn given(rounds: usize, len: usize, num_buckets: usize, ids: Vec<u32>) -> Result<Self> {
        if rounds == 0 {
            return Err(LshError::NoRounds);
        }
        check_length(rounds, len)?;
        if ids.len() != rounds * len {
            return Err(LshError::IdCount { got: ids.len(), expected: rounds * len, rounds, len });
        }
        if let Some(at) = ids.iter().position(|&id| id as usize >= num_buckets) {
            return Err(LshError::IdRange { id: ids[at], round: at / len, position: at % len, num_buckets });
        }
        Ok(Self { rounds, len, per_round: num_buckets, ids })
    }

    /// For ids that are in range by construction.
    pub(crate) fn trusted(rounds: usize, len: usize, num_buckets: usize, ids: Vec<u32>) -> Self {
        debug_assert!(ids.len() == rounds * len && ids.iter().all(|&id| (id as usize) < num_buckets));
        Self { rounds, len, per_round: num_buckets, ids }
    }

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

    /// Buckets of one round, the pad bucket included when a mask was given.
    pub fn num_buckets(&self) -> usize {
        self.per_round
    }

    /// All ids, `[rounds, len]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The ids of one round.
    pub fn round(&self, round: usize) -> &[u32] {
        &self.ids[round * self.len..(round + 1) * self.len]
    }

    /// `id + round·num_buckets`, `[rounds, len]`: the form in which trax and Hugging Face report buckets.
    pub fn with_offsets(&self) -> Vec<u64> {
        let round_of = |at: usize| (at / self.len) as u64;
        self.ids
            .iter()
            .enumerate()
            .map(|(at, &id)| u64::from(id) + round_of(at) * self.per_round as u64)
            .collect()
    }

    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        self.ids.capacity() * size_of::<u32>()
    }
}

/// Positions and flat indices are 32-bit.
pub(crate) fn check_length(rounds: usize, len: usize) -> Result<()> {
    match rounds.checked_mul(len) {
        Some(total) if total < u32::MAX as usize => Ok(()),
        _ => Err(LshError::TooLong { rounds, len }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_whole_rounds() {
        let buckets = Buckets::given(2, 3, 4, vec![0, 3, 1, 2, 0, 3]).unwrap();
        assert_eq!(buckets.with_offsets(), [0, 3, 1, 6, 4, 7]);
        assert_eq!(buckets.round(1), [2, 0, 3]);
    }

    #[test]
    fn given_ids_are_checked() {
        let message = Buckets::given(2, 2, 4, vec![0, 1, 2, 4]).unwrap_err().to_string();
        assert!(message.contains("bucket id 4 at round 1, position 1"), "{message}");
        assert!(matches!(Buckets::given(2, 2, 4, vec![0; 3]), Err(LshError::IdCount { .. })));
        assert!(matches!(Buckets::given(1 << 20, 1 << 20, 4, vec![]), Err(LshError::TooLong { .. })));
        assert!(Buckets::given(2, 0, 4, vec![]).unwrap().is_empty());
    }
}
