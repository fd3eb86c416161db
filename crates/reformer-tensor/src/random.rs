//! Random numbers by address.
//!
//! Every draw names its place, `(seed, step, layer, purpose)`; there is no generator to keep, save or restore. That is
//! what lets a reversible block be recomputed: its dropout masks are the same because their address is.
//!
//! Two kinds of draw share an [`Address`]:
//!
//! - a [`Stream`]: ChaCha8 keyed by the whole address, for initial values, shuffles, sampling;
//! - [`Key::bits`]: a hash of (key, index), for masks, where any element must be available alone, from any thread, in a
//!   few instructions.
//!
//! The numbers an address gives are part of what a checkpoint means (resumed training replays them), so they must not
//! change between versions; a test pins some.

use rand::distr::Distribution;
use rand::{RngExt, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;

/// What a random number is for. The discriminants are part of every address and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Purpose {
    /// Initial parameters.
    Initial = 0,
    /// Hash rotations.
    Rotation = 1,
    /// Dropout on an attention layer's output.
    HiddenDropout = 2,
    /// Dropout on attention probabilities.
    AttentionDropout = 3,
    /// Dropout in the feed-forward layer.
    FeedForwardDropout = 4,
    /// Dropout on embeddings.
    EmbeddingDropout = 5,
    /// Dropout on position embeddings.
    PositionDropout = 6,
    /// The order of training rows.
    Shuffle = 7,
    /// Choosing the next token.
    Sample = 8,
    /// Generated corpora.
    Corpus = 9,
    /// Dropout before the head.
    HeadDropout = 10,
    /// Masked positions of masked language modelling.
    Mask = 11,
    /// Tests, benches, examples.
    Test = 12,
}

/// The place of a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The run's seed.
    pub seed: u64,
    /// The training step; 0 where there is none.
    pub step: u64,
    /// The layer; 0 where there is none.
    pub layer: u32,
    /// What for.
    pub purpose: Purpose,
}

/// Finaliser of SplitMix64: a bijection of 64 bits in which every input bit moves every output bit.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Address {
    /// The first address of a seed and a purpose: step 0, layer 0.
    pub const fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, step: 0, layer: 0, purpose }
    }

    /// An address below this one (a head, a round, a row). Nesting is ordered: `a.sub(1).sub(2) != a.sub(2).sub(1)`.
    pub const fn sub(self, index: u64) -> Self {
        Self {
            seed: mix(mix(self.seed.wrapping_add(GOLDEN)) ^ mix(index.wrapping_mul(GOLDEN).wrapping_add(1))),
            ..self
        }
    }

    /// The stream of numbers at this address.
    pub fn stream(self) -> Stream {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.step.to_le_bytes());
        key[16..20].copy_from_slice(&self.layer.to_le_bytes());
        key[20..24].copy_from_slice(&(self.purpose as u32).to_le_bytes());
        Stream(ChaCha8Rng::from_seed(key))
    }

    /// The key of this address's masks.
    pub const fn key(self) -> Key {
        let place = ((self.layer as u64) << 32) | self.purpose as u64;
        Key(
            mix(mix(mix(self.seed.wrapping_add(GOLDEN)) ^ self.step.wrapping_mul(GOLDEN)).wrapping_add(place)),
        )
    }

    /// 32 random bits for element `index`.
    pub const fn bits(self, index: u64) -> u32 {
        self.key().bits(index)
    }

    /// Fills with standard normal numbers.
    pub fn fill_normal(self, out: &mut [f32]) {
        let mut stream = self.stream();
        for x in out {
            *x = rand_distr::StandardNormal.sample(&mut stream);
        }
    }

    /// Fills with numbers uniform in [0, 1).
    pub fn fill_uniform(self, out: &mut [f32]) {
        let mut stream = self.stream();
        for x in out {
            *x = stream.random();
        }
    }
}

/// An address folded to 64 bits: the key of a counter-based hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl From<Address> for Key {
    fn from(address: Address) -> Self {
        address.key()
    }
}

/// Wellons' `lowbias32`: a 32-bit finaliser with nearly no bias.
const fn mix32(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

impl Key {
    /// 32 random bits for element `index`.
    #[inline]
    pub const fn bits(self, index: u64) -> u32 {
        let (inner, outer) = self.page((index >> 32) as u32);
        Self::bits_in_page(inner, outer, index as u32)
    }

    /// The two 32-bit keys of one page of 2³² elements.
    #[inline]
    pub(crate) const fn page(self, page: u32) -> (u32, u32) {
        let key = if page == 0 { self.0 } else { mix(self.0 ^ (page as u64).wrapping_mul(GOLDEN)) };
        (key as u32, (key >> 32) as u32)
    }

    /// Two rounds of a 32-bit mixer with a key word each: 32-bit arithmetic only, so that a loop over `index` compiles
    /// to vector instructions.
    #[inline]
    pub(crate) const fn bits_in_page(inner: u32, outer: u32, index: u32) -> u32 {
        mix32(mix32(index ^ inner).wrapping_add(outer))
    }
}

/// A stream of random numbers; use it with the traits of the `rand` crate.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl TryRng for Stream {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.0.try_fill_bytes(out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::Rng;

    use super::{Address, Purpose};

    const PLACE: Address = Address { seed: 1, step: 2, layer: 3, purpose: Purpose::Shuffle };

    #[test]
    fn the_numbers_of_an_address_never_change() {
        let mut normal = [0.0; 2];
        PLACE.fill_normal(&mut normal);
        let mut uniform = [0.0; 1];
        PLACE.fill_uniform(&mut uniform);
        let pinned = (PLACE.stream().next_u64(), PLACE.bits(7), PLACE.sub(9).bits(0), normal, uniform);
        assert_eq!(
            pinned,
            (
                14_335_389_442_147_360_970,
                3_700_493_263,
                2_576_673_861,
                [0.564_924_54, -0.996_848_3],
                [0.844_057_1]
            )
        );
    }

    #[test]
    fn every_part_of_an_address_changes_its_numbers() {
        let addresses = [
            PLACE,
            Address { seed: 2, ..PLACE },
            Address { step: 3, ..PLACE },
            Address { layer: 4, ..PLACE },
            Address { purpose: Purpose::Sample, ..PLACE },
            PLACE.sub(0),
            PLACE.sub(1),
            PLACE.sub(1).sub(2),
            PLACE.sub(2).sub(1),
        ];
        let streams: HashSet<u64> = addresses.iter().map(|a| a.stream().next_u64()).collect();
        let masks: HashSet<u32> = addresses.iter().map(|a| a.bits(0)).collect();
        assert_eq!(streams.len(), addresses.len());
        assert_eq!(masks.len(), addresses.len());
    }

    #[test]
    fn mask_bits_are_balanced_and_uncorrelated_between_neighbours() {
        let key = PLACE.key();
        let n = 1 << 16;
        let (mut ones, mut changed) = ([0_u32; 32], [0_u32; 32]);
        for i in 0..n {
            let here = key.bits(i);
            let next = here ^ key.bits(i + 1);
            for b in 0..32 {
                ones[b] += (here >> b) & 1;
                changed[b] += (next >> b) & 1;
            }
        }
        // Five standard deviations of a fair coin.
        let allowed = 5.0 * 0.5 * (n as f64).sqrt();
        for b in 0..32 {
            assert!((f64::from(ones[b]) - n as f64 / 2.0).abs() < allowed, "bit {b}");
            assert!(
                (f64::from(changed[b]) - n as f64 / 2.0).abs() < allowed,
                "bit {b} against its neighbour"
            );
        }
    }

    #[test]
    fn pages_beyond_four_billion_elements_differ() {
        let key = PLACE.key();
        assert_ne!(key.bits(5), key.bits(5 + (1 << 32)));
        assert_ne!(key.bits(5 + (1 << 32)), key.bits(5 + (2 << 32)));
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut x = vec![0.0; 1 << 16];
        PLACE.fill_normal(&mut x);
        let n = x.len() as f64;
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n - mean * mean;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval() {
        let mut x = vec![0.0; 1 << 14];
        PLACE.fill_uniform(&mut x);
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
        for tenth in 0..10 {
            let inside = x.iter().filter(|&&x| (x * 10.0) as usize == tenth).count();
            assert!((1400..1900).contains(&inside), "{inside} numbers in tenth {tenth}");
        }
    }
}
