//! Full, local and LSH attention: forward, backward and one-step decode.
//!
//! ```text
//! full    every pair, in blocks; no len × len matrix
//! local   chunks of neighbouring positions
//! lsh     chunks of positions whose vectors hash alike, several rounds (Kitaev, Kaiser, Levskaya 2020)
//! ```
//! Operations are functions on strided views of `[batch·len, heads·head_dim]` matrices; what a backward pass needs of its
//! forward pass is the output and one logsumexp per row. Buckets come in as values. Nothing here knows of projections,
//! parameters, layers or files. Every semantic switch of the paper and of the other implementations is in
//! [`LshConfig`], [`LocalConfig`] and [`FullConfig`].
//!
//! Guarantees:
//! - any length, ragged last chunks included; a padded sequence with its mask gives what the unpadded one gives
//!   (with [`Wrap::Bounded`]);
//! - rows that see nothing are 0 with `z = −∞`, rows that see nothing but themselves take their own value exactly;
//! - NaN or infinity in an operand is an error that names the place, not a number that spreads;
//! - bits do not depend on the number of threads;
//! - scratch comes from the workspace, one tile a thread, plus the sorted order of the bands at work.
//!
//! ```
//! use reformer_attention::{FullConfig, Inputs, KeyNorm, Layout, LshConfig, full_forward, lsh_forward};
//! use reformer_lsh::Buckets;
//! use reformer_tensor::{Cpu, Matrix};
//!
//! let cpu = Cpu::single();
//! let layout = Layout { batch: 1, len: 5, heads: 1, head_dim: 4 };
//! let x = Matrix::from_fn(5, 4, |i, j| ((3 * i + j) % 5) as f32 - 2.0);
//! let (mut lsh, mut full, mut z) = (Matrix::zeros(5, 4), Matrix::zeros(5, 4), [0.0; 5]);
//!
//! // One bucket and one chunk that hold everything: LSH attention is full shared-QK attention.
//! let buckets = [Buckets::given(1, 5, 2, vec![0; 5])?];
//! let inputs = Inputs::shared(x.view(), x.view());
//! lsh_forward(&cpu, &LshConfig::paper(8), layout, &inputs, &buckets, lsh.view_mut(), &mut z)?;
//! full_forward(&cpu, &FullConfig::shared(KeyNorm::Rms), layout, &inputs, full.view_mut(), &mut z)?;
//! assert_eq!(lsh.as_slice(), full.as_slice());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "a kernel has the instructions of its level only where it is inlined into the function that enables them"
)]

mod band;
mod chunked;
mod config;
pub mod decode;
mod dropout;
mod error;
mod exact;
mod flush;
mod fold;
mod full;
mod group;
mod key;
pub mod layout;
mod local;
mod lsh;
mod mask;
pub mod naive;
mod order;
mod round;
mod softmax;
mod weights;
mod window;

pub use config::{ALONE, Duplicates, FullConfig, KeyNorm, Keys, Kind, LocalConfig, LshConfig};
pub use decode::{BucketTable, KeyValues, Storage};
pub use error::{AttentionError, Result};
pub use full::{full_backward, full_forward};
pub use layout::{Gradients, Inputs, Layout, Masks, Upstream};
pub use local::{local_backward, local_forward};
pub use lsh::{lsh_backward, lsh_forward};
pub use reformer_lsh::Wrap;
