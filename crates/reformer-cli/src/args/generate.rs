//! `reformer generate`: what to continue, and how.

use std::path::PathBuf;

use clap::Args;
use clap::builder::TypedValueParser;

use super::decoding::{DecodingArgs, SamplingArgs};

/// `reformer generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// A run or a checkpoint directory
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// The text to continue; `-` reads it from stdin, as does a pipe
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Continue the text of a file
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) file: Option<PathBuf>,
    /// Complete images from their upper half: of an IDX file, a PNG or a folder of PNGs, or `hold-out`, those that the
    /// run did not learn
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["prompt", "file", "no_prompt", "dialogue", "beams", "log_probs", "prompt_cache", "context",
            "max_tokens", "stop"])]
    pub(crate) image: Option<PathBuf>,
    /// How many images, drawn by the seed
    #[arg(long, value_name = "N", default_value_t = 8, requires = "image", value_parser = images())]
    pub(crate) images: usize,
    /// The picture that they are written to, as a PNG: each given, completed and as it is
    #[arg(short, long, value_name = "FILE", requires = "image")]
    pub(crate) output: Option<PathBuf>,
    /// Print only what the model says, not the prompt before it
    #[arg(long, conflicts_with = "dialogue")]
    pub(crate) no_prompt: bool,
    /// Play both sides of a dialogue that begins with the prompt, turn by turn
    #[arg(long)]
    pub(crate) dialogue: bool,
    /// Let the dialogue's assistant look things up in this SQLite file [default: tables.sqlite in the run, if there
    /// is one]
    #[arg(long, value_name = "FILE", requires = "dialogue")]
    pub(crate) tables: Option<PathBuf>,
    /// Turns of a dialogue at most, the first of them the prompt
    #[arg(long, value_name = "N", default_value_t = 10, requires = "dialogue")]
    pub(crate) turns: usize,
    /// Follow this many continuations and print the likeliest: nothing is drawn, penalties, biases and stop strings
    /// count
    #[arg(long, value_name = "N",
        conflicts_with_all = ["dialogue", "temperature", "top_k", "top_p", "min_p", "context", "log_probs"])]
    pub(crate) beams: Option<usize>,
    /// Exponent of the length that beams' log-probabilities are divided by
    #[arg(long, value_name = "A", default_value_t = 1.0, requires = "beams", allow_negative_numbers = true)]
    pub(crate) length_penalty: f32,
    /// Log-probabilities of every token and of the N likeliest, in the JSON object
    #[arg(long, value_name = "N", requires = "json", conflicts_with = "dialogue")]
    pub(crate) log_probs: Option<usize>,
    /// Start from this state of the prompt if the file exists, and write it: a prompt is read once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dialogue", "beams"])]
    pub(crate) prompt_cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
    /// Print one JSON object instead of streaming
    #[arg(long)]
    pub(crate) json: bool,
}

/// As many images as a picture holds.
fn images() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u16).range(1..=100).map(usize::from)
}
