//! How many buckets a round of hashing has: one even number, or a product of even factors.
//!
//! A factored count `f₀·f₁·…` hashes with `Σ fᵢ/2` columns instead of `Π fᵢ/2`: each factor is a cross-polytope
//! hash of its own and the bucket is the mixed-radix number whose *low* digit is the first factor,
//! `bucket = d₀ + f₀·(d₁ + f₁·(d₂ + …))`.
//!
//! Knows nothing of vectors or rotations.

use crate::error::{LshError, Result};

/// A checked number of buckets per round: every factor even and at least 2, the product at most [`BucketCount::MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketCount {
    factors: Vec<usize>,
    total: usize,
}

impl BucketCount {
    /// The most buckets of one round: the sort keeps a counter for each.
    pub const MAX: usize = 1 << 24;

    /// Checks `factors`; a single number is a list of one.
    pub fn new(factors: &[usize]) -> Result<Self> {
        if factors.is_empty() {
            return Err(LshError::NoFactors);
        }
        let mut total = 1usize;
        for (index, &factor) in factors.iter().enumerate() {
            if factor < 2 || factor % 2 == 1 {
                let suggestion = factor.max(1).saturating_add(1) & !1;
                return Err(LshError::OddFactor { index, factor, suggestion });
            }
            total = total
                .checked_mul(factor)
                .filter(|&t| t <= Self::MAX)
                .ok_or_else(|| LshError::TooManyBuckets { factors: factors.to_vec(), limit: Self::MAX })?;
        }
        Ok(Self { factors: factors.to_vec(), total })
    }

    /// Hugging Face's rule for `num_buckets: null`.
    ///
    /// With `p = ⌊log₂(2·⌊len/chunk_length⌋)⌋` the count is `2^p`; above the limit
    /// `2·max(⌊√(max_positions/chunk_length)⌋, chunk_length)` it is split into `[2^⌊p/2⌋, 2^(p−⌊p/2⌋)]`.
    /// Without `max_positions` the length itself stands in for it. A sequence shorter than one chunk, where
    /// the original fails, gets 2 buckets; a total above [`Self::MAX`] is cut to it.
    pub fn automatic(len: usize, chunk_length: usize, max_positions: Option<usize>) -> Result<Self> {
        if chunk_length == 0 {
            return Err(LshError::NoChunkLength);
        }
        let power = (2 * (len / chunk_length).max(1)).ilog2().min(Self::MAX.ilog2());
        let limit = 2 * (max_positions.unwrap_or(len) / chunk_length).isqrt().max(chunk_length);
        if (1usize << power) > limit {
            let low = power / 2;
            Self::new(&[1 << low, 1 << (power - low)])
        } else {
            Self::new(&[1 << power])
        }
    }

    /// `2^power` buckets: one number up to 128, beyond that the fewest factors of at most 64 each, smaller ones first.
    ///
    /// Two factors, as the other implementations stop at, take 192 columns a round for the 32,768 buckets of a
    /// million tokens; three take 48, fewer than the 64 of a single factor of 128. A power outside `1..=24` is taken
    /// as the nearest.
    pub fn balanced(power: u32) -> Self {
        let power = power.clamp(1, Self::MAX.ilog2());
        let count = if power <= 7 { 1 } else { power.div_ceil(6).max(2) };
        let factors = (0..count).map(|i| 1 << ((power + i) / count)).collect();
        Self { factors, total: 1 << power }
    }

    /// trax's rule for `n_buckets=None`: `n = 2·max(1, ⌊len/chunk_length⌋)`, and above 128 the factors
    /// `[s, 2·⌊n/(2s)⌋]` with `s = 2^⌈log₂ √n⌉`.
    pub fn automatic_trax(len: usize, chunk_length: usize) -> Result<Self> {
        if chunk_length == 0 {
            return Err(LshError::NoChunkLength);
        }
        let n = 2 * (len / chunk_length).max(1);
        if n <= 128 {
            return Self::new(&[n]);
        }
        // ⌈log₂ √n⌉ = ⌈⌈log₂ n⌉ / 2⌉, in whole numbers.
        let log = usize::BITS - (n - 1).leading_zeros();
        let side = 1usize << log.div_ceil(2);
        Self::new(&[side, 2 * (n / (2 * side))])
    }

    /// The factors, first = low digit.
    pub fn factors(&self) -> &[usize] {
        &self.factors
    }

    /// Buckets of one round, the pad bucket not counted.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Columns of one round's rotation: `Σ fᵢ/2`.
    pub fn rotation_columns(&self) -> usize {
        self.factors.iter().map(|f| f / 2).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(count: Result<BucketCount>) -> Vec<usize> {
        count.unwrap().factors().to_vec()
    }

    #[test]
    fn odd_and_empty_and_huge_counts_are_refused_with_advice() {
        let message = BucketCount::new(&[4, 7]).unwrap_err().to_string();
        assert!(message.contains("factor 7 at index 1") && message.contains("use 8"), "{message}");
        assert!(BucketCount::new(&[0]).unwrap_err().to_string().contains("use 2"));
        assert_eq!(BucketCount::new(&[]), Err(LshError::NoFactors));
        assert!(matches!(BucketCount::new(&[1 << 13, 1 << 12]), Err(LshError::TooManyBuckets { .. })));
        assert!(matches!(BucketCount::new(&[usize::MAX - 1, 4]), Err(LshError::TooManyBuckets { .. })));
    }

    #[test]
    fn a_factored_count_multiplies_buckets_and_adds_columns() {
        let count = BucketCount::new(&[2, 4, 6]).unwrap();
        assert_eq!((count.total(), count.rotation_columns()), (48, 6));
    }

    /// Values computed by hand from the formula of `_set_num_buckets`.
    #[test]
    fn the_automatic_count_is_hugging_faces() {
        assert_eq!(factors(BucketCount::automatic(4096, 64, Some(4096))), [128]);
        assert_eq!(factors(BucketCount::automatic(200, 64, Some(4096))), [4]);
        // p = 9, limit 2·max(√1024 = 32, 64) = 128: split into 2⁴ and 2⁵.
        assert_eq!(factors(BucketCount::automatic(16384, 64, Some(65536))), [16, 32]);
        // p = 14, limit 2·max(⌊√8192⌋ = 90, 64) = 180.
        assert_eq!(factors(BucketCount::automatic(524_288, 64, Some(524_288))), [128, 128]);
        assert_eq!(factors(BucketCount::automatic(0, 64, None)), [2]);
        assert_eq!(factors(BucketCount::automatic(63, 64, None)), [2]);
        assert_eq!(BucketCount::automatic(10, 0, None), Err(LshError::NoChunkLength));
    }

    #[test]
    fn a_balanced_count_has_small_factors() {
        let expected =
            [(0, vec![2]), (7, vec![128]), (8, vec![16, 16]), (11, vec![32, 64]), (13, vec![16, 16, 32])];
        for (power, expected) in
            expected.into_iter().chain([(15, vec![32; 3]), (24, vec![64; 4]), (99, vec![64; 4])])
        {
            assert_eq!(BucketCount::balanced(power).factors(), expected);
        }
        for power in 1..=24 {
            let count = BucketCount::balanced(power);
            assert_eq!((BucketCount::new(count.factors()), count.total()), (Ok(count.clone()), 1 << power));
        }
    }

    #[test]
    fn the_automatic_count_of_trax_splits_above_128() {
        assert_eq!(factors(BucketCount::automatic_trax(4096, 64)), [128]);
        // n = 256: √n = 16 exactly.
        assert_eq!(factors(BucketCount::automatic_trax(8192, 64)), [16, 16]);
        // n = 200: √n = 14.1, so 16 and 2·⌊200/32⌋ = 12.
        assert_eq!(factors(BucketCount::automatic_trax(6400, 64)), [16, 12]);
        assert_eq!(factors(BucketCount::automatic_trax(1, 64)), [2]);
    }
}
