//! Counts of tokens, by the model's own tokenizer.

use serde::Serialize;
use utoipa::ToSchema;

/// Tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Of the prompts.
    pub(crate) prompt_tokens: usize,
    /// Of all replies.
    pub(crate) completion_tokens: usize,
    /// Both.
    pub(crate) total_tokens: usize,
    pub(crate) prompt_tokens_details: PromptDetails,
}

/// What became of the prompts' tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PromptDetails {
    /// Read for an earlier request, and not again.
    pub(crate) cached_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize, cached_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens },
        }
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
