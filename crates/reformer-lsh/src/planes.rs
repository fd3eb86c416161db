//! The sign hash of random hyperplanes: bit `i` of the bucket says on which side of plane `i` the vector lies.
//!
//! `bucket = Σ_i 2^i · [x·r_i ≥ 0]`: a vector on a plane, the zero vector among them, is on its positive side, and −0
//! is
//! 0. NaN is on no positive side. Two vectors at angle θ agree in one bit with probability `1 − θ/π`.
//! Coarser per plane than the cross-polytope hash, but `n` planes make `2^n` buckets with `n` columns.
//!
//! # Shapes
//! - `x: [len, dim]`, directions `[dim, rounds, planes]`

use reformer_tensor::View;
use reformer_tensor::simd::Simd;

use crate::{
    error::{LshError, Result},
    family::{HashFamily, WIDTH},
    rotations::{check_shape, draw_directions},
};

/// The smallest number above 0.
const TINY: f32 = f32::from_bits(1);

/// Normal vectors of the planes of all rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    dim: usize,
    rounds: usize,
    per_round: usize,
    data: Vec<f32>,
}

impl Planes {
    /// The most planes of one round: 2^24 buckets.
    pub const MAX: usize = 24;

    /// Draws `planes` normal vectors for each round at the address (seed, layer, head, round).
    pub fn draw(seed: u64, layer: u32, head: u32, dim: usize, rounds: usize, planes: usize) -> Result<Self> {
        check_planes(planes)?;
        let data = draw_directions(seed, layer, head, dim, rounds, planes)?;
        Ok(Self { dim, rounds, per_round: planes, data })
    }

    /// Takes normal vectors laid out `[dim, rounds, planes]`.
    pub fn given(dim: usize, rounds: usize, planes: usize, data: Vec<f32>) -> Result<Self> {
        check_planes(planes)?;
        check_shape(dim, rounds)?;
        let expected = dim * rounds * planes;
        if data.len() != expected {
            return Err(LshError::RotationShape { got: data.len(), expected, dim, rounds, columns: planes });
        }
        Ok(Self { dim, rounds, per_round: planes, data })
    }
}

fn check_planes(planes: usize) -> Result<()> {
    if (1..=Planes::MAX).contains(&planes) {
        Ok(())
    } else {
        Err(LshError::PlaneCount { got: planes, limit: Planes::MAX })
    }
}

impl HashFamily for Planes {
    fn dim(&self) -> usize {
        self.dim
    }

    fn rounds(&self) -> usize {
        self.rounds
    }

    fn columns(&self) -> usize {
        self.per_round
    }

    fn num_buckets(&self) -> usize {
        1 << self.per_round
    }

    fn directions(&self) -> View<'_> {
        View::new(&self.data, self.dim, self.rounds * self.per_round)
    }

    fn bucket(&self, projections: &[f32]) -> u32 {
        projections.iter().enumerate().fold(0, |bucket, (i, &p)| bucket | (u32::from(p >= 0.0) << i))
    }

    #[inline(always)]
    fn buckets<S: Simd>(&self, s: S, projections: &[f32], ids: &mut [f32]) {
        for (lane, ids) in (0..WIDTH).step_by(S::LANES).zip(ids.chunks_exact_mut(S::LANES)) {
            let (mut bucket, mut bit) = (s.zero(), 1.0);
            for plane in projections.chunks_exact(WIDTH) {
                // p > −tiny with no number between −tiny and 0: what p ≥ 0 says, of −0 too, and NaN takes the zero.
                let set = s.select_gt(s.load(&plane[lane..]), s.splat(-TINY), s.splat(bit), s.zero());
                bucket = s.add(bucket, set);
                bit += bit;
            }
            s.store(ids, bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use reformer_tensor::{Cpu, Matrix};

    use super::*;
    use crate::hash::{hash_one, hash_vectors};

    #[test]
    fn each_plane_is_a_bit_and_the_first_is_the_lowest() {
        let planes = Planes::draw(0, 0, 0, 3, 1, 3).unwrap();
        assert_eq!(planes.bucket(&[1.0, -1.0, 2.0]), 0b101);
        assert_eq!(planes.num_buckets(), 8);
    }

    #[test]
    fn a_vector_on_a_plane_is_on_its_positive_side_and_nan_on_none() {
        let planes = Planes::draw(0, 0, 0, 3, 1, 3).unwrap();
        assert_eq!(planes.bucket(&[0.0, -0.0, f32::NAN]), 0b011);
        // The course's case: planes (1, 1), (−1, 1), (−1, −1) and a vector that lies on the second.
        let given = Planes::given(2, 1, 3, vec![1.0, -1.0, -1.0, 1.0, 1.0, -1.0]).unwrap();
        let cpu = Cpu::new(1).unwrap();
        let x = Matrix::from_vec(3, 2, vec![2.0, 2.0, 0.0, 0.0, f32::NAN, 1.0]);
        let hashed = hash_vectors(&cpu, x.view(), &given, None).unwrap();
        assert_eq!(hashed.round(0), [3, 7, 0]);
        for (row, &bucket) in hashed.round(0).iter().enumerate() {
            let mut alone = [0];
            hash_one(x.row(row), &given, &mut alone);
            assert_eq!(alone, [bucket], "row {row}");
        }
    }

    #[test]
    fn impossible_plane_counts_are_refused() {
        assert!(Planes::draw(0, 0, 0, 3, 1, 0).is_err());
        assert!(Planes::draw(0, 0, 0, 3, 1, 25).unwrap_err().to_string().contains("1 to 24"));
        assert!(Planes::given(3, 1, 2, vec![0.0; 5]).is_err());
    }
}
