//! `/v1/chat/completions`: what is asked, the answer, and the chunks of a stream.

use reformer_text::{ChatMessage, Lookup};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::log_probs::ChatLogProbs;
use super::tools::ToolCall;
use super::usage::{Tally, Usage};
use crate::fields::Count;

/// A conversation whose next turn is wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChatFields {
    /// The turns so far.
    #[schema(schema_with = super::schemas::messages)]
    pub(crate) messages: Vec<ChatMessage>,
    /// The newer name of `max_tokens`.
    #[schema(value_type = Option<u64>)]
    pub(crate) max_completion_tokens: Option<Count>,
    /// Whether to tell log-probabilities.
    pub(crate) logprobs: Option<bool>,
    /// Likeliest tokens to tell in each place; needs `logprobs`.
    #[schema(value_type = Option<u64>, maximum = 20)]
    pub(crate) top_logprobs: Option<Count>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
    pub(crate) id: String,
    /// `chat.completion`.
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    /// The program that made it.
    pub(crate) system_fingerprint: &'static str,
    pub(crate) choices: Vec<ChatChoice>,
    pub(crate) usage: Usage,
}

/// A reply.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatChoice {
    pub(crate) index: usize,
    pub(crate) message: Message,
    pub(crate) logprobs: Option<ChatLogProbs>,
    /// `stop`, `length` or `tool_calls`.
    pub(crate) finish_reason: &'static str,
}

/// What the model says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    /// `assistant`.
    pub(crate) role: &'static str,
    /// Null if it calls.
    pub(crate) content: Option<String>,
    /// Always null: nothing is refused.
    pub(crate) refusal: Option<String>,
    /// What the client is to run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
    /// What the server has looked up for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub(crate) lookups: Vec<Lookup>,
}

/// A chunk of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatChunk {
    pub(crate) id: String,
    /// `chat.completion.chunk`.
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: &'static str,
    pub(crate) choices: Vec<ChunkChoice>,
    /// Only there if it is wanted: null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub(crate) usage: Option<Tally>,
}

/// What a chunk adds to a reply.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChunkChoice {
    pub(crate) index: usize,
    pub(crate) delta: Delta,
    pub(crate) logprobs: Option<ChatLogProbs>,
    /// Null but in a reply's last chunk.
    pub(crate) finish_reason: Option<&'static str>,
}

/// What is new.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
    /// What the server has looked up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub(crate) lookups: Vec<Lookup>,
}
