//! `/v1/embeddings`: texts in, vectors out, as numbers or as their bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::completion::Prompts;
use crate::fields::Count;

/// Texts of which vectors are wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EmbeddingFields {
    /// A text, several, or token ids.
    #[schema(schema_with = super::schemas::prompts)]
    pub(crate) input: Prompts,
    /// The model, one of `/v1/models`; may be left out where there is only one.
    pub(crate) model: Option<String>,
    /// Numbers, or their bytes in base64: 32-bit floats, the lowest byte first.
    pub(crate) encoding_format: Option<Encoding>,
    /// Only as many as the model has.
    #[schema(value_type = Option<u64>)]
    pub(crate) dimensions: Option<Count>,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// Bytes.
    Base64,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingList {
    /// `list`.
    pub(crate) object: &'static str,
    pub(crate) data: Vec<Embedding>,
    pub(crate) model: String,
    pub(crate) usage: EmbeddingUsage,
}

/// A vector of length 1.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Embedding {
    /// `embedding`.
    pub(crate) object: &'static str,
    pub(crate) index: usize,
    #[serde(rename = "embedding")]
    pub(crate) vector: Vector,
}

/// A vector, written as asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Vector {
    /// Numbers.
    Float(Vec<f32>),
    /// Bytes in base64.
    Base64(String),
}

/// Tokens of all texts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingUsage {
    pub(crate) prompt_tokens: usize,
    pub(crate) total_tokens: usize,
}

impl Vector {
    pub(crate) fn new(numbers: Vec<f32>, encoding: Encoding) -> Self {
        match encoding {
            Encoding::Float => Self::Float(numbers),
            Encoding::Base64 => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                Self::Base64(STANDARD.encode(bytes))
            }
        }
    }
}
