//! Reversible residual layers: networks whose activations are recomputed from their output instead of kept.
//!
//! A block `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` can be run backwards, whatever `F` and `G` are, so the backward pass
//! restores each block's input on the way and a stack needs the activations of one block, at any depth (Kitaev,
//! Kaiser, Levskaya 2020, section 3; Gomez, Ren, Urtasun, Grosse 2017).
//!
//! - [`Sublayer`]: what `F` and `G` offer, a forward pass and a vector-Jacobian product; on any buffers
//!   ([`Activations`])
//! - [`Stepwise`]: a forward pass over new positions only, with a state that remembers the earlier ones
//! - [`Coupling`]: two of them as a [`Block`], forward and back in place
//! - [`sequence`]: the walk over all blocks, which hands out each block's parameter gradients on its way back
//!
//! The crate knows nothing of attention, models or optimizers; the example `revnet_fashion_mnist` makes a small
//! convolutional RevNet of it. Round-off of restoring is that of one addition and one subtraction per block: 64 blocks
//! of f32 come back to about 1e-6 of the input's size.

#![forbid(unsafe_code)]

mod activations;
mod block;
mod coupling;
pub mod naive;
pub mod sequence;
mod sublayer;

pub use activations::{Activations, Streams};
pub use block::Block;
pub use coupling::Coupling;
pub use sequence::SequenceError;
pub use sublayer::{Stepwise, Sublayer};
