//! Counts of tokens, by the model's own tokenizer.

use serde::Serialize;
use utoipa::ToSchema;

/// Tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
pub(crate) struct Usage {
    /// Of the prompts.
    pub(crate) prompt_tokens: usize,
    /// Of all replies.
    pub(crate) completion_tokens: usize,
    /// Both.
    pub(crate) total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}

/// Counts in a stream: in all chunks but the last they are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Tally {
    /// Null.
    #[schema(value_type = Option<bool>)]
    Later(()),
    /// Of the whole answer.
    Told(Usage),
}
