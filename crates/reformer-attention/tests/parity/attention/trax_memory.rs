//! One-position attention as trax's predict mode has it.
//!
//! ```text
//! remembered   the last `mem_len` positions; when full, the oldest `drop_len` go at once
//! candidates   positions that share the newest one's bucket in any round, latest first; then the others, latest first
//! seen         the first rounds·m·(1 + before) of them, in one softmax; the newest itself only if alone
//! ```
//! Their memory is an array, and its first slot beyond the newest position counts as the latest of all, in bucket 0
//! of the first round: it takes a place of those seen, and is never seen. Other buckets are not masked and rounds are
//! not combined, so a step is not the last row of trax's own forward pass. Costs O(`mem_len`), whatever the context.

use reformer_attention::{AttentionError, KeyNorm, KeyValues, Keys, Result};
use reformer_tensor::{Matrix, Precision};

/// The sizes of a predict memory, spelled as trax spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraxSizes {
    /// `chunk_len`.
    pub chunk_length: usize,
    /// `n_chunks_before`.
    pub chunks_before: usize,
    /// `n_hashes`.
    pub rounds: usize,
    /// `predict_mem_len`.
    pub mem_len: usize,
    /// `predict_drop_len`.
    pub drop_len: usize,
}

/// What one head remembers.
#[derive(Clone, Debug)]
pub struct TraxMemory {
    sizes: TraxSizes,
    rows: KeyValues,
    /// `[len, rounds]`, of all positions so far.
    ids: Vec<u32>,
    /// The earliest position remembered.
    first: usize,
}

impl TraxMemory {
    /// An empty memory of a head of `dim` columns.
    pub fn new(dim: usize, sizes: TraxSizes) -> Result<Self> {
        let TraxSizes { chunk_length, rounds, mem_len, drop_len, .. } = sizes;
        let fault =
            |key, got: usize, expected| Err(AttentionError::Setting { key, got: got.to_string(), expected });
        if chunk_length == 0 || rounds == 0 {
            return fault("chunk_len or n_hashes", 0, "at least 1");
        }
        if drop_len == 0 || drop_len > mem_len {
            return fault("predict_drop_len", drop_len, "between 1 and predict_mem_len");
        }
        let rows = KeyValues::new(1, dim, Precision::F32);
        Ok(Self { sizes, rows, ids: Vec::new(), first: 0 })
    }

    /// Positions remembered.
    pub fn len(&self) -> usize {
        self.rows.len() - self.first
    }

    /// Adds the next position: its query-key vector, its value, its bucket in every round.
    pub fn push(&mut self, qk: &[f32], v: &[f32], ids: &[u32]) -> Result<()> {
        if ids.len() != self.sizes.rounds {
            let (got, expected) = (ids.len(), self.sizes.rounds);
            return Err(AttentionError::Count { what: "buckets of a position", got, expected });
        }
        let row = |x: &[f32]| Matrix::from_slice(1, x.len(), x);
        self.rows.extend(row(qk).view(), row(v).view(), Keys::Shared(KeyNorm::Rms))?;
        self.ids.extend_from_slice(ids);
        if self.len() > self.sizes.mem_len {
            self.first += self.sizes.drop_len;
            self.rows.forget_before(self.first);
        }
        Ok(())
    }

    /// Attention of the newest position, which was pushed last.
    pub fn attend(&self, q: &[f32], out: &mut [f32]) -> Result<()> {
        let TraxSizes { chunk_length, chunks_before, rounds, .. } = self.sizes;
        let nothing = AttentionError::Count { what: "positions of a step", got: 0, expected: 1 };
        let newest = self.rows.len().checked_sub(1).ok_or(nothing)?;
        let of = |j: usize| &self.ids[j * rounds..][..rounds];
        let shares = |j: &usize| of(*j).iter().zip(of(newest)).any(|(a, b)| a == b);
        let earlier = || (self.first..newest).rev();
        let empty = (self.len() < self.sizes.mem_len).then_some(None);
        let (among, behind) = if of(newest)[0] == 0 { (empty, None) } else { (None, empty) };
        let others = among
            .into_iter()
            .chain(earlier().filter(shares).map(Some))
            .chain(behind)
            .chain(earlier().filter(|j| !shares(j)).map(Some));
        // The newest one takes a place of the window without being seen.
        let places = rounds * chunk_length * (1 + chunks_before) - 1;
        let seen: Vec<u32> = others.take(places).flatten().map(|j| j as u32).collect();
        if seen.is_empty() {
            self.rows.value(0, newest, out);
        } else {
            self.rows.attend(0, q, seen.into_iter(), &mut Vec::new(), out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: TraxSizes =
        TraxSizes { chunk_length: 2, chunks_before: 0, rounds: 1, mem_len: 6, drop_len: 3 };

    #[test]
    fn a_full_memory_drops_its_oldest_positions_at_once() {
        let mut memory = TraxMemory::new(1, SIZES).unwrap();
        for t in 0..6 {
            memory.push(&[1.0], &[t as f32], &[0]).unwrap();
        }
        assert_eq!(memory.len(), 6);
        memory.push(&[1.0], &[6.0], &[0]).unwrap();
        assert_eq!(memory.len(), 4);
    }

    #[test]
    fn those_that_share_a_bucket_come_before_later_ones_that_do_not() {
        let mut memory = TraxMemory::new(1, SIZES).unwrap();
        for (v, id) in [(10.0, 1), (20.0, 0), (30.0, 0), (40.0, 1)] {
            memory.push(&[1.0], &[v], &[id]).unwrap();
        }
        let mut out = [0.0];
        // A window of two, the newest in one place: only position 0 of its bucket is left.
        memory.attend(&[1.0], &mut out).unwrap();
        assert_eq!(out, [10.0]);
    }

    #[test]
    fn a_memory_that_cannot_work_is_refused() {
        assert!(TraxMemory::new(4, TraxSizes { drop_len: 7, ..SIZES }).is_err());
        assert!(TraxMemory::new(4, TraxSizes { rounds: 0, ..SIZES }).is_err());
        let mut memory = TraxMemory::new(1, SIZES).unwrap();
        assert!(memory.attend(&[1.0], &mut [0.0]).is_err());
        assert!(memory.push(&[1.0], &[1.0], &[0, 0]).is_err());
    }
}
