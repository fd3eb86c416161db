//! What a hash family is: directions to project on, and a rule that reads a bucket off one round's projections.
//!
//! Every family here hashes `x [len, dim]` by one product with `directions [dim, rounds·columns]` and a reading of
//! each round's `columns` numbers; [`crate::hash_vectors`] does both in one kernel, [`WIDTH`] vectors side by side.

use reformer_tensor::View;
use reformer_tensor::simd::Simd;

/// Vectors that a kernel hashes side by side.
pub const WIDTH: usize = 32;

/// A family of hash functions drawn (or given) for a number of rounds.
pub trait HashFamily: Sync {
    /// Width of the vectors.
    fn dim(&self) -> usize;
    /// Independent hash functions.
    fn rounds(&self) -> usize;
    /// Projections that one round reads.
    fn columns(&self) -> usize;
    /// Buckets of one round, the pad bucket not counted.
    fn num_buckets(&self) -> usize;
    /// The directions, `[dim, rounds·columns]`.
    fn directions(&self) -> View<'_>;
    /// The bucket of one round, from that round's projections. NaN never wins a comparison, so a vector of NaN is
    /// in bucket 0.
    fn bucket(&self, projections: &[f32]) -> u32;
    /// The same of `WIDTH` vectors side by side: `projections [columns, WIDTH]` → `ids [WIDTH]`, as floats (there are
    /// at most 2²⁴ buckets). Part of a kernel.
    fn buckets<S: Simd>(&self, s: S, projections: &[f32], ids: &mut [f32]);
}
