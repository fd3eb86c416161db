//! The two functions of a reversible block, G = feed-forward and F = attention, as sublayers of the CPU engine.
//!
//! A sublayer borrows its parameters from a block's group and writes its gradients into its half of a gradient buffer
//! of the same layout: attention's tensors stand first, the feed-forward layer's after them.

mod attention;
mod feed_forward;

pub(crate) use attention::Attention;
pub(crate) use feed_forward::{FeedForward, piece as feed_forward_piece};
