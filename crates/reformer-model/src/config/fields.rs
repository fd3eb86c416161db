//! The keys of `config.json` with their types and defaults, one table.
//!
//! Knows how a value is read and written; which values go together is `check.rs`.

use serde_json::{Map, Value, json};

use crate::error::{ModelError, Result};

/// What a layer attends with (`attn_layers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Shared query-key LSH attention.
    Lsh,
    /// Chunks with neighbours.
    Local,
    /// Every position (ours; Hugging Face has no such layer).
    Full,
}

impl Kind {
    /// The projections of a layer of this kind, as Hugging Face names their tensors.
    pub const fn projections(self) -> &'static [&'static str] {
        match self {
            Self::Lsh => &["query_key", "value"],
            Self::Local | Self::Full => &["query", "key", "value"],
        }
    }
}

/// How positions enter (`position_embedding_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionKind {
    /// Factored tables, one per axis.
    Axial,
    /// One table of `max_position_embeddings` rows.
    Learned,
    /// Fixed sines and cosines.
    Sinusoidal,
}

/// How LSH chunks look across the ends of the sorted list (`lsh_chunk_wrap`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkWrap {
    /// Chunk 0 of a round looks back into the last chunk of the round before, as trax and Hugging Face.
    Circular,
    /// A round's first chunk has nothing before it.
    Bounded,
}

/// How the tables of the position axes become one encoding (`axial_pos_combine`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AxialCombine {
    /// Side by side; the widths sum to `hidden_size`. Hugging Face's, and trax's.
    Concat,
    /// Added up; every table is `hidden_size` wide. The default of reformer-pytorch.
    Sum,
}

/// How the shared query-key vector becomes a key (`lsh_key_norm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyNormKind {
    /// `x/√(mean(x²) + 1e-6)/√d`: Hugging Face and trax.
    Rms,
    /// `x/‖x‖` with scores times `1/√d`: reformer-pytorch.
    UnitScaled,
}

/// `num_buckets`: one number or its factors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Buckets {
    /// A single count.
    Single(usize),
    /// Mixed radix, first factor the low digit.
    Factored(Vec<usize>),
}

/// A token id or several (`eos_token_id`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    /// One.
    One(u32),
    /// Several.
    Many(Vec<u32>),
}

/// Keys left out of the file when they say nothing.
const OPTIONAL: [&str; 5] =
    ["lsh_exact_below", "lm_head_bias", "position_embedding_type", "dtype", "transformers_version"];

macro_rules! fields {
    ($($(#[$doc:meta])+ $name:ident : $type:ty = $default:expr, $expected:literal;)+) => {
        /// Every key, unchecked. `Default` is Hugging Face's default of each.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Fields {
            $($(#[$doc])+ pub $name: $type,)+
            /// Keys this crate does not know, kept as they came.
            pub unknown: Map<String, Value>,
        }

        impl Default for Fields {
            fn default() -> Self {
                Self { $($name: $default,)+ unknown: Map::new() }
            }
        }

        impl Fields {
            /// Reads a JSON object; absent keys get Hugging Face's defaults.
            pub fn from_map(mut map: Map<String, Value>) -> Result<Self> {
                let mut fields = Self::default();
                $(if let Some(value) = map.shift_remove(stringify!($name)) {
                    let got = brief(&value);
                    fields.$name = serde_json::from_value(value)
                        .map_err(|_| ModelError::config(stringify!($name), got, $expected))?;
                })+
                fields.unknown = map;
                Ok(fields)
            }

            /// The JSON object of these fields. Optional keys that say nothing (null) are left out.
            pub fn to_map(&self) -> Map<String, Value> {
                let mut map = Map::new();
                $(map.insert(stringify!($name).into(), json!(self.$name));)+
                for key in OPTIONAL {
                    if map.get(key).is_some_and(Value::is_null) {
                        map.shift_remove(key);
                    }
                }
                map.extend(self.unknown.clone());
                map
            }
        }
    };
}

fields! {
    /// Hugging Face's class names; the first decides which heads a loader expects.
    architectures: Option<Vec<String>> = Some(vec!["ReformerModelWithLMHead".into()]), "a list of class names or null";
    /// Always `reformer`.
    model_type: String = "reformer".into(), "\"reformer\"";
    /// Head size d.
    attention_head_size: usize = 64, "a positive integer";
    /// The attention of each block, in order.
    attn_layers: Vec<Kind> = [Kind::Local, Kind::Lsh].repeat(3), "a list of \"local\", \"lsh\" and \"full\"";
    /// Number of blocks; always the length of `attn_layers` (null before checking).
    num_hidden_layers: Option<usize> = None, "the length of attn_layers";
    /// Standard deviation of fresh axial tables.
    axial_norm_std: f64 = 1.0, "a number >= 0";
    /// Axial positions; otherwise a learned table, unless `position_embedding_type` says more.
    axial_pos_embds: bool = true, "true or false";
    /// Sizes of the position axes, last one fastest.
    axial_pos_shape: Vec<usize> = vec![64, 64], "a list of positive integers";
    /// Width of each axis' table; they sum to `hidden_size`.
    axial_pos_embds_dim: Vec<usize> = vec![64, 192], "a list of positive integers";
    /// Tokens per piece of the head and loss (0: chosen from the vocabulary).
    chunk_size_lm_head: usize = 0, "an integer >= 0";
    /// Tokens per piece of the feed-forward layer (0: chosen).
    chunk_size_feed_forward: usize = 0, "an integer >= 0";
    /// First token of a text.
    bos_token_id: Option<u32> = None, "a token id or null";
    /// End of a text.
    eos_token_id: Option<TokenIds> = Some(TokenIds::One(2)), "a token id, a list of them or null";
    /// Padding.
    pad_token_id: Option<u32> = Some(0), "a token id or null";
    /// Width of the feed-forward layer.
    feed_forward_size: usize = 512, "a positive integer";
    /// Seed of the rotations (null: 0).
    hash_seed: Option<i64> = None, "an integer or null";
    /// Activation of the feed-forward layer.
    hidden_act: String = "relu".into(), "the name of an activation";
    /// Dropout of embeddings, sublayer outputs and the final norm.
    hidden_dropout_prob: f64 = 0.05, "a number in [0, 1)";
    /// Width of each stream.
    hidden_size: usize = 256, "a positive integer";
    /// Standard deviation of fresh weights.
    initializer_range: f64 = 0.02, "a number >= 0";
    /// Causal masks; a language model needs it.
    is_decoder: bool = false, "true or false";
    /// ε of every layer norm.
    layer_norm_eps: f64 = 1e-12, "a number > 0";
    /// Chunks before its own that a local layer sees.
    local_num_chunks_before: usize = 1, "an integer >= 0";
    /// Chunks after its own that a local layer sees.
    local_num_chunks_after: usize = 0, "an integer >= 0";
    /// Dropout of local (and full) attention probabilities.
    local_attention_probs_dropout_prob: f64 = 0.05, "a number in [0, 1)";
    /// Chunk of local layers.
    local_attn_chunk_length: usize = 64, "a positive integer";
    /// Chunk m of LSH layers.
    lsh_attn_chunk_length: usize = 64, "a positive integer";
    /// Dropout of LSH attention probabilities.
    lsh_attention_probs_dropout_prob: f64 = 0.0, "a number in [0, 1)";
    /// Chunks before its own that an LSH chunk sees.
    lsh_num_chunks_before: usize = 1, "an integer >= 0";
    /// Chunks after its own that an LSH chunk sees.
    lsh_num_chunks_after: usize = 0, "an integer >= 0";
    /// Rows of a learned position table.
    max_position_embeddings: usize = 4096, "a positive integer";
    /// Heads.
    num_attention_heads: usize = 12, "a positive integer";
    /// Buckets of a round: a number, factors, or null for the automatic rule.
    num_buckets: Option<Buckets> = None, "an even number, a list of even numbers or null";
    /// Hash rounds.
    num_hashes: usize = 1, "a positive integer";
    /// Size of the vocabulary.
    vocab_size: usize = 320, "a positive integer";
    /// Decoder = [E | E] of the word embeddings E (transformers cannot tie shapes [V, 2h] and [V, h]).
    tie_word_embeddings: bool = false, "true or false";
    /// transformers' own; kept.
    use_cache: bool = true, "true or false";
    /// transformers' own; kept.
    classifier_dropout: Option<f64> = None, "a number or null";
    /// transformers' own; kept.
    dtype: Option<Value> = None, "a type name";
    /// The transformers that wrote the file, if one did.
    transformers_version: Option<String> = None, "a version";
    /// Ours: a query sees only keys of its own bucket (P_i of equation 15).
    lsh_same_bucket_only: bool = false, "true or false";
    /// Ours: a pair that meets in N rounds counts once (log N of equation 16).
    lsh_duplicate_correction: bool = false, "true or false";
    /// Ours: chunks wrap around the sorted list or stop at a round's ends.
    lsh_chunk_wrap: ChunkWrap = ChunkWrap::Circular, "\"circular\" or \"bounded\"";
    /// Ours: how keys are made of the shared vectors.
    lsh_key_norm: KeyNormKind = KeyNormKind::Rms, "\"rms\" or \"unit_scaled\"";
    /// Ours: LSH layers attend exactly up to this length (null: one chunk, or two with `lsh_same_bucket_only`).
    lsh_exact_below: Option<usize> = None, "an integer >= 0 or null";
    /// Ours: how the position axes' tables are combined.
    axial_pos_combine: AxialCombine = AxialCombine::Concat, "\"concat\" or \"sum\"";
    /// Ours: how positions enter (null: by `axial_pos_embds`).
    position_embedding_type: Option<PositionKind> = None, "\"axial\", \"learned\", \"sinusoidal\" or null";
    /// Ours: add `lm_head.bias` (null: as the transformers that wrote the file).
    lm_head_bias: Option<bool> = None, "true, false or null";
    /// Ours: fresh output projections are scaled by 1/√(2·layers), which keeps a deep stack's streams near unit size.
    scaled_init: bool = false, "true or false";
}

impl Fields {
    /// The start of a model of our own: a causal language model with the paper's attention.
    pub fn paper() -> Self {
        Self {
            is_decoder: true,
            num_attention_heads: 4,
            num_hashes: 2,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-6,
            hidden_dropout_prob: 0.0,
            local_attention_probs_dropout_prob: 0.0,
            feed_forward_size: 1024,
            axial_norm_std: 0.02,
            lsh_same_bucket_only: true,
            lsh_duplicate_correction: true,
            lsh_chunk_wrap: ChunkWrap::Bounded,
            lm_head_bias: Some(false),
            scaled_init: true,
            ..Self::default()
        }
    }

    pub(crate) fn resolved_positions(&self) -> PositionKind {
        let by_flag = if self.axial_pos_embds { PositionKind::Axial } else { PositionKind::Learned };
        self.position_embedding_type.unwrap_or(by_flag)
    }

    pub(crate) fn written_before_5(&self) -> bool {
        let version = self.transformers_version.as_deref().unwrap_or_default();
        let major: Option<u32> = version.split('.').next().and_then(|m| m.parse().ok());
        major.is_none_or(|major| major < 5)
    }
}

/// A value short enough for an error message.
pub(super) fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}
