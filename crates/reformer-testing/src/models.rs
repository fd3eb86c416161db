//! Tiny models with large weights, so that their outputs are not all alike, and token rows for them.

use reformer_model::config::{Buckets, Config, Fields, Kind, PositionKind};
use reformer_model::{Batch, Model};

/// Two heads of 8, three layers of all kinds, chunks of 8.
pub fn fields() -> Fields {
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

/// The model of these fields, its weights drawn.
///
/// # Panics
/// If they are not legal.
pub fn model(fields: Fields) -> Model {
    Model::new(Config::check(fields).expect("test fields are legal"), 11)
}

/// Sinusoidal positions, so that any length fits.
pub fn endless(fields: Fields) -> Fields {
    Fields { position_embedding_type: Some(PositionKind::Sinusoidal), ..fields }
}

/// Some token ids below 29.
pub fn ids(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * i * 7 + i * (seed + 3) + seed * 5) % 29) as u32).collect()
}

/// Next-token rows.
pub fn batch(rows: usize, len: usize, seed: usize) -> Batch {
    Batch::next_token(rows, len, &ids(rows * (len + 1), seed))
}
