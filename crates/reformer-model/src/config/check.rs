//! Which values of [`Fields`] make a model, and the message for each that does not.

use reformer_lsh::BucketCount;
use reformer_tensor::activation::Activation;

use super::fields::{AxialCombine, Buckets, Fields, Kind, PositionKind};
use crate::error::{ModelError, Result};

/// Checks every field; gives the parsed activation and bucket count.
pub(super) fn check(fields: &Fields) -> Result<(Activation, BucketCount)> {
    if fields.model_type != "reformer" {
        let got = format!("{:?}", fields.model_type);
        return Err(ModelError::config("model_type", got, "\"reformer\": this is another model's config"));
    }
    positive(fields)?;
    numbers(fields)?;
    layers(fields)?;
    positions(fields)?;
    tokens(fields)?;
    let (activation, buckets) = (activation(&fields.hidden_act)?, buckets(fields)?);
    size(fields, &buckets)?;
    Ok((activation, buckets))
}

/// Parameters of the largest model that is believed: a petabyte of them, and products of sizes stay far from overflow.
const MOST_PARAMETERS: u128 = 1 << 48;
/// Numbers of all rotations at most; they are made anew whenever a model is opened and stand in no file.
const MOST_ROTATIONS: u128 = 1 << 32;
/// Rounds of hashing at most.
const MOST_ROUNDS: usize = 1 << 16;

/// What the shape asks for, by formula, before anything of it is allocated.
fn size(f: &Fields, buckets: &BucketCount) -> Result<()> {
    let wide = |n: usize| n as u128;
    let (v, h, ff) = (wide(f.vocab_size), wide(f.hidden_size), wide(f.feed_forward_size));
    let (heads, head_size, layers) =
        (wide(f.num_attention_heads), wide(f.attention_head_size), wide(f.attn_layers.len()));
    let positions = match f.resolved_positions() {
        PositionKind::Axial => {
            f.axial_pos_shape.iter().zip(&f.axial_pos_embds_dim).map(|(&n, &d)| wide(n) * wide(d)).sum()
        }
        PositionKind::Learned => wide(f.max_position_embeddings) * h,
        PositionKind::Sinusoidal => 0,
    };
    let parameters = 3 * v * h + positions + layers * (4 * h * heads * head_size + 2 * h * ff);
    if parameters > MOST_PARAMETERS {
        let what = format!(
            "the parameters of vocab_size {v}, hidden_size {h}, {heads} heads of {head_size}, feed_forward_size {ff}, {layers} \
             layers and {positions} of positions"
        );
        return Err(ModelError::TooLarge { what, numbers: parameters, limit: MOST_PARAMETERS });
    }
    let hashing = wide(f.attn_layers.iter().filter(|&&kind| kind == Kind::Lsh).count());
    let columns = wide(buckets.rotation_columns());
    let rotations = hashing * heads * wide(f.num_hashes) * head_size * columns;
    if rotations > MOST_ROTATIONS {
        let what = format!(
            "the rotations of num_hashes {} in {heads} heads of {head_size} for num_buckets {:?} and {hashing} layers",
            f.num_hashes,
            buckets.factors()
        );
        return Err(ModelError::TooLarge { what, numbers: rotations, limit: MOST_ROTATIONS });
    }
    Ok(())
}

fn positive(f: &Fields) -> Result<()> {
    for (key, value) in [
        ("attention_head_size", f.attention_head_size),
        ("feed_forward_size", f.feed_forward_size),
        ("hidden_size", f.hidden_size),
        ("local_attn_chunk_length", f.local_attn_chunk_length),
        ("lsh_attn_chunk_length", f.lsh_attn_chunk_length),
        ("max_position_embeddings", f.max_position_embeddings),
        ("num_attention_heads", f.num_attention_heads),
        ("num_hashes", f.num_hashes),
        ("vocab_size", f.vocab_size),
    ] {
        if value == 0 {
            return Err(ModelError::config(key, 0, "at least 1"));
        }
        // Products of two sizes are indices everywhere; 2³¹ keeps them far from overflow.
        if value >= 1 << 31 {
            return Err(ModelError::config(key, value, "less than 2147483648"));
        }
    }
    Ok(())
}

fn numbers(f: &Fields) -> Result<()> {
    for (key, rate) in [
        ("hidden_dropout_prob", f.hidden_dropout_prob),
        ("local_attention_probs_dropout_prob", f.local_attention_probs_dropout_prob),
        ("lsh_attention_probs_dropout_prob", f.lsh_attention_probs_dropout_prob),
    ] {
        // The kernels take it as f32, in which 0.99999999 is 1 and nothing would be left.
        if !(0.0..1.0).contains(&rate) || rate as f32 >= 1.0 {
            return Err(ModelError::config(key, rate, "a number in [0, 1), 1 left out in f32 too"));
        }
    }
    for (key, value) in [("initializer_range", f.initializer_range), ("axial_norm_std", f.axial_norm_std)] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(ModelError::config(key, value, "a finite number >= 0"));
        }
    }
    if !(f.layer_norm_eps > 0.0 && f.layer_norm_eps.is_finite()) {
        return Err(ModelError::config("layer_norm_eps", f.layer_norm_eps, "a finite number > 0"));
    }
    Ok(())
}

fn layers(f: &Fields) -> Result<()> {
    let layers = f.attn_layers.len();
    if layers == 0 {
        return Err(ModelError::config("attn_layers", "[]", "at least one of \"local\", \"lsh\", \"full\""));
    }
    if let Some(got) = f.num_hidden_layers.filter(|&n| n != layers) {
        return Err(ModelError::config(
            "num_hidden_layers",
            got,
            format!("{layers}, the length of attn_layers"),
        ));
    }
    if f.num_hashes > MOST_ROUNDS {
        return Err(ModelError::config("num_hashes", f.num_hashes, format!("at most {MOST_ROUNDS}")));
    }
    for (key, chunks) in [
        ("lsh_num_chunks_before", f.lsh_num_chunks_before),
        ("lsh_num_chunks_after", f.lsh_num_chunks_after),
        ("local_num_chunks_before", f.local_num_chunks_before),
        ("local_num_chunks_after", f.local_num_chunks_after),
    ] {
        if chunks > 1 << 16 {
            return Err(ModelError::config(key, chunks, "at most 65536"));
        }
    }
    Ok(())
}

fn positions(f: &Fields) -> Result<()> {
    match f.resolved_positions() {
        PositionKind::Axial => {
            let (shape, dims) = (&f.axial_pos_shape, &f.axial_pos_embds_dim);
            if shape.is_empty() || shape.contains(&0) {
                return Err(ModelError::config(
                    "axial_pos_shape",
                    format!("{shape:?}"),
                    "one or more positive sizes",
                ));
            }
            if shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).is_none_or(|p| p >= 1 << 31) {
                return Err(ModelError::config(
                    "axial_pos_shape",
                    format!("{shape:?}"),
                    "a product below 2147483648",
                ));
            }
            if dims.len() != shape.len() {
                let expected =
                    format!("{} numbers, one per factor of axial_pos_shape {shape:?}", shape.len());
                return Err(ModelError::config("axial_pos_embds_dim", format!("{dims:?}"), expected));
            }
            if f.axial_pos_combine == AxialCombine::Sum {
                if dims.iter().any(|&d| d != f.hidden_size) {
                    let expected = format!(
                        "hidden_size {} for every axis, as axial_pos_combine is \"sum\"",
                        f.hidden_size
                    );
                    return Err(ModelError::config("axial_pos_embds_dim", format!("{dims:?}"), expected));
                }
                return Ok(());
            }
            let sum = dims.iter().fold(0usize, |a, &b| a.saturating_add(b));
            if dims.contains(&0) || sum != f.hidden_size {
                let expected = format!("positive widths that sum to hidden_size {}", f.hidden_size);
                return Err(ModelError::config(
                    "axial_pos_embds_dim",
                    format!("{dims:?}, sum {sum}"),
                    expected,
                ));
            }
        }
        PositionKind::Sinusoidal if !f.hidden_size.is_multiple_of(2) => {
            return Err(ModelError::config(
                "hidden_size",
                f.hidden_size,
                "an even number with sinusoidal positions",
            ));
        }
        PositionKind::Learned | PositionKind::Sinusoidal => {}
    }
    Ok(())
}

fn tokens(f: &Fields) -> Result<()> {
    if let Some(id) = f.pad_token_id.filter(|&id| id as usize >= f.vocab_size) {
        return Err(ModelError::config(
            "pad_token_id",
            id,
            format!("an id below vocab_size {}", f.vocab_size),
        ));
    }
    Ok(())
}

fn activation(name: &str) -> Result<Activation> {
    match name {
        "relu" => Ok(Activation::Relu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => {
            let expected = "relu, gelu, gelu_new, gelu_fast or gelu_pytorch_tanh";
            Err(ModelError::config("hidden_act", format!("{other:?}"), expected))
        }
    }
}

fn buckets(f: &Fields) -> Result<BucketCount> {
    let refuse = |got: String| {
        let expected = "an even number >= 2, a list of such factors, or null \
                        (a vector falls to one of b/2 directions or to its opposite)";
        ModelError::config("num_buckets", got, expected)
    };
    match &f.num_buckets {
        Some(Buckets::Single(count)) => BucketCount::new(&[*count]).map_err(|_| refuse(count.to_string())),
        Some(Buckets::Factored(factors)) => {
            BucketCount::new(factors).map_err(|_| refuse(format!("{factors:?}")))
        }
        None => {
            let longest = match f.resolved_positions() {
                PositionKind::Axial => f.axial_pos_shape.iter().product(),
                _ => f.max_position_embeddings,
            };
            Ok(BucketCount::automatic(longest, f.lsh_attn_chunk_length, Some(f.max_position_embeddings))?)
        }
    }
}
