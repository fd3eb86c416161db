//! `reformer bench`: what is measured, at which sizes, how often.
//!
//! Lists (`--length 1024,4096`) are every combination, one result each.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use reformer::tensor::Precision;

use super::precision;

/// `reformer bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// One attention operation; for LSH with its hashing and sorting
    Attention(AttentionBench),
    /// Vectors to buckets
    Hash(HashBench),
    /// One matrix product
    Gemm(GemmBench),
    /// A whole training step: forward, reverse, clipping, update
    Train(TrainBench),
    /// Reading a prompt, then one token at a time
    Generate(GenerateBench),
}

/// How often, and how to tell.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct Timing {
    /// Timed runs [default: at least 5 and at least 1 second, at most 30 seconds]
    #[arg(long, visible_alias = "steps", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: Option<u32>,
    /// Time the very first run too: no warm-up
    #[arg(long)]
    pub(crate) cold: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindChoice {
    /// Chunks of positions that hash alike.
    Lsh,
    /// Chunks of neighbouring positions.
    Local,
    /// Every pair, exactly.
    Full,
}

impl KindChoice {
    /// The name as typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lsh => "lsh",
            Self::Local => "local",
            Self::Full => "full",
        }
    }
}

/// Whose definition of LSH attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SemanticsChoice {
    /// Same bucket only, pairs that meet in several rounds count once.
    Paper,
    /// As transformers: no bucket gate, duplicates kept, circular chunks.
    HuggingFace,
    /// As trax.
    Trax,
    /// As reformer-pytorch.
    Lucid,
}

impl SemanticsChoice {
    /// The name as typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::HuggingFace => "hugging-face",
            Self::Trax => "trax",
            Self::Lucid => "lucid",
        }
    }
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PassChoice {
    /// The output.
    Forward,
    /// The output and all gradients.
    ForwardBackward,
}

/// `reformer bench attention`.
#[derive(Debug, Args)]
pub(crate) struct AttentionBench {
    /// Which attention; a list is measured one after another
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', default_value = "lsh")]
    pub(crate) kind: Vec<KindChoice>,
    /// Tokens of a sequence
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "4096")]
    pub(crate) length: Vec<usize>,
    /// Hash rounds (LSH)
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "2")]
    pub(crate) num_hashes: Vec<usize>,
    /// Heads
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) num_heads: usize,
    /// Width of a head
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) head_dim: usize,
    /// Tokens of a chunk (LSH and local); a chunk sees itself and the one before
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) chunk_length: usize,
    /// Buckets of a round, or the factors of their number [default: 2·length/chunk, in small factors above 128]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(crate) num_buckets: Vec<usize>,
    /// Sequences
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// No position sees a later one; `--causal false` lets it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) causal: bool,
    /// What is timed
    #[arg(long, value_name = "PASS,…", value_delimiter = ',', default_value = "forward")]
    pub(crate) pass: Vec<PassChoice>,
    /// Whose definition of LSH attention
    #[arg(long, value_name = "WHOSE", default_value = "paper")]
    pub(crate) semantics: SemanticsChoice,
    /// Numbers; attention has f32 kernels only
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = precision())]
    pub(crate) dtype: Precision,
    #[command(flatten)]
    pub(crate) timing: Timing,
}

/// `reformer bench hash`.
#[derive(Debug, Args)]
pub(crate) struct HashBench {
    /// Vectors
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "65536")]
    pub(crate) length: Vec<usize>,
    /// Width of a vector
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) head_dim: usize,
    /// Rounds
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "2")]
    pub(crate) num_hashes: Vec<usize>,
    /// Buckets of a round, or the factors of their number [default: 2·length/chunk, in small factors above 128]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(crate) num_buckets: Vec<usize>,
    /// The chunk that the default number of buckets is made for
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) chunk_length: usize,
    /// Sort by bucket too
    #[arg(long)]
    pub(crate) sort: bool,
    #[command(flatten)]
    pub(crate) timing: Timing,
}

/// `reformer bench gemm`: `[m, k] × [k, n]`.
#[derive(Debug, Args)]
pub(crate) struct GemmBench {
    /// Rows of the left matrix: tokens
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "4096")]
    pub(crate) m: Vec<usize>,
    /// Columns of the right matrix
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "512,2048")]
    pub(crate) n: Vec<usize>,
    /// What is summed over
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "512,2048")]
    pub(crate) k: Vec<usize>,
    /// How the operands lie
    #[arg(long, value_name = "FORM,…", value_delimiter = ',', default_value = "nt")]
    pub(crate) form: Vec<FormChoice>,
    /// Numbers
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', default_value = "f32", value_parser = precision())]
    pub(crate) dtype: Vec<Precision>,
    #[command(flatten)]
    pub(crate) timing: Timing,
}

/// Which operand of a product is transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormChoice {
    /// A·B: gradients of activations.
    Nn,
    /// A·Bᵀ: a layer's forward product.
    Nt,
    /// Aᵀ·B: gradients of weights.
    Tn,
}

/// A model's shape, spelled out.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelShape {
    /// Layers
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) layers: usize,
    /// Width of each stream
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) d_model: usize,
    /// Width of the feed-forward layers [default: 4·d-model]
    #[arg(long, value_name = "N")]
    pub(crate) d_ff: Option<usize>,
    /// Heads; each is d-model/heads wide
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) num_heads: usize,
    /// Entries of the vocabulary
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) vocab: usize,
    /// Hash rounds
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) num_hashes: usize,
    /// Tokens of a chunk
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) chunk_length: usize,
    /// The layers' attention, repeated to fill all layers
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', default_value = "lsh")]
    pub(crate) kinds: Vec<KindChoice>,
    /// Whose definition of LSH attention
    #[arg(long, value_name = "WHOSE", default_value = "paper")]
    pub(crate) semantics: SemanticsChoice,
    /// Numbers of the dense products; of the weights where tokens are generated
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = precision())]
    pub(crate) dtype: Precision,
}

/// Which optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerChoice {
    /// Two moments a parameter.
    Adamw,
    /// Factored second moments.
    Adafactor,
}

/// Which norm of the gradient is clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipChoice {
    /// Of the whole model.
    Global,
    /// Of each layer by itself.
    Group,
}

/// `reformer bench train`.
#[derive(Debug, Args)]
pub(crate) struct TrainBench {
    /// Tokens of a row
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "4096")]
    pub(crate) length: Vec<usize>,
    /// Rows of a step
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// Which optimizer
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    pub(crate) optimizer: OptimizerChoice,
    /// Update each layer as soon as its gradient is there: no whole set of gradients is held
    #[arg(long)]
    pub(crate) in_backward: bool,
    /// Which norm is clipped; `global` with --in-backward takes a pass of its own
    #[arg(long, value_name = "NORM", default_value = "global")]
    pub(crate) clip_by: ClipChoice,
    #[command(flatten)]
    pub(crate) model: ModelShape,
    #[command(flatten)]
    pub(crate) timing: Timing,
}

/// `reformer bench generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateBench {
    /// A run or a checkpoint directory instead of fresh weights of the shape below
    #[arg(long = "model", value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Tokens of the prompt
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "256,2048")]
    pub(crate) prompt: Vec<usize>,
    /// Sequences that are continued at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// Tokens decoded after it, of each sequence
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) new: usize,
    #[command(flatten)]
    pub(crate) model: ModelShape,
    #[command(flatten)]
    pub(crate) timing: Timing,
}
