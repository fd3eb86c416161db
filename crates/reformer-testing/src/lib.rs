//! What the tests of all rooms share, and nothing but tests: never published, never a dependency of a library.
//!
//! - [`compare`]: how far numbers are from the truth, in a way that NaN cannot pass;
//! - [`numbers`]: random matrices and choices by seed;
//! - [`fixture`]: reference fixtures, who checks which, and the report of a check;
//! - `models`: tiny models (feature `models`, for the rooms from the model up).

#![forbid(unsafe_code)]

pub mod compare;
pub mod fixture;
#[cfg(feature = "models")]
pub mod models;
pub mod numbers;
