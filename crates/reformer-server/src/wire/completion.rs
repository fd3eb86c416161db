//! `/v1/completions`: a text that is to go on, the answer, and the chunks of a stream.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::log_probs::CompletionLogProbs;
use super::usage::{Tally, Usage};
use crate::fields::Count;

/// A text that is to go on.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CompletionFields {
    /// A text, several, or token ids.
    #[schema(schema_with = super::schemas::prompts)]
    pub(crate) prompt: Prompts,
    /// Likeliest tokens to tell in each place, with log-probabilities.
    #[schema(value_type = Option<u64>, maximum = 20)]
    pub(crate) logprobs: Option<Count>,
    /// Whether the answer begins with the prompt.
    pub(crate) echo: Option<bool>,
    /// Only as many as `n`: replies are not ranked.
    #[schema(value_type = Option<u64>)]
    pub(crate) best_of: Option<Count>,
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// To be encoded.
    Text(String),
    /// Encoded.
    Ids(Vec<u32>),
}

/// A string, a list of strings, a list of ids, or a list of lists of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompts(pub(crate) Vec<Prompt>);

/// One element of a list of prompts.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a token id, or a list of token ids")]
enum Element {
    Id(u32),
    Text(String),
    Ids(Vec<u32>),
}

struct PromptsVisitor;

impl<'de> Visitor<'de> for PromptsVisitor {
    type Value = Prompts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list of strings, a list of token ids, or a list of such lists")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Prompts, E> {
        Ok(Prompts(vec![Prompt::Text(text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
        let (mut prompts, mut ids) = (Vec::new(), Vec::new());
        while let Some(element) = list.next_element()? {
            match element {
                Element::Id(id) => ids.push(id),
                Element::Text(text) => prompts.push(Prompt::Text(text)),
                Element::Ids(ids) => prompts.push(Prompt::Ids(ids)),
            }
            if !ids.is_empty() && !prompts.is_empty() {
                return Err(de::Error::custom("token ids stand among prompts; expected one or the other"));
            }
        }
        if !ids.is_empty() {
            prompts.push(Prompt::Ids(ids));
        }
        Ok(Prompts(prompts))
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptsVisitor)
    }
}

/// The answer; of a stream, each chunk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Completion {
    pub(crate) id: String,
    /// `text_completion`.
    pub(crate) object: &'static str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    /// The program that made it.
    pub(crate) system_fingerprint: &'static str,
    pub(crate) choices: Vec<CompletionChoice>,
    /// In chunks only there if it is wanted: null in all but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub(crate) usage: Option<Tally>,
}

/// A continuation, or a piece of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletionChoice {
    pub(crate) text: String,
    pub(crate) index: usize,
    pub(crate) logprobs: Option<CompletionLogProbs>,
    /// `stop` or `length`; null but in a reply's last chunk.
    pub(crate) finish_reason: Option<&'static str>,
}
