//! Locality-sensitive hashing: vectors that point the same way fall into the same bucket.
//!
//! ```text
//! hash    x [len, dim] → buckets [rounds, len]      argmax [xR; −xR]  or  sign(xR), a bit per plane
//! sort    positions by (bucket, position)           order, undo
//! chunk   the sorted list in equal pieces           and which pieces a piece sees
//! look up exact nearest neighbours, and those that share a bucket
//! ```
//!
//! Reformer's attention (Kitaev, Kaiser, Levskaya 2020, section 2) is the first user; the lookup stands alone. The
//! crate knows nothing of attention, models, files or text.
//!
//! ```
//! use reformer_lsh::{BucketCount, Rotations, hash_vectors, sort_buckets};
//! use reformer_tensor::{Cpu, Matrix};
//!
//! let cpu = Cpu::new(1)?;
//! let x = Matrix::from_vec(3, 2, vec![1.0, 0.1, -1.0, 0.3, 2.0, 0.2]);
//! let rotations = Rotations::draw(7, 0, 0, 2, 4, &BucketCount::new(&[8])?)?;
//! let buckets = hash_vectors(&cpu, x.view(), &rotations, None)?;
//! assert!((0..4).all(|round| buckets.round(round)[0] == buckets.round(round)[2]), "the same direction");
//! assert_eq!(sort_buckets(&buckets).order_of(0).len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "a kernel has the instructions of its level only where it is inlined into the function that enables them"
)]

mod bucket_count;
mod buckets;
mod chunks;
mod error;
mod family;
mod hash;
pub mod knn;
pub mod lookup;
pub mod naive;
mod planes;
mod rotations;
mod sort;

pub use bucket_count::BucketCount;
pub use buckets::Buckets;
pub use chunks::{Chunks, Wrap};
pub use error::{LshError, Result};
pub use family::{HashFamily, WIDTH};
pub use hash::{first_non_finite, hash_one, hash_vectors};
pub use planes::Planes;
pub use rotations::Rotations;
pub use sort::{SortedBuckets, rank_positions, sort_buckets};
