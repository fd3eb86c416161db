//! Draws for the corpus: a ChaCha8 stream of its own for every dialogue, so that dialogue 17 of a seed is the
//! same on every platform and for every count.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64, dialogue: u64) -> Self {
        // The seed's bytes as they are: the hash behind `seed_from_u64` may change with its crate.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(dialogue);
        Self(stream)
    }

    /// A number below `end`, which is small: the bias of the remainder is below 1e-7.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.next_u32() as usize % end
    }

    pub(super) fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True in `percent` of 100 draws.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A time on the quarter, as minutes of the day.
    pub(super) fn time(&mut self, first_hour: usize, last_hour: usize) -> usize {
        self.between(first_hour, last_hour) * 60 + 15 * self.below(4)
    }
}

/// `18:30`.
pub(super) fn clock(minutes: usize) -> String {
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}
