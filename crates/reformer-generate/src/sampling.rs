//! Sampling settings: what a person writes, and which of it is legal.
//!
//! Every field is spelled as the config key and the flag. [`Chain`](crate::Chain) makes rules of them.

use std::collections::BTreeMap;

use reformer_text::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::error::{GenerateError, Result};

/// A bias that forbids a token.
const NEVER: f32 = -1e9;

/// Sampling settings as a person writes them; [`Chain::new`](crate::Chain::new) checks them.
///
/// Defaults are those that llama.cpp and mistral.rs agree on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens already seen; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logit of a token already seen; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted once for each time a token was seen; 0 is off.
    pub frequency_penalty: f32,
    /// How many of the last tokens the penalties look at; 0 is all.
    pub repeat_last_n: usize,
    /// Added to the logits of single tokens: 100 all but demands one, −100 all but forbids it.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Seed of the draws.
    pub seed: u64,
    /// The most tokens to generate.
    pub max_tokens: usize,
    /// Strings that end the text; they are never part of it.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repeat_last_n: 64,
            logit_bias: BTreeMap::new(),
            seed: 0,
            max_tokens: 512,
            stop: Vec::new(),
        }
    }
}

impl Sampling {
    /// Forbids the tokens that begin a call of a tool, where nobody would answer one.
    pub fn forbid_calls(&mut self, tokenizer: &Tokenizer) {
        self.logit_bias.extend(tokenizer.call_tokens().into_iter().map(|token| (token, NEVER)));
    }

    /// Greedy decoding: always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}

pub(crate) fn check(s: &Sampling) -> Result<()> {
    let fault = |key, got: f32, expected| Err(GenerateError::Setting { key, got: got.to_string(), expected });
    if !(0.0..=100.0).contains(&s.temperature) {
        return fault("temperature", s.temperature, "between 0 (greedy) and 100");
    }
    if !(s.top_p > 0.0 && s.top_p <= 1.0) {
        return fault("top_p", s.top_p, "above 0 and at most 1 (1 keeps every token)");
    }
    if !(0.0..=1.0).contains(&s.min_p) {
        return fault("min_p", s.min_p, "between 0 (off) and 1");
    }
    if !(s.repetition_penalty > 0.0 && s.repetition_penalty.is_finite()) {
        return fault("repetition_penalty", s.repetition_penalty, "above 0 (1 is off)");
    }
    if !s.presence_penalty.is_finite() {
        return fault("presence_penalty", s.presence_penalty, "a number (0 is off)");
    }
    if !s.frequency_penalty.is_finite() {
        return fault("frequency_penalty", s.frequency_penalty, "a number (0 is off)");
    }
    if let Some(bias) = s.logit_bias.values().find(|bias| !bias.is_finite()) {
        return fault("logit_bias", *bias, "a number for each token (100 demands it, -100 forbids it)");
    }
    if s.stop.iter().any(String::is_empty) {
        return Err(GenerateError::Setting {
            key: "stop",
            got: "\"\"".into(),
            expected: "a string of at least one character",
        });
    }
    Ok(())
}
