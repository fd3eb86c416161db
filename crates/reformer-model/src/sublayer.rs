//! The two functions of a reversible block, F = attention and G = feed-forward, as sublayers of the CPU engine.
//!
//! A sublayer borrows its parameters from a block's group and adds its gradients to a group of the same layout.
//! Attention's tensors stand first, the feed-forward layer's after them.

mod attention;
mod feed_forward;
pub(crate) mod layer_state;
pub(crate) mod semantics;

use reformer_reversible::Coupling;
pub use reformer_reversible::{Stepwise, Sublayer};

pub use attention::{AttentionLayer, Look};
pub(crate) use attention::{TOKENS_PER_PRODUCT, of_a_portion};
pub use feed_forward::FeedForward;
pub(crate) use feed_forward::piece as feed_forward_piece;

/// A block: two half-residual couplings.
pub type ReformerBlock<'a> = Coupling<AttentionLayer<'a>, FeedForward<'a>>;

/// The rows that a pass works on.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Batch rows.
    pub rows: usize,
    /// Tokens of each.
    pub len: usize,
    /// `[rows·len]`, `false` for padding.
    pub mask: Option<&'a [bool]>,
}
