//! `[model]`: the few numbers a model's shape hangs on, and the Hugging Face configuration they stand for.
//!
//! Shapes that have to fit together are chosen here: the axial shape covers `max_positions`, bucket counts are even,
//! the layer pattern repeats to `layers` entries.

use reformer_lsh::BucketCount;
use reformer_model::config::{Buckets, Config, Fields, Kind, PositionKind, TokenIds};
use serde::Serialize;

use super::RecipeError;
use super::document::Document;

/// How positions are embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// Two short tables, one for each factor of the length.
    Axial,
    /// One vector a position.
    Learned,
    /// Fixed sines and cosines.
    Sinusoidal,
}

/// `[model]`, with every `auto` resolved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelRecipe {
    /// Width of each of the two residual streams.
    pub hidden_size: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head.
    pub head_size: usize,
    /// Width of the feed-forward layers.
    pub feed_forward_size: usize,
    /// Rows of the word table and of the head, where they are to be more than the tokenizer has tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_rows: Option<usize>,
    /// The layers' attention: `lsh`, `local` or `full`, one a layer.
    pub attn_layers: Vec<String>,
    /// Rounds of hashing.
    pub num_hashes: usize,
    /// Buckets of a round, single or factored.
    pub num_buckets: Vec<usize>,
    /// Positions of an LSH chunk.
    pub chunk_length: usize,
    /// Positions of a local chunk.
    pub local_chunk_length: usize,
    /// Chunks before its own that a position sees.
    pub chunks_before: usize,
    /// Whether an LSH query sees its own bucket only (the paper's definition).
    pub same_bucket_only: bool,
    /// Whether a key met in several rounds counts once (the paper's definition).
    pub duplicate_correction: bool,
    /// How positions are embedded.
    pub positions: Positions,
    /// The longest context the model has positions for.
    pub max_positions: usize,
    /// Factors of the axial tables; empty for other positions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub axial_shape: Vec<usize>,
    /// The share of the width that each axial table fills; empty for other positions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub axial_dims: Vec<usize>,
    /// `gelu`, `gelu_new`, `relu` …, as Hugging Face names them.
    pub activation: String,
    /// Dropout of hidden states and feed-forward layers.
    pub dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// Whether the head shares the embedding's table (transformers cannot load that).
    pub tie_embeddings: bool,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// New rotations every step instead of fixed ones.
    pub resample_rotations: bool,
}

impl ModelRecipe {
    pub(super) fn read(doc: &mut Document, length: usize) -> Result<Self, RecipeError> {
        let hidden_size = doc.size("model.hidden_size", 256, 1)?;
        let heads = doc.size("model.heads", if hidden_size % 64 == 0 { hidden_size / 64 } else { 1 }, 1)?;
        let head_size = match doc.size_or_auto("model.head_size", 1)? {
            Some(size) => size,
            None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                let is = format!("got {heads} heads for hidden_size {hidden_size}");
                return Err(doc.illegal("model.heads", is, "choose a divisor of it, or set model.head_size"));
            }
        };
        let feed_forward_size = doc.size("model.feed_forward_size", 4 * hidden_size, 1)?;
        let attn_layers = layers(doc)?;
        let chunk_length = doc.size("model.chunk_length", 64, 1)?;
        let num_buckets = match doc.sizes_or_auto("model.num_buckets", 2)? {
            Some(factors) => factors,
            None => automatic_buckets(length, chunk_length),
        };
        if let Some(odd) = num_buckets.iter().find(|factor| *factor % 2 == 1) {
            let then = "a hash picks one of h directions and their opposites, so every factor must be even";
            return Err(doc.illegal("model.num_buckets", format_args!("got the odd number {odd}"), then));
        }
        let kinds = [
            ("axial", Positions::Axial),
            ("learned", Positions::Learned),
            ("sinusoidal", Positions::Sinusoidal),
        ];
        let positions = doc.choice("model.positions", Positions::Axial, &kinds)?;
        let max_positions = doc.size("model.max_positions", length, 1)?;
        if max_positions < length {
            let is = format!("got {max_positions} for rows of length {length}");
            return Err(doc.illegal("model.max_positions", is, format_args!("must be at least {length}")));
        }
        let (axial_shape, axial_dims) = axial(doc, positions, max_positions, hidden_size)?;
        let activations = ["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu"];
        let choices = activations.map(|name| (name, name));
        let probability = |doc: &mut Document, key| {
            let rate = doc.number(key, 0.0, 0.0, 1.0)?;
            // The kernels take it as f32, in which 0.99999999 is 1 and nothing would be left.
            if (rate as f32) < 1.0 {
                return Ok(rate);
            }
            let then =
                if rate < 1.0 { "must be below 1 in f32 too: at most 0.9999999" } else { "must be below 1" };
            Err(doc.illegal(key, format_args!("got {rate}"), then))
        };
        Ok(Self {
            hidden_size,
            heads,
            head_size,
            feed_forward_size,
            vocab_rows: doc.size_or_auto("model.vocab_rows", 1)?,
            attn_layers,
            num_hashes: doc.size("model.num_hashes", 2, 1)?,
            num_buckets,
            chunk_length,
            local_chunk_length: doc.size("model.local_chunk_length", chunk_length, 1)?,
            chunks_before: doc.size("model.chunks_before", 1, 0)?,
            same_bucket_only: doc.flag("model.same_bucket_only", true)?,
            duplicate_correction: doc.flag("model.duplicate_correction", true)?,
            positions,
            max_positions,
            axial_shape,
            axial_dims,
            activation: doc.choice("model.activation", "gelu", &choices)?.to_owned(),
            dropout: probability(doc, "model.dropout")?,
            attention_dropout: probability(doc, "model.attention_dropout")?,
            tie_embeddings: doc.flag("model.tie_embeddings", false)?,
            initializer_range: doc.number("model.initializer_range", 0.02, 0.0, 10.0)?,
            resample_rotations: doc.flag("model.resample_rotations", false)?,
        })
    }

    /// The Hugging Face configuration of this shape.
    pub fn config(&self, tokens: ModelTokens, seed: u64) -> Result<Config, RecipeError> {
        let kinds = self.attn_layers.iter().map(|layer| match layer.as_str() {
            "lsh" => Kind::Lsh,
            "full" => Kind::Full,
            _ => Kind::Local,
        });
        let vocab_size = self.vocab_rows.unwrap_or(tokens.vocab_size);
        if vocab_size < tokens.vocab_size {
            let message = format!(
                "model.vocab_rows: got {vocab_size} for a tokenizer of {} tokens; raise it, or leave it out",
                tokens.vocab_size
            );
            return Err(RecipeError::Model(message));
        }
        let mut fields = Fields {
            vocab_size,
            pad_token_id: Some(tokens.pad),
            eos_token_id: tokens.end.map(TokenIds::One),
            hidden_size: self.hidden_size,
            num_attention_heads: self.heads,
            attention_head_size: self.head_size,
            feed_forward_size: self.feed_forward_size,
            attn_layers: kinds.collect(),
            num_hashes: self.num_hashes,
            num_buckets: Some(match self.num_buckets[..] {
                [single] => Buckets::Single(single),
                _ => Buckets::Factored(self.num_buckets.clone()),
            }),
            hash_seed: Some((seed >> 1) as i64),
            lsh_attn_chunk_length: self.chunk_length,
            lsh_num_chunks_before: self.chunks_before,
            local_attn_chunk_length: self.local_chunk_length,
            local_num_chunks_before: self.chunks_before,
            lsh_same_bucket_only: self.same_bucket_only,
            lsh_duplicate_correction: self.duplicate_correction,
            max_position_embeddings: self.max_positions,
            position_embedding_type: Some(match self.positions {
                Positions::Axial => PositionKind::Axial,
                Positions::Learned => PositionKind::Learned,
                Positions::Sinusoidal => PositionKind::Sinusoidal,
            }),
            axial_pos_embds: self.positions == Positions::Axial,
            hidden_act: self.activation.clone(),
            hidden_dropout_prob: self.dropout,
            lsh_attention_probs_dropout_prob: self.attention_dropout,
            local_attention_probs_dropout_prob: self.attention_dropout,
            tie_word_embeddings: self.tie_embeddings,
            initializer_range: self.initializer_range,
            // Hugging Face starts positions at 1.0, fifty times the tokens' 0.02, and has to unlearn it.
            axial_norm_std: self.initializer_range,
            ..Fields::paper()
        };
        if self.positions == Positions::Axial {
            fields.axial_pos_shape.clone_from(&self.axial_shape);
            fields.axial_pos_embds_dim.clone_from(&self.axial_dims);
        }
        Config::check(fields).map_err(|error| RecipeError::Model(error.to_string()))
    }
}

/// What a model has to know of its tokenizer.
#[derive(Clone, Copy, Debug)]
pub struct ModelTokens {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// The padding token.
    pub pad: u32,
    /// The token that ends a dialogue, if there is one.
    pub end: Option<u32>,
}

/// Layers at most: each has a name and tensors of its own.
const MOST_LAYERS: usize = 1 << 16;

/// `attn_layers`, repeated to `layers` entries if that is given.
fn layers(doc: &mut Document) -> Result<Vec<String>, RecipeError> {
    let key = "model.attn_layers";
    let pattern = doc.texts(key, &["local", "lsh"])?;
    if pattern.is_empty() {
        return Err(doc.illegal(
            key,
            "got an empty list",
            "name at least one of \"lsh\", \"local\", \"full\"",
        ));
    }
    if let Some(other) = pattern.iter().find(|name| !["lsh", "local", "full"].contains(&name.as_str())) {
        let is = format!("got \"{other}\"");
        return Err(doc.illegal(key, is, "each layer is one of \"lsh\", \"local\", \"full\""));
    }
    let count = doc.size("model.layers", pattern.len(), 1)?;
    if count > MOST_LAYERS {
        let is = format!("got {count}");
        return Err(doc.illegal("model.layers", is, format_args!("must be at most {MOST_LAYERS}")));
    }
    Ok(pattern.iter().cycle().take(count).cloned().collect())
}

/// A power of two near one bucket a chunk: one number up to 256, as a single hash finds more neighbours than a
/// factored one of as many buckets; beyond that small factors, as columns of rotations get dear.
fn automatic_buckets(length: usize, chunk_length: usize) -> Vec<usize> {
    let power = length.div_ceil(chunk_length).next_power_of_two().ilog2();
    if power <= 8 { vec![1 << power.max(1)] } else { BucketCount::balanced(power).factors().to_vec() }
}

/// The axial tables' factors, nearest to square, and their widths.
fn axial(
    doc: &mut Document,
    positions: Positions,
    max_positions: usize,
    hidden_size: usize,
) -> Result<(Vec<usize>, Vec<usize>), RecipeError> {
    let shape = doc.sizes_or_auto("model.axial_shape", 1)?;
    let dims = doc.sizes_or_auto("model.axial_dims", 1)?;
    if positions != Positions::Axial {
        return Ok((Vec::new(), Vec::new()));
    }
    let shape = if let Some(shape) = shape {
        shape
    } else {
        let first = (1..=max_positions).find(|first| first * first >= max_positions).unwrap_or(1);
        // A power of two keeps the two factors of usual lengths exact.
        let first = first.next_power_of_two();
        vec![first, max_positions.div_ceil(first)]
    };
    let covered = shape.iter().fold(1usize, |all, &factor| all.saturating_mul(factor));
    if covered < max_positions {
        let is = format!("got {shape:?}, which covers {covered} positions of {max_positions}");
        return Err(doc.illegal("model.axial_shape", is, "raise a factor, or write \"auto\""));
    }
    let dims = match dims {
        Some(dims) => dims,
        None if shape.len() == 1 => vec![hidden_size],
        None => {
            // As trax and Hugging Face split it: a quarter, then the rest.
            let mut dims = vec![(hidden_size / (2 * shape.len())).max(1); shape.len() - 1];
            dims.push(hidden_size.saturating_sub(dims.iter().sum()));
            dims
        }
    };
    let together = dims.iter().fold(0usize, |all, &width| all.saturating_add(width));
    if dims.len() != shape.len() || together != hidden_size || dims.contains(&0) {
        let is = format!("got {dims:?} for {} factors and hidden_size {hidden_size}", shape.len());
        return Err(doc.illegal(
            "model.axial_dims",
            is,
            "write one width a factor, adding up to hidden_size",
        ));
    }
    Ok((shape, dims))
}
