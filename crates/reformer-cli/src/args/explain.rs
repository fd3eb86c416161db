//! `reformer explain`: which unit, on whose data, shown how.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// Nearest neighbours, hash tables, and how planes find neighbours without looking at everything
    Knn,
    /// From a vector to a bucket: planes that cut space, and the paper's argmax [xR; −xR]
    Hashing,
    /// Hash, sort, chunk, attend, repeat: on a sentence, against exact attention
    LshAttention,
    /// Layers whose inputs are recomputed from their outputs: inverse, noise, memory
    Reversible,
    /// What attention and depth cost in time and memory
    Complexity,
    /// From dialogues to a chatbot: text, batches, model, schedule, generating
    Chatbot,
}

impl Unit {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Knn => "knn",
            Self::Hashing => "hashing",
            Self::LshAttention => "lsh-attention",
            Self::Reversible => "reversible",
            Self::Complexity => "complexity",
            Self::Chatbot => "chatbot",
        }
    }
}

/// `reformer explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    reformer explain hashing\n  \
    reformer explain lsh-attention --text \"the cat sat on the mat and the cat slept\" -o pictures\n  \
    reformer explain knn --vectors embeddings.npy --all")]
pub(crate) struct ExplainArgs {
    /// What to explain
    #[arg(value_name = "UNIT")]
    pub(crate) unit: Unit,
    /// Show every step at once instead of one at a time
    #[arg(long)]
    pub(crate) all: bool,
    /// Write the pictures into this directory, as SVG
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Explain on this sentence (lsh-attention, chatbot)
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Explain on the rows of this matrix: NumPy's .npy, f32 or f64 (knn, hashing)
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) vectors: Option<PathBuf>,
    /// Explain on a model's own layers (lsh-attention, reversible, chatbot)
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Print the steps with their numbers as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
