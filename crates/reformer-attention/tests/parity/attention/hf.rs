//! `LSHSelfAttention` and `LocalSelfAttention` of transformers: projections without output projection.

use reformer_attention::{Inputs, Layout, LocalConfig, LshConfig, Visibility};
use reformer_lsh::{BucketCount, Buckets};
use reformer_tensor::Matrix;
use reformer_testing::fixture::{Report, Tensors};
use serde_json::Value;

use super::{
    Attended, attend, compare_rows, compare_weight, count, flag, lone_weight, matrix, product, sum,
    transposed,
};

fn layout(config: &Value, tensors: &Tensors) -> Result<Layout, String> {
    let shape = tensors.shape("hidden_states")?;
    let heads = count(config, "num_attention_heads", 1);
    Ok(Layout { batch: shape[0], len: shape[1], heads, head_dim: count(config, "attention_head_size", 64) })
}

/// Compares a module's output and the gradients of its input and weights.
fn compare(
    tensors: &Tensors,
    layout: Layout,
    attended: &Attended,
    projections: &[(&str, &Matrix)],
) -> Result<Report, String> {
    let mask = tensors.mask("attention_mask")?;
    let token = |row: usize| mask.as_ref().is_none_or(|m| m[row]);
    let lone = |row: usize| attended.lone(layout, row);
    let hidden = matrix(tensors, "hidden_states")?;
    // Head gradients are the module's: there is no output projection.
    let dout = matrix(tensors, "grad_out")?;
    let mut report = Report::default();
    compare_rows(&mut report, "out", (&attended.out, tensors.f32("out")?), lone, token);
    let mut parts = Vec::new();
    for (name, dy) in projections {
        let weight = matrix(tensors, &format!("{name}.weight"))?;
        parts.push(product(dy.view(), weight.view()));
        let dw = product(transposed(dy.view()).view(), hidden.view());
        let slack = lone_weight(&dout, &hidden, lone);
        let key = format!("grad_{name}.weight");
        compare_weight(&mut report, &key, (&dw, tensors.f32(&key)?), Some(&slack));
    }
    let dx = sum(&parts.iter().collect::<Vec<_>>());
    compare_rows(&mut report, "grad_hidden_states", (&dx, tensors.f32("grad_hidden_states")?), lone, |_| {
        true
    });
    Ok(report)
}

fn project(tensors: &Tensors, name: &str) -> Result<Matrix, String> {
    let weight = matrix(tensors, &format!("{name}.weight"))?;
    Ok(product(matrix(tensors, "hidden_states")?.view(), transposed(weight.view()).view()))
}

pub fn lsh(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let layout = layout(config, tensors)?;
    let chunk = count(config, "lsh_attn_chunk_length", 64);
    let settings = LshConfig {
        visibility: Visibility::CAUSAL.with_causal(flag(config, "is_decoder")?),
        chunks_before: count(config, "lsh_num_chunks_before", 1),
        chunks_after: count(config, "lsh_num_chunks_after", 0),
        ..LshConfig::hugging_face(chunk)
    };
    let buckets = buckets(config, tensors, layout, chunk)?;
    let mask = tensors.mask("attention_mask")?;
    let (qk, v) = (project(tensors, "query_key")?, project(tensors, "value")?);
    let inputs = Inputs::shared(qk.view(), v.view()).with_tokens(mask.as_deref());
    let attended = attend(settings, layout, &inputs, &buckets, matrix(tensors, "grad_out")?.view())?;
    compare(tensors, layout, &attended, &[("query_key", &attended.dq), ("value", &attended.dv)])
}

/// Hugging Face's buckets carry the round's offset; with anything masked there is a pad bucket.
fn buckets(config: &Value, tensors: &Tensors, layout: Layout, chunk: usize) -> Result<Vec<Buckets>, String> {
    if !tensors.has("buckets") {
        return Ok(Vec::new());
    }
    let total = match &config["num_buckets"] {
        Value::Number(n) => n.as_u64().unwrap_or(0) as usize,
        Value::Array(factors) => factors.iter().map(|f| f.as_u64().unwrap_or(0) as usize).product(),
        _ => {
            let most = config["max_position_embeddings"].as_u64().map(|n| n as usize);
            BucketCount::automatic(layout.len, chunk, most).map_err(|e| e.to_string())?.total()
        }
    };
    let masked = tensors.mask("attention_mask")?.is_some_and(|m| m.contains(&false));
    let (rounds, num_buckets) = (tensors.shape("buckets")?[2], total + usize::from(masked));
    let ids = tensors.i64("buckets")?;
    let of_head = |ids: &[i64]| {
        let plain =
            ids.iter().enumerate().map(|(e, &id)| (id as usize - e / layout.len * num_buckets) as u32);
        Buckets::given(rounds, layout.len, num_buckets, plain.collect()).map_err(|e| e.to_string())
    };
    ids.chunks_exact(rounds * layout.len).map(of_head).collect()
}

pub fn local(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let layout = layout(config, tensors)?;
    let chunk = count(config, "local_attn_chunk_length", 64);
    let settings = LocalConfig {
        chunks_before: count(config, "local_num_chunks_before", 1),
        chunks_after: count(config, "local_num_chunks_after", 0),
        ..LocalConfig::hugging_face(chunk, flag(config, "is_decoder")?)
    };
    let mask = tensors.mask("attention_mask")?;
    let (q, k, v) = (project(tensors, "query")?, project(tensors, "key")?, project(tensors, "value")?);
    let inputs = Inputs::separate(q.view(), k.view(), v.view()).with_tokens(mask.as_deref());
    let attended = attend(settings, layout, &inputs, &[], matrix(tensors, "grad_out")?.view())?;
    let projections = [("query", &attended.dq), ("key", &attended.dk), ("value", &attended.dv)];
    compare(tensors, layout, &attended, &projections)
}
