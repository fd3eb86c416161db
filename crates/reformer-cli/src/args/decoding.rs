//! How to draw and how to decode: the flags that `generate` and `chat` share.

use clap::{Args, ValueEnum};
use reformer::tensor::Precision;

use super::{AttentionChoice, precision};

/// The sampling settings, spelled as in generation_config.json.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Divides the logits; 0 always takes the most likely token [default: 0.8]
    #[arg(long, visible_alias = "temp", value_name = "T", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f32>,
    /// Keep the K most likely tokens; 0 keeps all [default: 40]
    #[arg(long, visible_alias = "top_k", value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Keep the smallest set of tokens that reaches this probability [default: 0.95]
    #[arg(long, visible_alias = "top_p", value_name = "P", allow_negative_numbers = true)]
    pub(crate) top_p: Option<f32>,
    /// Keep tokens at least this fraction as likely as the best one [default: 0.05]
    #[arg(long, visible_alias = "min_p", value_name = "P", allow_negative_numbers = true)]
    pub(crate) min_p: Option<f32>,
    /// Makes tokens already seen less likely; 1 is off [default: 1]
    #[arg(long, visible_alias = "repetition_penalty", value_name = "F", allow_negative_numbers = true)]
    pub(crate) repetition_penalty: Option<f32>,
    /// Subtracted from the logit of a token already seen [default: 0]
    #[arg(long, visible_alias = "presence_penalty", value_name = "F", allow_negative_numbers = true)]
    pub(crate) presence_penalty: Option<f32>,
    /// Subtracted for each time a token was seen [default: 0]
    #[arg(long, visible_alias = "frequency_penalty", value_name = "F", allow_negative_numbers = true)]
    pub(crate) frequency_penalty: Option<f32>,
    /// Tokens that the penalties look back on; 0 is all [default: 64]
    #[arg(long, visible_alias = "repeat_last_n", value_name = "N")]
    pub(crate) repeat_last_n: Option<usize>,
    /// Added to the logits of tokens, a JSON object: '{"42": -100}' forbids one, 100 demands it
    #[arg(long, visible_alias = "logit_bias", value_name = "JSON")]
    pub(crate) logit_bias: Option<String>,
    /// The most tokens to generate [default: 512]
    #[arg(short = 'n', long, visible_aliases = ["max_tokens", "max-new-tokens"], value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// A string that ends the text and is not part of it; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// When the context is full: refuse, or slide (drop the oldest part, and say so)
    #[arg(long, value_name = "POLICY")]
    pub(crate) context: Option<ContextChoice>,
}

/// In which numbers to decode.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Decoding")]
pub(crate) struct DecodingArgs {
    /// Number type of the weights: bf16 halves what a token must read, and rounds
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = precision())]
    pub(crate) weights: Precision,
    /// Number type of remembered keys and values: bf16 halves the memory of a long context
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = precision())]
    pub(crate) cache: Precision,
    /// What LSH layers attend to: the query's buckets, everything (exact, slower with every token), or nothing
    #[arg(long, value_name = "KIND", default_value = "lsh")]
    pub(crate) attention: AttentionChoice,
}

/// What to do when the context is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ContextChoice {
    /// A prompt that does not fit is an error.
    Refuse,
    /// The oldest part is dropped.
    Slide,
}
