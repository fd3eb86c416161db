//! Log-probabilities: of a chat, a list of tokens; of a completion, lists side by side.

use reformer_generate::TokenLogProb;
use reformer_text::Tokenizer;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::token::Token;

/// Of a chat's reply, or of a piece of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatLogProbs {
    /// A token each.
    content: Vec<ChatLogProb>,
    /// Always null: nothing is refused.
    refusal: Option<String>,
}

/// Of a token, with the likeliest in its place.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatLogProb {
    #[serde(flatten)]
    chosen: Likely,
    /// The likeliest first.
    top_logprobs: Vec<Likely>,
}

/// A token and its log-probability, by the model itself: before temperature, penalties and truncation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Likely {
    /// Its text; of a piece of a character, the bytes' names.
    token: String,
    /// The natural logarithm of its probability.
    logprob: f32,
    /// Its bytes; null for a special token.
    bytes: Option<Vec<u8>>,
}

fn likely(tokenizer: &Tokenizer, one: TokenLogProb) -> Likely {
    let bytes = tokenizer.token_bytes(one.id);
    Likely {
        token: tokenizer.token_name(one.id),
        logprob: finite(one.log_prob),
        bytes: (!bytes.is_empty()).then_some(bytes),
    }
}

/// JSON has no infinity; OpenAI writes -9999 for what is next to impossible.
fn finite(log_prob: f32) -> f32 {
    log_prob.max(-9999.0)
}

impl ChatLogProbs {
    /// Of these tokens; `None` if they were not asked for.
    pub(crate) fn of(tokenizer: &Tokenizer, tokens: &[Token]) -> Option<Self> {
        let one = |token: &Token| {
            let told = token.log_probs.as_ref()?;
            let top_logprobs = told.top.iter().map(|&one| likely(tokenizer, one)).collect();
            Some(ChatLogProb { chosen: likely(tokenizer, told.chosen), top_logprobs })
        };
        let content: Vec<_> = tokens.iter().filter_map(one).collect();
        (!content.is_empty()).then_some(Self { content, refusal: None })
    }
}

/// Of a completion, or of a piece of it: lists of the same length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct CompletionLogProbs {
    /// Where each token's text begins, in characters, prompt included if it is echoed.
    text_offset: Vec<usize>,
    /// Log-probabilities of the tokens.
    token_logprobs: Vec<f32>,
    /// The tokens' texts.
    tokens: Vec<String>,
    /// The likeliest tokens in each place, by their texts.
    top_logprobs: Vec<Map<String, Value>>,
}

impl CompletionLogProbs {
    /// Of these tokens; `offset` is where the first one's text begins, and moves on. `None` if they were not asked for.
    pub(crate) fn of(tokenizer: &Tokenizer, tokens: &[Token], offset: &mut usize) -> Option<Self> {
        let mut told = Self::default();
        for token in tokens {
            let Some(log_probs) = &token.log_probs else { continue };
            told.text_offset.push(*offset);
            *offset += tokenizer.decode(&[token.id]).chars().count();
            told.token_logprobs.push(finite(log_probs.chosen.log_prob));
            told.tokens.push(tokenizer.token_name(token.id));
            let top = log_probs.top.iter();
            told.top_logprobs
                .push(top.map(|one| (tokenizer.token_name(one.id), finite(one.log_prob).into())).collect());
        }
        (!told.tokens.is_empty()).then_some(told)
    }
}
