//! What a training step costs in memory, by part, and how many parameters a model has.
//!
//! The formula adds up the very buffers that the code allocates; a test holds it to what a step really took.
//!
//! ```text
//! peak = process + parameters + gradients + optimizer + 4 streams + buckets + max(sublayer working set, head piece)·9/8
//! ```
//!
//! Depth enters only through parameters (with their gradients and optimizer state) and the buckets,
//! `rounds·heads` numbers a token and LSH layer: nothing else of a layer is kept.

use crate::config::{Config, Kind};
pub use crate::flops::flops_per_token;
use crate::head;
use crate::parameters::{Group, Parameters};
use crate::sublayer::{Kernel, feed_forward_piece, group_rows};

const F32: usize = size_of::<f32>();

/// What a process holds whatever the model: code pages, packed panels of the matrix products, thread stacks, what the
/// allocator keeps. Measured (15 to 20 MB at 1k and 4k tokens), not derived.
const PROCESS: usize = 16 << 20;

/// Bytes of a training step by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryEstimate {
    /// The process itself.
    pub process: usize,
    /// Parameters.
    pub parameters: usize,
    /// Gradients: those of the trainer, and those on their way to it.
    pub gradients: usize,
    /// Optimizer state.
    pub optimizer: usize,
    /// The two streams and their gradients.
    pub streams: usize,
    /// Token ids, targets, weights, mask.
    pub batch: usize,
    /// Buckets of all LSH layers.
    pub buckets: usize,
    /// The largest sublayer's working set in the reverse pass.
    pub working_set: usize,
    /// The head's piece: logits and what surrounds them.
    pub head: usize,
    /// Buffers the workspace keeps for the next lease of their size: an eighth of the largest need.
    pub idle: usize,
}

impl MemoryEstimate {
    /// A step on `rows` rows of `len` tokens by a trainer that keeps a whole set of gradients (to clip by the global
    /// norm, to accumulate) and `optimizer_bytes` of state a parameter: 8 for AdamW.
    pub fn training(config: &Config, rows: usize, len: usize, optimizer_bytes: usize) -> Self {
        let len = config.padded_length(len);
        let tokens = rows * len;
        let sizes = GroupSizes::of(config);
        let lsh_layers = config.attn_layers.iter().filter(|&&kind| kind == Kind::Lsh).count();
        let attention =
            (0..config.layers()).map(|layer| attention_working_set(config, layer, rows, len)).max();
        let working_set = attention.unwrap_or(0).max(feed_forward_working_set(config, tokens));
        let head = head_working_set(config, tokens);
        Self {
            process: PROCESS,
            parameters: sizes.total,
            gradients: sizes.total + sizes.embeddings + sizes.head.max(sizes.largest_block),
            optimizer: sizes.total / F32 * optimizer_bytes,
            streams: 4 * tokens * config.hidden_size * F32,
            batch: tokens * (4 + 4 + 4 + 1),
            buckets: lsh_layers * config.num_attention_heads * config.num_hashes * tokens * size_of::<u32>(),
            working_set,
            head,
            idle: working_set.max(head) / 8,
        }
    }

    /// What does not belong to parameters: what a deeper or a shallower model has alike, but for the buckets.
    pub fn activation_bytes(&self) -> usize {
        self.streams + self.batch + self.buckets + self.working_set.max(self.head) + self.idle
    }

    /// Most bytes held at one time.
    pub fn total_bytes(&self) -> usize {
        self.process + self.parameters + self.gradients + self.optimizer + self.activation_bytes()
    }

    /// The parts with their names. Working set and head piece are never held together: the larger counts in the total.
    pub fn parts(&self) -> [(&'static str, usize); 10] {
        [
            ("process", self.process),
            ("parameters", self.parameters),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("streams", self.streams),
            ("batch", self.batch),
            ("buckets", self.buckets),
            ("sublayer working set", self.working_set),
            ("head piece", self.head),
            ("idle buffers", self.idle),
        ]
    }
}

/// Bytes of the groups' buffers.
struct GroupSizes {
    embeddings: usize,
    largest_block: usize,
    head: usize,
    total: usize,
}

impl GroupSizes {
    fn of(config: &Config) -> Self {
        let parameters = Parameters::zeros(config);
        let groups = parameters.groups();
        let bytes: Vec<usize> = groups.iter().map(Group::bytes).collect();
        let last = bytes.len() - 1;
        Self {
            embeddings: bytes[0],
            largest_block: bytes[1..last].iter().copied().max().unwrap_or(0),
            head: bytes[last],
            total: bytes.iter().sum(),
        }
    }
}

/// `n, t` of width h; per projection its value and gradient; the output, its gradient, `z`; the kernel's own.
fn attention_working_set(config: &Config, layer: usize, rows: usize, len: usize) -> usize {
    let tokens = group_rows(rows, len) * len;
    let (h, width, heads) = (config.hidden_size, config.attention_width(), config.num_attention_heads);
    let projections = if config.attn_layers[layer] == Kind::Lsh { 2 } else { 3 };
    let kernel = Kernel::new(config, layer, len, None);
    let own = kernel.working_set(config, group_rows(rows, len), len);
    (2 * tokens * h + (2 * projections + 2) * tokens * width + tokens * heads) * F32 + own
}

/// `n, t` of width h, `u, a` of width f, for a piece.
fn feed_forward_working_set(config: &Config, tokens: usize) -> usize {
    let piece = feed_forward_piece(config).min(tokens);
    2 * piece * (config.hidden_size + config.feed_forward_size) * F32
}

/// The pair, its norm, two gradients of width 2h, and the logits of a piece.
fn head_working_set(config: &Config, tokens: usize) -> usize {
    let piece = head::piece(config).min(tokens);
    let tied = if config.tie_word_embeddings { config.hidden_size } else { 0 };
    // The norm and the logits are gone before the second gradient comes.
    let widest = (6 * config.hidden_size + tied + config.vocab_size).max(6 * config.hidden_size);
    piece * widest * F32
}

/// Number of parameters of a model.
pub fn parameter_count(config: &Config) -> usize {
    Parameters::zeros(config).count()
}
