//! The arithmetic of a tile: [`QUERIES`] queries against gathered keys.
//!
//! ```text
//! 1  S = Q·Kᵀ                                   queries.rs (products from reformer_tensor::tile::packed)
//! 2  P, row maxima and sums                     softmax.rs, which asks visibility/ who is seen
//! 3  O = P·V                                    queries.rs
//! 4  (out, z) ← accumulated with (O, maxima, sums)   accumulate.rs
//! ```
//! | file | holds |
//! |---|---|
//! | `keys.rs` | the keys at hand, gathered once into the two orders in which the products want them |
//! | `queries.rs` | the queries, and the two kernels: forward 1–4, backward the same steps in reverse |
//! | `softmax.rs` | step 2 and its backward |
//! | `accumulate.rs` | step 4 |
//! | `key_norm.rs` | keys from vectors, and back |
//!
//! A tile knows nothing of chunks, rounds or threads: `walk/` decides which positions meet in it.

pub(crate) mod accumulate;
pub(crate) mod key_norm;
pub(crate) mod keys;
pub(crate) mod queries;
pub(crate) mod softmax;

/// Queries that are computed together.
///
/// Sixteen: their scores against a reach of a few hundred keys stay in the first-level cache; a vector of the widest
/// level holds a number for each of them, so that step 4 takes all logarithms at once; and of a list sorted by bucket
/// sixteen neighbours need few keys that one of them alone would not.
pub(crate) const QUERIES: usize = 16;

/// Numbers of queries that a product computes are multiples of this: see `reformer_tensor::tile::packed`.
pub(crate) const QUERY_STEP: usize = 8;

/// Keys of a panel, and what numbers of gathered slots are multiples of.
pub(crate) const KEYS_PER_PANEL: usize = reformer_tensor::tile::packed::PANEL;
