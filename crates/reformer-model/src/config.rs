//! `config.json`, parsed once into a [`Config`] whose values cannot be wrong.
//!
//! Keys, defaults and meanings are Hugging Face's (`ReformerConfig`). The switches that Hugging Face has not are extra
//! keys; absent from a file they mean what Hugging Face computes, so that a foreign checkpoint keeps its semantics,
//! while [`Fields::paper`], the start of every model of our own, turns on the paper's definition (equations 15 and 16:
//! same bucket only, duplicates corrected). Keys that nobody here knows are kept and written back.
//!
//! Nothing rewrites a config later: `num_buckets: null` stays null in the file and is resolved by [`Config::buckets`].
//!
//! ```
//! use reformer_model::config::{Config, Fields, Kind};
//! let mut fields = Fields::paper();
//! fields.attn_layers = vec![Kind::Local, Kind::Lsh];
//! fields.axial_pos_shape = vec![32, 64];
//! let config = Config::check(fields)?;
//! assert_eq!(config.position_limit(), Some(2048));
//! # Ok::<(), reformer_model::ModelError>(())
//! ```

mod check;
mod fields;

use std::ops::Deref;
use std::path::Path;

use reformer_lsh::BucketCount;
use reformer_tensor::activation::Activation;

pub use fields::{AxialCombine, Buckets, ChunkWrap, Fields, KeyNormKind, Kind, PositionKind, TokenIds};

use crate::error::{ModelError, Result};

/// A checked configuration. Reads like [`Fields`] through `Deref`; made only by [`Config::check`] and
/// [`Config::from_json`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    fields: Fields,
    activation: Activation,
    buckets: BucketCount,
}

impl Deref for Config {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.fields
    }
}

impl Config {
    /// Checks every rule that ties the fields together.
    pub fn check(mut fields: Fields) -> Result<Self> {
        if fields.num_hidden_layers.is_none() {
            fields.num_hidden_layers = Some(fields.attn_layers.len());
        }
        let (activation, buckets) = check::check(&fields)?;
        Ok(Self { fields, activation, buckets })
    }

    /// Parses the text of a `config.json`.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| ModelError::ConfigSyntax(e.to_string()))?;
        let serde_json::Value::Object(map) = value else {
            return Err(ModelError::ConfigSyntax(format!("found {}", fields::brief(&value))));
        };
        Self::check(Fields::from_map(map)?)
    }

    /// Reads a `config.json`; every fault names the file.
    pub fn load(path: &Path) -> Result<Self> {
        crate::hf::load_config(path)
    }

    /// The text of a `config.json`: Hugging Face's keys, ours, then the unknown ones that came in.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(&self.fields.to_map()).expect("a map of plain values serialises");
        text.push('\n');
        text
    }

    /// The checked fields, to start another config from.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// `num_attention_heads · attention_head_size`, the width of the projections.
    pub fn attention_width(&self) -> usize {
        self.num_attention_heads * self.attention_head_size
    }

    /// The number of reversible blocks.
    pub fn layers(&self) -> usize {
        self.attn_layers.len()
    }

    /// Layers that hash, in forward order.
    pub(crate) fn lsh_layers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.layers()).filter(|&layer| self.attn_layers[layer] == Kind::Lsh)
    }

    /// Which of [`Config::lsh_layers`] `layer` is; `None` if it does not hash.
    pub(crate) fn lsh_index(&self, layer: usize) -> Option<usize> {
        self.lsh_layers().position(|lsh| lsh == layer)
    }

    /// `hidden_act`, parsed.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// The buckets of one round. `num_buckets: null` is resolved by Hugging Face's rule at the longest length that the
    /// positions allow, not at the first input's: the hash must not depend on what happened to come first.
    pub fn buckets(&self) -> &BucketCount {
        &self.buckets
    }

    /// How positions enter.
    pub fn positions(&self) -> PositionKind {
        self.fields.resolved_positions()
    }

    /// The longest sequence: axial product, learned table, or none.
    pub fn position_limit(&self) -> Option<usize> {
        match self.positions() {
            PositionKind::Axial => Some(self.axial_pos_shape.iter().product()),
            PositionKind::Learned => Some(self.max_position_embeddings),
            PositionKind::Sinusoidal => None,
        }
    }

    /// Fails if `len` positions do not exist.
    pub fn check_length(&self, len: usize) -> Result<()> {
        match self.position_limit() {
            Some(limit) if len > limit => {
                let key = match self.positions() {
                    PositionKind::Axial => "axial_pos_shape",
                    _ => "max_position_embeddings",
                };
                Err(ModelError::TooLong { len, limit, key })
            }
            _ => Ok(()),
        }
    }

    /// Whether `lm_head.bias` is added to the logits. A file that does not say: transformers before 5 added it,
    /// transformers 5 loads it and never adds it, so the version that wrote the file decides.
    pub fn adds_head_bias(&self) -> bool {
        self.lm_head_bias.unwrap_or_else(|| self.fields.written_before_5())
    }

    /// The length `len` is computed at. Only circular chunks (Hugging Face's) need whole chunks; then a length over the
    /// shortest chunk is padded, and masked, to the next multiple of all chunk lengths, as Hugging Face does in
    /// evaluation.
    pub fn padded_length(&self, len: usize) -> usize {
        let Some((shortest, multiple)) = self.chunk_multiple() else { return len };
        if len > shortest { len.div_ceil(multiple) * multiple } else { len }
    }

    fn chunk_multiple(&self) -> Option<(usize, usize)> {
        if self.lsh_chunk_wrap == ChunkWrap::Bounded {
            return None;
        }
        let lengths = self.attn_layers.iter().filter_map(|kind| match kind {
            Kind::Lsh => Some(self.lsh_attn_chunk_length),
            Kind::Local => Some(self.local_attn_chunk_length),
            Kind::Full => None,
        });
        let (mut shortest, mut multiple) = (usize::MAX, 1);
        for length in lengths {
            shortest = shortest.min(length);
            multiple = lcm(multiple, length);
        }
        (shortest != usize::MAX).then_some((shortest, multiple))
    }
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
