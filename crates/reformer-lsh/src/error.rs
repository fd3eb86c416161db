//! The faults of hashing, bucketing and looking up: each says what was given, what is needed, and what to do.

use thiserror::Error;

/// What can be wrong with the arguments of this crate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LshError {
    /// A factor of the bucket count is odd or below two.
    #[error(
        "num_buckets factor {factor} at index {index} is not an even number of at least 2; \
         the hash argmax [xR; -xR] has two buckets per rotated axis, so use {suggestion}"
    )]
    OddFactor {
        /// Which factor.
        index: usize,
        /// Its value.
        factor: usize,
        /// The nearest legal value above it.
        suggestion: usize,
    },
    /// The list of factors is empty.
    #[error("num_buckets has no factors; give one even number, or several whose product is the bucket count")]
    NoFactors,
    /// More buckets than the sort keeps counters for.
    #[error(
        "num_buckets {factors:?} makes more than {limit} buckets per round; use fewer or smaller factors"
    )]
    TooManyBuckets {
        /// The factors as given.
        factors: Vec<usize>,
        /// The largest total allowed.
        limit: usize,
    },
    /// Planes outside 1..=24.
    #[error("{got} sign planes per round, expected 1 to {limit} (each plane doubles the buckets)")]
    PlaneCount {
        /// Planes asked for.
        got: usize,
        /// The most allowed.
        limit: usize,
    },
    /// No hash rounds.
    #[error("num_hashes is 0; at least one round of hashing is needed")]
    NoRounds,
    /// A vector width of zero.
    #[error("vectors of dimension 0 cannot be hashed; give at least one dimension")]
    NoDimensions,
    /// Given directions have the wrong number of elements.
    #[error(
        "rotations have {got} elements, expected {dim} dims x {rounds} rounds x {columns} columns = {expected}; \
         lay them out as [dim, rounds, columns]"
    )]
    RotationShape {
        /// Elements given.
        got: usize,
        /// Elements needed.
        expected: usize,
        /// Width of the vectors.
        dim: usize,
        /// Hash rounds.
        rounds: usize,
        /// Columns of one round.
        columns: usize,
    },
    /// Vectors and hash family (or queries and base) differ in width.
    #[error("vectors of dimension {got}, expected {expected}; {what} were made for that width")]
    Width {
        /// What sets the expected width.
        what: &'static str,
        /// Width given.
        got: usize,
        /// Width needed.
        expected: usize,
    },
    /// A mask of the wrong length.
    #[error("mask of {got} entries for {expected} vectors; give one entry per vector")]
    MaskLength {
        /// Entries given.
        got: usize,
        /// Vectors hashed.
        expected: usize,
    },
    /// Given bucket ids have the wrong number of elements.
    #[error("{got} bucket ids, expected {rounds} rounds x {len} positions = {expected}")]
    IdCount {
        /// Ids given.
        got: usize,
        /// Ids needed.
        expected: usize,
        /// Hash rounds.
        rounds: usize,
        /// Positions.
        len: usize,
    },
    /// A given bucket id is not below the bucket count.
    #[error(
        "bucket id {id} at round {round}, position {position} is not below the {num_buckets} buckets of a round; subtract the round's offset if there is one"
    )]
    IdRange {
        /// The id.
        id: u32,
        /// Its round.
        round: usize,
        /// Its position.
        position: usize,
        /// Buckets of a round.
        num_buckets: usize,
    },
    /// rounds x len does not fit the 32-bit positions.
    #[error(
        "{rounds} rounds x {len} positions is more than the 2^32 - 1 that sorted lists can address; hash in pieces"
    )]
    TooLong {
        /// Hash rounds.
        rounds: usize,
        /// Positions.
        len: usize,
    },
    /// A chunk length of zero.
    #[error("chunk_length is 0; give the number of positions of a chunk, for example 64")]
    NoChunkLength,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, LshError>;
