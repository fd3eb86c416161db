//! What a generation is asked for, and the part of a prompt that the model's positions hold.

use reformer_model::Model;
use serde::Serialize;

use crate::error::{GenerateError, Result};
use crate::sampling::Sampling;

/// What to do when the sequence reaches the model's last position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextPolicy {
    /// A prompt that does not fit is an error; a reply ends at the last position.
    #[default]
    Refuse,
    /// The oldest part is dropped and counted in [`Completion::dropped_tokens`](crate::Completion::dropped_tokens).
    Slide,
}

/// One generation, wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Every token before the reply.
    pub prompt: &'a [u32],
    /// The sampling chain's settings, `max_tokens` and stop strings.
    pub sampling: &'a Sampling,
    /// Tokens that end the reply and are not part of it.
    pub stop_tokens: &'a [u32],
    /// Address of the first draw; a session counts on, so that a regenerated reply differs.
    pub first_draw: u64,
    /// What to do when positions run out.
    pub policy: ContextPolicy,
    /// Log-probabilities of every token and of this many likeliest ones.
    pub log_probs: Option<usize>,
}

impl<'a> Request<'a> {
    /// A reply to `prompt`: first draw, no stop tokens, a full context refused, no log-probabilities.
    pub fn new(prompt: &'a [u32], sampling: &'a Sampling) -> Self {
        let policy = ContextPolicy::Refuse;
        Self { prompt, sampling, stop_tokens: &[], first_draw: 0, policy, log_probs: None }
    }
}

/// Positions of a model; sinusoidal ones have no end.
pub(crate) fn positions(model: &Model) -> usize {
    model.config().position_limit().unwrap_or(usize::MAX)
}

/// The part of the prompt that fits, leaving at least one position for the reply.
pub(crate) fn fit<'p>(model: &Model, prompt: &'p [u32], policy: ContextPolicy) -> Result<&'p [u32]> {
    let (limit, vocab_size) = (positions(model), model.config().vocab_size);
    if prompt.is_empty() {
        return Err(GenerateError::EmptyPrompt);
    }
    if let Some(&token) = prompt.iter().find(|token| **token as usize >= vocab_size) {
        return Err(GenerateError::TokenOutOfRange { token, vocab_size });
    }
    if prompt.len() < limit {
        return Ok(prompt);
    }
    match policy {
        ContextPolicy::Refuse => Err(GenerateError::ContextLength { prompt: prompt.len(), limit }),
        // Sliding keeps the newest half, so that the reply has room before it must slide again.
        ContextPolicy::Slide => Ok(&prompt[prompt.len() - (limit / 2).max(1)..]),
    }
}
