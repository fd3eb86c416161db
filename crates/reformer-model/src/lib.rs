//! The Reformer language model: configuration, parameters, forward, reverse, decode, Hugging Face directories.
//!
//! ```text
//! ids → word embedding + positions → x1 = x2
//!     → N × ( y1 = x1 + attention(x2),  y2 = x2 + feed_forward(y1) )
//!     → layer norm of [y1 | y2] → decoder → loss, a piece of the sequence at a time
//! ```
//!
//! A model is a [`Config`] and [`Parameters`]; a [`Batch`] runs through it under a [`Pass`]. Training keeps the last
//! pair of streams and the buckets, and [`Model::forward_backward`] hands out each group's gradient as it reverses.
//!
//! The crate knows nothing of text, optimizers or clocks; the only files it touches are those of a checkpoint
//! directory ([`Model::load`], [`Model::save`]).

#![forbid(unsafe_code)]

mod batch;
pub mod config;
mod decode;
mod embeddings;
mod error;
pub mod flops;
mod gradient_stream;
mod head;
mod hf;
mod layers;
pub mod memory;
mod model;
mod non_finite;
mod packed;
pub mod parameters;
pub mod positions;
mod run;
pub mod sublayer;
mod training;

pub use batch::{Batch, LossReport, Pass};
pub use config::{Config, Fields, Kind};
pub use decode::{DecodeOptions, DecodeState, Decoder, FIRST_PIECE, PIECE};
pub use error::{ModelError, NonFinite, Part, Result};
pub use gradient_stream::GradientStream;
pub use hf::{check as check_weights, names};
pub use model::Model;
pub use packed::Packed;
pub use parameters::{Group, Parameters, TensorSpec};
pub use training::Updates;
