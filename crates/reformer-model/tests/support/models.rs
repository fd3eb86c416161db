//! Small models that several test files build on.

#![allow(dead_code, reason = "each including file uses the part it needs")]

use reformer_model::config::{Buckets, Config, Fields, Kind, PositionKind};
use reformer_model::{Batch, Model};

/// Two heads of 8, three layers of all kinds, chunks of 8.
pub(crate) fn fields() -> Fields {
    Fields {
        vocab_size: 29,
        hidden_size: 16,
        num_attention_heads: 2,
        attention_head_size: 8,
        feed_forward_size: 24,
        attn_layers: vec![Kind::Local, Kind::Lsh, Kind::Full],
        lsh_attn_chunk_length: 8,
        local_attn_chunk_length: 8,
        num_hashes: 2,
        num_buckets: Some(Buckets::Single(4)),
        axial_pos_shape: vec![8, 16],
        axial_pos_embds_dim: vec![6, 10],
        axial_norm_std: 0.3,
        initializer_range: 0.3,
        ..Fields::paper()
    }
}

pub(crate) fn model(fields: Fields) -> Model {
    Model::new(Config::check(fields).expect("test fields are legal"), 11)
}

/// Sinusoidal positions, so that any length fits.
pub(crate) fn endless(fields: Fields) -> Fields {
    Fields { position_embedding_type: Some(PositionKind::Sinusoidal), ..fields }
}

/// Some token ids.
pub(crate) fn ids(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * i * 7 + i * (seed + 3) + seed * 5) % 29) as u32).collect()
}

/// Next-token rows.
pub(crate) fn batch(rows: usize, len: usize, seed: usize) -> Batch {
    Batch::next_token(rows, len, &ids(rows * (len + 1), seed))
}

/// Largest difference, relative to the largest magnitude of `b`.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(f64::MIN_POSITIVE, |m, &x| m.max(f64::from(x).abs()));
    a.iter().zip(b).fold(0.0, |m: f64, (&x, &y)| m.max((f64::from(x) - f64::from(y)).abs())) / scale
}
