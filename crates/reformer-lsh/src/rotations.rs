//! The cross-polytope hash of the paper (section 2, "locality sensitive hashing"): `argmax [xR; −xR]`.
//!
//! A random rotation maps the vector onto `b/2` axes; the bucket is the signed axis that it lies nearest to. Ties are
//! won by the first index of the concatenation, as argmax does in the other implementations.
//!
//! # Shapes
//! - `x: [len, dim]`
//! - `R: [dim, rounds, Σf/2]`, in every round one block of `fᵢ/2` columns per factor of the bucket count
//! - bucket: `d₀ + f₀·(d₁ + f₁·…)` with `dᵢ = argmax [xRᵢ; −xRᵢ]` in `0..fᵢ`
//!
//! The rotation of a round depends on its own address alone: a model evaluated with more rounds keeps the first ones.

use reformer_tensor::simd::Simd;
use reformer_tensor::{Address, Purpose, View};

use crate::{
    bucket_count::BucketCount,
    error::{LshError, Result},
    family::{HashFamily, WIDTH},
};

/// Random rotations of all rounds of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotations {
    dim: usize,
    rounds: usize,
    buckets: BucketCount,
    data: Vec<f32>,
}

impl Rotations {
    /// Draws normal entries at the address (seed, layer, head, round) of each round.
    pub fn draw(
        seed: u64,
        layer: u32,
        head: u32,
        dim: usize,
        rounds: usize,
        buckets: &BucketCount,
    ) -> Result<Self> {
        let data = draw_directions(seed, layer, head, dim, rounds, buckets.rotation_columns())?;
        Ok(Self { dim, rounds, buckets: buckets.clone(), data })
    }

    /// Takes rotations laid out `[dim, rounds, Σf/2]`, as Hugging Face and trax draw them for one head.
    pub fn given(dim: usize, rounds: usize, buckets: BucketCount, data: Vec<f32>) -> Result<Self> {
        let columns = buckets.rotation_columns();
        check_shape(dim, rounds)?;
        let expected = dim * rounds * columns;
        if data.len() != expected {
            return Err(LshError::RotationShape { got: data.len(), expected, dim, rounds, columns });
        }
        Ok(Self { dim, rounds, buckets, data })
    }

    /// The bucket count they were made for.
    pub fn buckets(&self) -> &BucketCount {
        &self.buckets
    }

    /// The entries, `[dim, rounds, Σf/2]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

impl HashFamily for Rotations {
    fn dim(&self) -> usize {
        self.dim
    }

    fn rounds(&self) -> usize {
        self.rounds
    }

    fn columns(&self) -> usize {
        self.buckets.rotation_columns()
    }

    fn num_buckets(&self) -> usize {
        self.buckets.total()
    }

    fn directions(&self) -> View<'_> {
        View::new(&self.data, self.dim, self.rounds * self.columns())
    }

    fn bucket(&self, projections: &[f32]) -> u32 {
        let (mut rest, mut bucket, mut weight) = (projections, 0, 1);
        for &factor in self.buckets.factors() {
            let (axes, others) = rest.split_at(factor / 2);
            bucket += weight * signed_argmax(axes);
            weight *= factor as u32;
            rest = others;
        }
        bucket
    }

    #[inline(always)]
    fn buckets<S: Simd>(&self, s: S, projections: &[f32], ids: &mut [f32]) {
        for (lane, ids) in (0..WIDTH).step_by(S::LANES).zip(ids.chunks_exact_mut(S::LANES)) {
            // Ids are floats here: a vector has no integers that could be selected, and 2²⁴ buckets are exact in f32.
            let (mut rest, mut bucket, mut weight) = (projections, s.zero(), 1.0);
            for &factor in self.buckets.factors() {
                let (axes, others) = rest.split_at(factor / 2 * WIDTH);
                let (mut top, mut top_at) = (s.splat(f32::NEG_INFINITY), s.zero());
                let (mut low, mut low_at) = (s.splat(f32::INFINITY), s.zero());
                let mut index = 0.0;
                for axis in axes.chunks_exact(WIDTH) {
                    let (v, i) = (s.load(&axis[lane..]), s.splat(index));
                    // Only a larger number replaces the top, so the first of equal ones stays, and NaN replaces
                    // nothing.
                    top_at = s.select_gt(v, top, i, top_at);
                    top = s.select_gt(v, top, v, top);
                    low_at = s.select_gt(low, v, i, low_at);
                    low = s.select_gt(low, v, v, low);
                    index += 1.0;
                }
                let negative = s.add(low_at, s.splat(index));
                let digit = s.select_gt(s.sub(s.zero(), low), top, negative, top_at);
                bucket = s.mul_add(digit, s.splat(weight), bucket);
                weight *= factor as f32;
                rest = others;
            }
            s.store(ids, bucket);
        }
    }
}

/// First index of the maximum of `[p; −p]`, without writing the concatenation: the positive half wins ties because
/// it comes first.
fn signed_argmax(p: &[f32]) -> u32 {
    let (mut top, mut top_at) = (f32::NEG_INFINITY, 0);
    let (mut low, mut low_at) = (f32::INFINITY, 0);
    for (i, &v) in p.iter().enumerate() {
        if v > top {
            (top, top_at) = (v, i);
        }
        if v < low {
            (low, low_at) = (v, i);
        }
    }
    // All NaN leaves both at their infinities, where the comparison would choose the negative half.
    if -low > top { (p.len() + low_at) as u32 } else { top_at as u32 }
}

pub(crate) fn check_shape(dim: usize, rounds: usize) -> Result<()> {
    if dim == 0 {
        return Err(LshError::NoDimensions);
    }
    if rounds == 0 {
        return Err(LshError::NoRounds);
    }
    Ok(())
}

/// Normal directions `[dim, rounds, columns]`, each round from a stream of its own.
pub(crate) fn draw_directions(
    seed: u64,
    layer: u32,
    head: u32,
    dim: usize,
    rounds: usize,
    columns: usize,
) -> Result<Vec<f32>> {
    check_shape(dim, rounds)?;
    let address = Address { seed, step: 0, layer, purpose: Purpose::Rotation }.sub(u64::from(head));
    let mut data = vec![0.0; dim * rounds * columns];
    let mut drawn = vec![0.0; dim * columns];
    // A round's stream must not depend on how many rounds there are: its numbers are drawn apart, then laid in between.
    for round in 0..rounds {
        address.sub(round as u64).fill_normal(&mut drawn);
        for (d, row) in drawn.chunks_exact(columns).enumerate() {
            let at = (d * rounds + round) * columns;
            data[at..at + columns].copy_from_slice(row);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_index_of_the_concatenation_wins_ties() {
        assert_eq!(signed_argmax(&[1.0, 2.0, 2.0]), 1);
        assert_eq!(signed_argmax(&[-2.0, 2.0, 0.0]), 1, "+2 at 1 stands before -(-2) at 3");
        assert_eq!(signed_argmax(&[-2.0, 1.0, -2.0]), 3);
        assert_eq!(signed_argmax(&[0.0, 0.0]), 0);
        assert_eq!(signed_argmax(&[-0.0, 0.0]), 0);
    }

    #[test]
    fn nan_is_bucket_zero_and_infinities_stay_in_range() {
        assert_eq!(signed_argmax(&[f32::NAN, f32::NAN]), 0);
        assert_eq!(signed_argmax(&[1.0, f32::INFINITY]), 1);
        assert_eq!(signed_argmax(&[f32::NEG_INFINITY, 1.0]), 2);
        assert_eq!(signed_argmax(&[f32::NEG_INFINITY]), 1);
        assert_eq!(signed_argmax(&[f32::INFINITY]), 0);
    }

    #[test]
    fn more_rounds_keep_the_first_ones() {
        let count = BucketCount::new(&[4, 8]).unwrap();
        let two = Rotations::draw(7, 1, 2, 5, 2, &count).unwrap();
        let four = Rotations::draw(7, 1, 2, 5, 4, &count).unwrap();
        for d in 0..5 {
            assert_eq!(two.as_slice()[d * 12..(d + 1) * 12], four.as_slice()[d * 24..d * 24 + 12]);
        }
    }

    #[test]
    fn every_part_of_the_address_changes_the_draw() {
        let count = BucketCount::new(&[8]).unwrap();
        let draw = |seed, layer, head| Rotations::draw(seed, layer, head, 4, 2, &count).unwrap();
        let all = [draw(0, 0, 0), draw(1, 0, 0), draw(0, 1, 0), draw(0, 0, 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
        assert_eq!(draw(0, 0, 0), all[0]);
    }

    #[test]
    fn rotations_of_the_wrong_size_are_refused() {
        let count = BucketCount::new(&[8]).unwrap();
        let message = Rotations::given(3, 2, count.clone(), vec![0.0; 23]).unwrap_err().to_string();
        assert!(message.contains("23 elements") && message.contains("= 24"), "{message}");
        assert_eq!(Rotations::given(3, 0, count.clone(), vec![]), Err(LshError::NoRounds));
        assert_eq!(Rotations::draw(0, 0, 0, 0, 1, &count), Err(LshError::NoDimensions));
    }
}
