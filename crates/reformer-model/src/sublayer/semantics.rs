//! Which attention a layer computes: from the config's keys to [`Attention`].
//!
//! The only place where config keys become [`LshConfig`], [`LocalConfig`] and [`FullConfig`].

use reformer_attention::{
    Attention, Duplicates, ExactLength, FullConfig, KeyNorm, Keys, LocalConfig, LshConfig, Visibility, Wrap,
};

use crate::config::{ChunkWrap, Config, KeyNormKind, Kind};

/// The attention of a layer for sequences of `len` tokens; `instead` is what LSH layers compute if not LSH.
pub(crate) fn attention(config: &Config, layer: usize, len: usize, instead: Option<Kind>) -> Attention {
    let own = config.attn_layers[layer];
    let kind = if own == Kind::Lsh { instead.unwrap_or(own) } else { own };
    let norm = match config.lsh_key_norm {
        KeyNormKind::Rms => KeyNorm::Rms,
        KeyNormKind::UnitScaled => KeyNorm::UnitScaled,
    };
    let keys = if own == Kind::Lsh { Keys::Shared(norm) } else { Keys::Separate };
    let dropout = match own {
        Kind::Lsh => config.lsh_attention_probs_dropout_prob,
        Kind::Local | Kind::Full => config.local_attention_probs_dropout_prob,
    } as f32;
    let wrap = match config.lsh_chunk_wrap {
        ChunkWrap::Circular => Wrap::Circular,
        ChunkWrap::Bounded => Wrap::Bounded,
    };
    // Foreign semantics let padded queries attend; where the paper's hold, nobody reads them and they cost nothing.
    let masked = wrap == Wrap::Bounded;
    let visibility = Visibility::CAUSAL.with_causal(config.is_decoder).with_masked_queries(masked);
    match kind {
        Kind::Lsh => {
            let correct = config.lsh_duplicate_correction;
            Attention::Lsh(LshConfig {
                chunk_length: config.lsh_attn_chunk_length,
                chunks_before: config.lsh_num_chunks_before,
                chunks_after: config.lsh_num_chunks_after,
                wrap,
                visibility,
                same_bucket: config.lsh_same_bucket_only,
                duplicates: if correct { Duplicates::Correct } else { Duplicates::Keep },
                keys: norm,
                dropout,
                exact: match config.lsh_exact_below {
                    Some(length) => ExactLength::UpTo(length),
                    None if config.lsh_same_bucket_only => ExactLength::Reach,
                    // Hugging Face's rule.
                    None => ExactLength::UpTo(config.lsh_attn_chunk_length),
                },
            })
        }
        Kind::Local => {
            // One chunk has no neighbours: round a circle of one it would see itself twice.
            let short = len <= config.local_attn_chunk_length;
            let chunks = |n: usize| if short { 0 } else { n };
            Attention::Local(LocalConfig {
                chunk_length: config.local_attn_chunk_length,
                chunks_before: chunks(config.local_num_chunks_before),
                chunks_after: chunks(config.local_num_chunks_after),
                wrap,
                visibility,
                keys,
                dropout,
            })
        }
        Kind::Full => Attention::Full(FullConfig { visibility, keys, dropout }),
    }
}

/// The attention of a layer's steps. Length decides only whether a local layer has neighbours; a step finds that out
/// by itself.
pub(crate) fn of_steps(config: &Config, layer: usize, instead: Option<Kind>) -> Attention {
    attention(config, layer, usize::MAX, instead)
}

/// Number of projections: query_key and value, or query, key and value.
pub(crate) fn projections(attention: &Attention) -> usize {
    if attention.keys().are_shared() { 2 } else { 3 }
}

/// Bytes of attention's own scratch in the reverse pass for some rows and heads: tiles of a fixed size and, for each
/// head of a row at work, `D`, and where a list is sorted its order, its inverse and the codes of where a position
/// meets others.
pub(crate) fn working_set(
    attention: &Attention,
    config: &Config,
    rows: usize,
    heads: usize,
    len: usize,
) -> usize {
    /// Heads at work: one a thread; the formula is for two threads, which more do not change by a per cent.
    const AT_WORK: usize = 2;
    let at_work = AT_WORK.min(rows * heads);
    let numbers = if attention.sorts(len) { len * (1 + 3 * config.num_hashes) } else { len };
    at_work * numbers * size_of::<u32>()
}
