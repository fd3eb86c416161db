//! What a training step costs in memory, by part, and how many parameters a model has.
//!
//! The formula adds up the very buffers that the code allocates; a test holds it to what a step really took.
//!
//! ```text
//! peak = process + parameters + gradients + optimizer + 4 streams + buckets
//!      + max(sublayer working set, head piece) + idle buffers
//! ```
//!
//! Depth enters only through parameters (with their gradients and optimizer state) and the buckets,
//! `rounds·heads` numbers a token and LSH layer: nothing else of a layer is kept.

use reformer_attention::Attention;
use reformer_tensor::{Precision, Workspace};

use crate::config::{Config, Kind};
use crate::error::{ModelError, Result};
pub use crate::flops::flops_per_token;
use crate::head;
use crate::parameters::{TensorSpec, block_specs, buffer_len, embedding_specs, head_specs};
use crate::sublayer::semantics;
use crate::sublayer::{TOKENS_PER_PRODUCT, feed_forward_piece, of_a_portion};

const F32: usize = size_of::<f32>();

/// What a process holds whatever the model: code pages, packed panels of the matrix products, thread stacks, what the
/// allocator keeps. Measured (15 to 20 MB at 1k and 4k tokens), not derived.
const PROCESS: usize = 16 << 20;

/// How a step is taken, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Bytes of optimizer state a parameter: 8 for AdamW.
    pub optimizer_bytes: usize,
    /// The optimizer updates a group as soon as its gradient is there ([`crate::Model::forward_backward_update`]).
    pub in_backward: bool,
    /// What the LSH layers compute, if not LSH ([`crate::Pass::attention`]).
    pub attention: Option<Kind>,
    /// In what the gradients of the streams are kept ([`crate::Pass::gradient_streams`]).
    pub gradient_streams: Precision,
    /// Activations are recomputed from the last pair. Otherwise: what the same code would hold if it kept, of every
    /// layer, what its reverse pass recomputes.
    pub reversible: bool,
}

impl Setup {
    /// The trainer's: reversible, the layers' own attention, all gradients until the update.
    pub fn trainer(optimizer_bytes: usize) -> Self {
        Self {
            optimizer_bytes,
            in_backward: false,
            attention: None,
            gradient_streams: Precision::F32,
            reversible: true,
        }
    }
}

/// Bytes of a training step by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryEstimate {
    /// The process itself.
    pub process: usize,
    /// Parameters.
    pub parameters: usize,
    /// Gradients of parameters.
    pub gradients: usize,
    /// Optimizer state.
    pub optimizer: usize,
    /// The two streams and their gradients.
    pub streams: usize,
    /// Token ids, targets, weights, mask.
    pub batch: usize,
    /// Buckets of all LSH layers.
    pub buckets: usize,
    /// Activations kept of every layer: nothing, unless the layers are not reversible.
    pub kept: usize,
    /// The largest sublayer's working set in the reverse pass.
    pub working_set: usize,
    /// The head's piece: logits and what surrounds them.
    pub head: usize,
    /// Buffers the workspace keeps for the next lease of their size: those of the parts that are not at work, as far as
    /// its ceiling lets it.
    pub idle: usize,
}

impl MemoryEstimate {
    /// A trainer's step on `rows` rows of `len` tokens with `optimizer_bytes` of state a parameter.
    pub fn training(config: &Config, rows: usize, len: usize, optimizer_bytes: usize) -> Self {
        Self::of(config, rows, len, &Setup::trainer(optimizer_bytes))
    }

    /// A step on `rows` rows of `len` tokens, of sizes that [`check_step`] accepts. Arithmetic only.
    pub fn of(config: &Config, rows: usize, len: usize, setup: &Setup) -> Self {
        let len = config.padded_length(len);
        let tokens = rows * len;
        let sizes = GroupSizes::of(config);
        let of_layer = |layer| semantics::attention(config, layer, len, setup.attention);
        let attentions: Vec<Attention> = (0..config.layers()).map(of_layer).collect();
        let hashing = attentions.iter().filter(|attention| attention.needs_buckets(len)).count();
        let attention =
            attentions.iter().map(|attention| attention_working_set(config, attention, rows, len)).max();
        let (attention, feed_forward) = (attention.unwrap_or(0), feed_forward_working_set(config, tokens));
        let head = head_working_set(config, tokens);
        // Attention and feed-forward take turns, so the larger counts. What the other one leaves behind is idle
        // buffers, as far as the workspace keeps them.
        let working_set = attention.max(feed_forward);
        let largest = working_set.max(head);
        let others = attention + feed_forward + head - largest;
        let gradient = match setup.gradient_streams {
            Precision::F32 => F32,
            Precision::Bf16 => size_of::<u16>(),
        };
        // The embeddings' gradient is begun at the head, where a tied decoder adds to it, and completed last, so it
        // is there while the blocks' come and go.
        let on_the_way = sizes.embeddings + sizes.head.max(sizes.largest_block);
        Self {
            process: PROCESS,
            parameters: sizes.total,
            gradients: if setup.in_backward { on_the_way } else { sizes.total },
            optimizer: sizes.total / F32 * setup.optimizer_bytes,
            streams: tokens * config.hidden_size * (2 * F32 + 2 * gradient),
            batch: tokens * (4 + 4 + 4 + 1),
            buckets: hashing * config.num_attention_heads * config.num_hashes * tokens * size_of::<u32>(),
            kept: if setup.reversible { 0 } else { tokens * kept_of_a_token(config) * F32 },
            working_set,
            head,
            idle: others.min(Workspace::SLACK.max(largest / 8)),
        }
    }

    /// What does not belong to parameters: what a deeper or a shallower model has alike, but for the buckets.
    pub fn activation_bytes(&self) -> usize {
        self.streams + self.batch + self.buckets + self.kept + self.working_set.max(self.head) + self.idle
    }

    /// Most bytes held at one time.
    pub fn total_bytes(&self) -> usize {
        self.process + self.parameters + self.gradients + self.optimizer + self.activation_bytes()
    }

    /// The parts with their names. Working set and head piece are never held together: the larger counts in the total.
    pub fn parts(&self) -> [(&'static str, usize); 11] {
        [
            ("process", self.process),
            ("parameters", self.parameters),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("streams", self.streams),
            ("batch", self.batch),
            ("buckets", self.buckets),
            ("kept activations", self.kept),
            ("sublayer working set", self.working_set),
            ("head piece", self.head),
            ("idle buffers", self.idle),
        ]
    }
}

/// Bytes of the `len × len` scores that attention of a plain implementation keeps for backward, in all layers: what no
/// kernel here ever holds.
pub fn score_matrix_bytes(config: &Config, rows: usize, len: usize) -> usize {
    // A number for the eye: beyond what can be counted it is as large as it gets.
    [rows, config.num_attention_heads, len, len, F32].into_iter().fold(config.layers(), usize::saturating_mul)
}

/// Bytes of the groups' buffers.
struct GroupSizes {
    embeddings: usize,
    largest_block: usize,
    head: usize,
    total: usize,
    /// Numbers, gaps not counted.
    parameters: usize,
}

impl GroupSizes {
    /// By the tensors' shapes alone; layers of a kind are alike, so a kind is laid out once.
    fn of(config: &Config) -> Self {
        let bytes = |specs: &[TensorSpec]| buffer_len(specs) * F32;
        let count = |specs: &[TensorSpec]| specs.iter().map(TensorSpec::len).sum::<usize>();
        let (embeddings, head) = (embedding_specs(config), head_specs(config));
        let mut sizes = Self {
            embeddings: bytes(&embeddings),
            largest_block: 0,
            head: bytes(&head),
            total: bytes(&embeddings) + bytes(&head),
            parameters: count(&embeddings) + count(&head),
        };
        for kind in [Kind::Lsh, Kind::Local, Kind::Full] {
            let alike = config.attn_layers.iter().filter(|&&layer| layer == kind).count();
            let Some(layer) = config.attn_layers.iter().position(|&layer| layer == kind) else { continue };
            let block = block_specs(config, layer);
            sizes.largest_block = sizes.largest_block.max(bytes(&block));
            sizes.total += alike * bytes(&block);
            sizes.parameters += alike * count(&block);
        }
        sizes
    }
}

/// Bytes of a model at rest: its parameters, and the rotations that are made when it is opened.
pub fn model_bytes(config: &Config) -> usize {
    let hashing = config.attn_layers.iter().filter(|&&kind| kind == Kind::Lsh).count();
    let rotation = config.attention_head_size * config.buckets().rotation_columns();
    let rotations = hashing * config.num_attention_heads * config.num_hashes * rotation;
    GroupSizes::of(config).total + rotations * F32
}

/// Bytes that each further token takes in a decode state of f32: keys and values of all layers but the local ones,
/// whose reach is bounded, and of LSH layers the buckets' ids and places (about). What a state says of itself,
/// without one.
pub fn decode_bytes_per_token(config: &Config) -> usize {
    let of = |kind: &Kind| match kind {
        Kind::Local => 0,
        Kind::Full => 2 * config.attention_width() * F32,
        Kind::Lsh => 2 * config.attention_width() * F32 + 10 * config.num_hashes * config.num_attention_heads,
    };
    size_of::<u32>() + config.attn_layers.iter().map(of).sum::<usize>()
}

/// Fails if a step on `rows` rows of `len` tokens is beyond any machine, so that the formulas of memory and operations
/// cannot overflow.
pub fn check_step(config: &Config, rows: usize, len: usize) -> Result<()> {
    /// Bytes, or operations a token, that are still counted.
    const MOST: u128 = 1 << 62;
    let wide = |n: usize| n as u128;
    let (h, width) = (wide(config.hidden_size), wide(config.attention_width()));
    let rounds = wide(config.num_hashes) * wide(config.num_attention_heads);
    let token = wide(kept_of_a_token(config))
        + 16 * (h + width + wide(config.feed_forward_size))
        + wide(config.vocab_size)
        + 4 * rounds * wide(config.layers());
    // Rows of whole chunks may be much longer than what was asked for.
    let padded = if len < 1 << 60 { wide(config.padded_length(len)) } else { MOST };
    let tokens = wide(rows) * padded;
    let bytes = 8 * tokens * token;
    let operations = 32 * width * wide(config.num_hashes) * padded * wide(config.layers());
    let numbers = bytes.max(operations);
    if numbers > MOST {
        let what =
            format!("a step on {rows} rows of {len} tokens takes more than any machine has: its sizes");
        return Err(ModelError::TooLarge { what, numbers, limit: MOST });
    }
    Ok(())
}

/// Numbers of a token that all layers keep if nothing is recomputed: both norms' inputs and outputs, projections, the
/// attention's output and `z`, the feed-forward's inner values before and after the activation.
fn kept_of_a_token(config: &Config) -> usize {
    let (h, width, heads) = (config.hidden_size, config.attention_width(), config.num_attention_heads);
    let projections: usize = config.attn_layers.iter().map(|kind| kind.projections().len()).sum();
    projections * width + config.layers() * (4 * h + width + heads + 2 * config.feed_forward_size)
}

/// The first portion, which is the largest. In attention's backward: per projection its value and gradient, the output,
/// its gradient, `z`, attention's own. On the way back to `dx`: the gradients, and `n`, `dn` of a piece.
fn attention_working_set(config: &Config, attention: &Attention, rows: usize, len: usize) -> usize {
    let (heads, dim) = (config.num_attention_heads, config.attention_head_size);
    let (rows, heads) = of_a_portion(rows, len, heads, dim);
    let tokens = rows * len;
    let (width, projections) = (heads * dim, semantics::projections(attention));
    // Two moments compete for the peak: inside attention's backward, and on the way from its gradients to dx.
    let differentiating = (2 * projections + 2) * tokens * width + tokens * heads;
    let own = semantics::working_set(attention, config, rows, heads, len);
    let back = projections * tokens * width + 2 * TOKENS_PER_PRODUCT.min(tokens) * config.hidden_size;
    (differentiating * F32 + own).max(back * F32)
}

/// `n, t` of width h, `u, a` of width f, for a piece.
fn feed_forward_working_set(config: &Config, tokens: usize) -> usize {
    // As in the reverse pass, which needs `u` and its activation at the same time. Forward overwrites one with the
    // other.
    let piece = feed_forward_piece(config).min(tokens);
    2 * piece * (config.hidden_size + config.feed_forward_size) * F32
}

/// The pair, its norm, two gradients of width 2h, and the logits of a piece.
fn head_working_set(config: &Config, tokens: usize) -> usize {
    let piece = head::piece(config).min(tokens);
    let tied = if config.tie_word_embeddings { config.hidden_size } else { 0 };
    // Two moments again: the norm and the logits are gone before the second gradient comes.
    let widest = (6 * config.hidden_size + tied + config.vocab_size).max(6 * config.hidden_size);
    piece * widest * F32
}

/// Number of parameters of a model.
pub fn parameter_count(config: &Config) -> usize {
    GroupSizes::of(config).parameters
}
