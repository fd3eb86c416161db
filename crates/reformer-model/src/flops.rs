//! What a step computes: floating-point operations a token, by part (a multiplication and an addition are two).
//!
//! ```text
//! part          forward                    training
//! attention     4·width·keys               4.5×: scores and values, again in reverse, five for the gradient
//! hashing       2·width·rounds·columns     1×: buckets are kept
//! projections   2·h·width each             4×: forward, again in reverse, gradients of operand and weight
//! feed-forward  4·h·f                      4×
//! head          4·h·vocab                  3×: nothing is computed twice
//! ```
//!
//! `keys` counts those a query is compared with, all rounds together, masked or not: `rounds·chunks·m` for LSH.

use crate::config::Config;
use crate::sublayer::semantics;

/// Operations of one part, a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartFlops {
    /// `attention`, `hashing`, `projections`, `feed-forward` or `head`.
    pub part: &'static str,
    /// Of a forward pass.
    pub forward: usize,
    /// Of a training step, recomputation included.
    pub training: usize,
}

/// Operations of a whole model, a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Flops {
    /// Of a forward pass.
    pub forward: usize,
    /// Of a training step: blocks are computed twice (the reverse pass again) and differentiated.
    pub training: usize,
}

/// Operations a token at a sequence length, by part.
pub fn flops_by_part(config: &Config, len: usize) -> [PartFlops; 5] {
    let (h, width, f) = (config.hidden_size, config.attention_width(), config.feed_forward_size);
    let (mut attention, mut hashing, mut projections) = (0, 0, 0);
    for layer in 0..config.layers() {
        let kernel = semantics::attention(config, layer, len, None);
        attention += 4 * width * kernel.compared_keys(len, config.num_hashes);
        // One for each projection, one for the heads put together.
        projections += 2 * h * width * (semantics::projections(&kernel) + 1);
        if kernel.needs_buckets(len) {
            hashing += 2 * width * config.num_hashes * config.buckets().rotation_columns();
        }
    }
    let (feed_forward, head) = (4 * h * f * config.layers(), 4 * h * config.vocab_size);
    let part = |part, forward, training| PartFlops { part, forward, training };
    [
        part("attention", attention, attention * 9 / 2),
        part("hashing", hashing, hashing),
        part("projections", projections, 4 * projections),
        part("feed-forward", feed_forward, 4 * feed_forward),
        part("head", head, 3 * head),
    ]
}

/// Operations a token at a sequence length.
pub fn flops_per_token(config: &Config, len: usize) -> Flops {
    let add = |all: Flops, part: PartFlops| Flops {
        forward: all.forward + part.forward,
        training: all.training + part.training,
    };
    flops_by_part(config, len).into_iter().fold(Flops { forward: 0, training: 0 }, add)
}
