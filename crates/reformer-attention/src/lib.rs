//! Full, local and LSH attention: forward, backward and one-step decode.
//!
//! ```text
//! full    every pair, in blocks; no len × len matrix
//! local   chunks of neighbouring positions
//! lsh     chunks of positions whose vectors hash alike, several rounds (Kitaev, Kaiser, Levskaya 2020)
//! ```
//! [`Attention`] is one value with three verbs, [`forward`](Attention::forward), [`backward`](Attention::backward)
//! and [`step`](Attention::step), on strided views of `[batch·len, heads·head_dim]` matrices. What a backward pass
//! needs of its forward pass is the output and one logsumexp per row. Buckets come in as values. Nothing here knows
//! of projections, parameters, layers or files. Every semantic switch of the paper and of the other implementations
//! is in [`LshConfig`], [`LocalConfig`] and [`FullConfig`].
//!
//! Guarantees:
//! - any length, ragged last chunks included; a padded sequence with its mask gives what the unpadded one gives
//!   (with [`Wrap::Bounded`]);
//! - rows that see nothing are 0 with `z = −∞`, rows that see nothing but themselves take their own value exactly;
//! - NaN or infinity in an operand is an error that names the place, not a number that spreads;
//! - bits do not depend on the number of threads;
//! - scratch comes from the workspace, one tile a thread, plus the sorted order of the heads at work.
//!
//! | to change … | open … |
//! |---|---|
//! | what the three kinds are, what callers may ask | `attention.rs` |
//! | a semantic switch, what the paper and the others set it to | `config.rs` |
//! | who sees whom: causality, padding, oneself, duplicates | `visibility/` |
//! | what is common to all heads; NaN; rows that see only themselves | `heads.rs` |
//! | which positions meet in which tile, on which thread | `walk/` (its `mod.rs` lists the files) |
//! | the arithmetic of sixteen queries against their keys | `tile/` (its `mod.rs` lists the steps) |
//! | what a decoding step remembers and sees | `decode/` |
//! | the shapes of operands, their checks | `operands.rs` |
//! | the truth that all of it is held to | `naive.rs` |
//!
//! ```
//! use reformer_attention::{Attention, FullConfig, Inputs, KeyNorm, Layout, LshConfig};
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
//! let hashed = Attention::Lsh(LshConfig::paper(8));
//! hashed.forward(&cpu, layout, &inputs, &buckets, lsh.view_mut(), &mut z)?;
//! let exact = Attention::Full(FullConfig::shared(KeyNorm::Rms));
//! exact.forward(&cpu, layout, &inputs, &[], full.view_mut(), &mut z)?;
//! assert_eq!(lsh.as_slice(), full.as_slice());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "a kernel has the instructions of its level only where it is inlined into the function that enables them"
)]

mod attention;
mod config;
pub mod decode;
mod dropout;
mod error;
mod heads;
pub mod naive;
pub mod operands;
mod tile;
mod visibility;
mod walk;

pub use attention::Attention;
pub use config::{ALONE, Duplicates, ExactLength, FullConfig, KeyNorm, Keys, LocalConfig, LshConfig};
pub use decode::{BucketTable, KeyValues};
pub use error::{AttentionError, Result};
pub use operands::{Gradients, Inputs, Layout, Masks, Upstream};
pub use reformer_lsh::Wrap;
pub use visibility::{Causal, Visibility};
