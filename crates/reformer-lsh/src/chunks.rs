//! Equal pieces of the sorted list, and which pieces a piece looks at (paper, section 2, figure 2).
//!
//! The sorted rounds stand one after another in a flat list of `rounds·len` ranks. Every round is cut into
//! `⌈len/chunk_length⌉` chunks; where the length is no multiple of the chunk, the last chunk of *each* round is short,
//! which is what padding at the end of each round and masking the pads comes to.
//!
//! A chunk sees `before` chunks before it, itself, and `after` chunks after it, in that order:
//! - [`Wrap::Circular`], as trax, Hugging Face and reformer-pytorch: modulo all `rounds·⌈len/chunk_length⌉` chunks, so
//!   the first chunk of a round sees the last of the round before, and the very first sees the very last. Where that
//!   circle is shorter than the window a chunk comes up more than once, as it does there.
//! - [`Wrap::Bounded`]: nothing across a round's ends.

use std::ops::Range;

use crate::{
    buckets::check_length,
    error::{LshError, Result},
};

/// What lies beyond the ends of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// The neighbouring rounds, in a circle over all of them.
    Circular,
    /// Nothing.
    Bounded,
}

/// How a sorted list of `rounds` times `len` is cut and who sees whom: the definition, chunk by chunk, which the naive
/// twins are written with. Attention walks ranges of many chunks at a time and keeps the geometry that this takes
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    rounds: usize,
    len: usize,
    chunk_length: usize,
    before: usize,
    after: usize,
    wrap: Wrap,
}

impl Chunks {
    /// Checks the chunk length and the size of the list.
    pub fn new(
        rounds: usize,
        len: usize,
        chunk_length: usize,
        before: usize,
        after: usize,
        wrap: Wrap,
    ) -> Result<Self> {
        if chunk_length == 0 {
            return Err(LshError::NoChunkLength);
        }
        if rounds == 0 {
            return Err(LshError::NoRounds);
        }
        check_length(rounds, len)?;
        Ok(Self { rounds, len, chunk_length, before, after, wrap })
    }

    /// Chunks of one round.
    pub fn per_round(&self) -> usize {
        self.len.div_ceil(self.chunk_length)
    }

    /// Chunks of all rounds.
    pub fn count(&self) -> usize {
        self.rounds * self.per_round()
    }

    /// Positions of a full chunk.
    pub fn chunk_length(&self) -> usize {
        self.chunk_length
    }

    /// Rounds of the list.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Positions of a round.
    #[allow(clippy::len_without_is_empty, reason = "a length of a sequence, not of a container")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Chunks seen before a chunk.
    pub fn before(&self) -> usize {
        self.before
    }

    /// Chunks seen after a chunk.
    pub fn after(&self) -> usize {
        self.after
    }

    /// What lies beyond the ends of a round.
    pub fn wrap(&self) -> Wrap {
        self.wrap
    }

    /// The chunk `at`, counted over all rounds from 0, as the chunks of `round` see it: its own round, and its ranks
    /// there. `at` may lie beyond the ends of the round or of the list: with [`Wrap::Circular`] the circle goes on,
    /// with [`Wrap::Bounded`] nothing is there.
    pub fn ranks(&self, round: usize, at: isize) -> Option<(usize, Range<usize>)> {
        let per_round = self.per_round();
        let chunk = match self.wrap {
            Wrap::Circular => at.rem_euclid(self.count() as isize) as usize,
            Wrap::Bounded => {
                let inside = (round * per_round) as isize..((round + 1) * per_round) as isize;
                inside.contains(&at).then_some(at as usize)?
            }
        };
        let first = chunk % per_round * self.chunk_length;
        Some((chunk / per_round, first..self.len.min(first + self.chunk_length)))
    }

    /// Chunks that a chunk may see, itself included.
    pub fn window(&self) -> usize {
        self.before + 1 + self.after
    }

    /// The most keys that a query may see.
    pub fn max_keys(&self) -> usize {
        let chunk = self.chunk_length.min(self.len);
        match self.wrap {
            // Not bounded by `len`: a circle shorter than the window brings a key several times.
            Wrap::Circular => self.window() * chunk,
            Wrap::Bounded => (self.window() * chunk).min(self.len),
        }
    }

    /// The round a chunk belongs to.
    pub fn round_of(&self, chunk: usize) -> usize {
        chunk / self.per_round()
    }

    /// The flat ranks `round·len + rank` of a chunk.
    #[track_caller]
    pub fn range(&self, chunk: usize) -> Range<usize> {
        assert!(chunk < self.count(), "chunk {chunk} of {}", self.count());
        // Rounds are cut one by one: a chunk across two of them would put the last bucket of one beside the first of
        // the next.
        let (round, i) = (chunk / self.per_round(), chunk % self.per_round());
        let start = i * self.chunk_length;
        let end = (start + self.chunk_length).min(self.len);
        round * self.len + start..round * self.len + end
    }

    /// The chunks that `chunk` sees, in the order in which their keys are laid side by side.
    pub fn neighbours(&self, chunk: usize) -> impl Iterator<Item = usize> + use<> {
        self.around(chunk, self.before, self.after)
    }

    /// The chunks that see `chunk`: where the gradient of its keys and values comes from.
    pub fn seen_by(&self, chunk: usize) -> impl Iterator<Item = usize> + use<> {
        self.around(chunk, self.after, self.before)
    }

    #[track_caller]
    fn around(&self, chunk: usize, before: usize, after: usize) -> impl Iterator<Item = usize> + use<> {
        let (count, per_round, wrap) = (self.count() as isize, self.per_round() as isize, self.wrap);
        let at = chunk as isize;
        assert!(at < count, "chunk {chunk} of {count}");
        let first = at / per_round * per_round;
        // Signed, because the chunks before the first have numbers below zero until they are wrapped or dropped.
        (at - before as isize..=at + after as isize).filter_map(move |c| match wrap {
            Wrap::Circular => Some(c.rem_euclid(count) as usize),
            Wrap::Bounded => (first..first + per_round).contains(&c).then_some(c as usize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(chunks: &Chunks, chunk: usize) -> Vec<usize> {
        chunks.neighbours(chunk).collect()
    }

    #[test]
    fn ranks_beyond_a_round_are_the_next_rounds_or_nothing() {
        let circle = Chunks::new(2, 10, 4, 1, 0, Wrap::Circular).unwrap();
        assert_eq!(circle.ranks(0, 2), Some((0, 8..10)), "the last chunk of a round is short");
        assert_eq!(circle.ranks(0, 3), Some((1, 0..4)));
        assert_eq!(circle.ranks(0, -1), Some((1, 8..10)));
        assert_eq!(circle.ranks(1, 6), Some((0, 0..4)));
        let bounded = Chunks::new(2, 10, 4, 1, 0, Wrap::Bounded).unwrap();
        assert_eq!(bounded.ranks(1, 3), Some((1, 0..4)));
        assert_eq!((bounded.ranks(1, 2), bounded.ranks(0, -1), bounded.ranks(1, 6)), (None, None, None));
    }

    #[test]
    fn circular_neighbours_cross_rounds_and_close_the_circle() {
        let chunks = Chunks::new(2, 12, 4, 1, 0, Wrap::Circular).unwrap();
        assert_eq!(chunks.count(), 6);
        assert_eq!(see(&chunks, 0), [5, 0]);
        assert_eq!(see(&chunks, 3), [2, 3], "the first chunk of round 1 sees the last of round 0");
        let both = Chunks::new(1, 12, 4, 2, 1, Wrap::Circular).unwrap();
        assert_eq!(see(&both, 2), [0, 1, 2, 0], "a circle shorter than the window repeats");
    }

    #[test]
    fn bounded_neighbours_stay_in_their_round() {
        let chunks = Chunks::new(2, 12, 4, 1, 1, Wrap::Bounded).unwrap();
        assert_eq!(see(&chunks, 0), [0, 1]);
        assert_eq!(see(&chunks, 2), [1, 2]);
        assert_eq!(see(&chunks, 3), [3, 4]);
        assert_eq!(chunks.max_keys(), 12);
    }

    #[test]
    fn ragged_rounds_end_in_a_short_chunk_and_ranges_tile_the_list() {
        let chunks = Chunks::new(3, 10, 4, 1, 0, Wrap::Circular).unwrap();
        let ranges: Vec<_> = (0..chunks.count()).map(|c| chunks.range(c)).collect();
        assert_eq!(ranges[..4], [0..4, 4..8, 8..10, 10..14]);
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(ranges.last().unwrap().end, 30);
        assert_eq!((chunks.round_of(2), chunks.round_of(3)), (0, 1));
    }

    #[test]
    fn seen_by_is_the_inverse_of_neighbours() {
        for wrap in [Wrap::Circular, Wrap::Bounded] {
            let chunks = Chunks::new(2, 17, 4, 2, 1, wrap).unwrap();
            for a in 0..chunks.count() {
                for b in 0..chunks.count() {
                    let sees = chunks.neighbours(a).any(|c| c == b);
                    assert_eq!(sees, chunks.seen_by(b).any(|c| c == a), "{a} {b} {wrap:?}");
                }
            }
        }
    }

    #[test]
    fn empty_and_single_sequences_work_and_a_zero_chunk_is_refused() {
        assert_eq!(Chunks::new(2, 0, 4, 1, 0, Wrap::Circular).unwrap().count(), 0);
        let one = Chunks::new(1, 1, 4, 1, 0, Wrap::Bounded).unwrap();
        assert_eq!((one.count(), one.range(0), one.max_keys()), (1, 0..1, 1));
        assert_eq!(Chunks::new(1, 8, 0, 1, 0, Wrap::Bounded), Err(LshError::NoChunkLength));
        assert_eq!(Chunks::new(0, 8, 4, 1, 0, Wrap::Bounded), Err(LshError::NoRounds));
    }
}
