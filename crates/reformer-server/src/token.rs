//! A token of a reply.

use reformer_generate::LogProbs;

/// A token and what the model thought of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// If they were asked for.
    pub(crate) log_probs: Option<LogProbs>,
}
