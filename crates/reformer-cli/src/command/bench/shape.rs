//! A model's shape as typed, made a checked configuration.

use reformer::model::config::{Buckets, ChunkWrap, Fields, KeyNormKind, PositionKind};
use reformer::model::{Config, Kind};
use serde_json::{Value, json};

use super::{automatic_buckets, fits, positive};
use crate::args::bench::{KindChoice, ModelShape, SemanticsChoice};
use crate::exit::usage;

/// The configuration for rows of up to `length` tokens: axial positions of two nearly equal factors, buckets by the
/// automatic rule for that length.
pub(super) fn config(shape: &ModelShape, length: usize) -> anyhow::Result<Config> {
    positive(&[
        ("--layers", shape.layers),
        ("--d-model", shape.d_model),
        ("--num-heads", shape.num_heads),
        ("--vocab", shape.vocab),
        ("--num-hashes", shape.num_hashes),
        ("--chunk-length", shape.chunk_length),
        ("--length", length),
    ])?;
    let (h, heads) = (shape.d_model, shape.num_heads);
    if !h.is_multiple_of(heads) || h < 2 {
        return Err(usage(anyhow::anyhow!(
            "--d-model {h} is not {heads} heads of one width: it must be an even multiple of --num-heads"
        )));
    }
    let ff = feed_forward(shape);
    positive(&[("--d-ff", ff)])?;
    // Before anything is allocated: products of typed numbers overflow.
    let weights = shape.layers as f64 * h as f64 * (4.0 * h as f64 + 2.0 * ff as f64)
        + 3.0 * h as f64 * shape.vocab as f64;
    fits("a model of this shape", 4.0 * weights, "--layers, --d-model, --d-ff or --vocab")?;
    fits("the streams of a row", 8.0 * h as f64 * length as f64, "--length or --d-model")?;
    let first = 1 << (length.next_power_of_two().trailing_zeros().div_ceil(2));
    let kind = |choice: &KindChoice| match choice {
        KindChoice::Lsh => Kind::Lsh,
        KindChoice::Local => Kind::Local,
        KindChoice::Full => Kind::Full,
    };
    let buckets = automatic_buckets(length, shape.chunk_length, shape.semantics)?;
    let mut fields = Fields {
        vocab_size: shape.vocab,
        pad_token_id: Some(0),
        eos_token_id: None,
        hidden_size: h,
        num_attention_heads: heads,
        attention_head_size: h / heads,
        feed_forward_size: ff,
        attn_layers: shape.kinds.iter().map(kind).cycle().take(shape.layers).collect(),
        num_hashes: shape.num_hashes,
        num_buckets: Some(Buckets::Factored(buckets.factors().to_vec())),
        lsh_attn_chunk_length: shape.chunk_length,
        local_attn_chunk_length: shape.chunk_length,
        position_embedding_type: Some(PositionKind::Axial),
        axial_pos_shape: vec![first, length.div_ceil(first)],
        axial_pos_embds_dim: vec![h / 2, h - h / 2],
        max_position_embeddings: length,
        ..Fields::paper()
    };
    if shape.semantics != SemanticsChoice::Paper {
        fields.lsh_same_bucket_only = false;
        fields.lsh_duplicate_correction = false;
        fields.lsh_chunk_wrap = ChunkWrap::Circular;
        fields.lsh_exact_below = (shape.semantics != SemanticsChoice::HuggingFace).then_some(0);
    }
    if shape.semantics == SemanticsChoice::Lucid {
        fields.lsh_key_norm = KeyNormKind::UnitScaled;
    }
    Config::check(fields).map_err(usage)
}

fn feed_forward(shape: &ModelShape) -> usize {
    shape.d_ff.unwrap_or(4 * shape.d_model)
}

/// The shape as JSON keys, named as the flags.
pub(super) fn parameters(shape: &ModelShape, config: &Config) -> Value {
    json!({
        "layers": shape.layers,
        "d_model": shape.d_model,
        "d_ff": feed_forward(shape),
        "num_heads": shape.num_heads,
        "vocab": shape.vocab,
        "num_hashes": shape.num_hashes,
        "num_buckets": config.buckets().factors(),
        "chunk_length": shape.chunk_length,
        "kinds": config.attn_layers,
        "semantics": shape.semantics.name(),
    })
}

/// The shape in words.
pub(super) fn words(shape: &ModelShape) -> String {
    let kinds: Vec<&str> = shape.kinds.iter().map(|kind| kind.name()).collect();
    format!(
        "{} layers ({}), d {}, ff {}, {} heads, vocab {}, {} rounds, chunks of {}, {}, semantics: {}",
        shape.layers,
        kinds.join(","),
        shape.d_model,
        feed_forward(shape),
        shape.num_heads,
        shape.vocab,
        shape.num_hashes,
        shape.chunk_length,
        shape.dtype.name(),
        shape.semantics.name(),
    )
}
