//! Whole Hugging Face language models: hidden states, logits, loss, every parameter's gradient.

use std::sync::Arc;

use reformer_lsh::{BucketCount, Rotations};
use reformer_model::sublayer::Shape;
use reformer_model::{Batch, Model, Pass};
use reformer_reversible::{Block, Streams};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::fixture::model::{model, rotations};
use reformer_testing::fixture::{Report, Tensors};

/// One round: round-off through a whole model.
const ALLOWANCE: f64 = 1e-4;
/// Several rounds: the peers' rounding of lone rows (see the module above).
const ROUNDS: f64 = 5e-3;

pub(super) fn allowance(rounds: usize) -> f64 {
    if rounds == 1 { ALLOWANCE } else { ROUNDS }
}

/// Bucket counts as Hugging Face sets them at the first input, if the config does not.
fn count(model: &Model, len: usize) -> Result<BucketCount, String> {
    let config = model.config();
    match config.num_buckets {
        Some(_) => Ok(config.buckets().clone()),
        None => {
            BucketCount::automatic(len, config.lsh_attn_chunk_length, Some(config.max_position_embeddings))
                .map_err(|e| e.to_string())
        }
    }
}

fn given(
    model: &Model,
    tensors: &Tensors,
    name: impl Fn(usize) -> String,
    len: usize,
) -> Result<Vec<Vec<Rotations>>, String> {
    let config = model.config();
    let layers = config.attn_layers.iter().filter(|&&kind| kind == reformer_model::Kind::Lsh).count();
    let count = count(model, len)?;
    (0..layers).map(|i| rotations(tensors, &name(i), config.num_attention_heads, &count)).collect()
}

fn ids(tensors: &Tensors) -> Result<(usize, usize, Vec<u32>), String> {
    let shape = tensors.shape("input_ids")?;
    Ok((shape[0], shape[1], tensors.i64("input_ids")?.iter().map(|&id| id as u32).collect()))
}

pub(crate) fn hf_model_lm(config: &serde_json::Value, tensors: &Tensors) -> Result<Report, String> {
    let text = |e: reformer_model::ModelError| e.to_string();
    let cpu = Cpu::single();
    let model = model(config, tensors)?;
    let (rows, len, inputs) = ids(tensors)?;
    let mask = tensors.mask("attention_mask")?;
    let rotations = given(&model, tensors, |i| format!("rotations_{i}"), len)?;
    let pass = Pass { rotations: Some(Arc::new(rotations)), ..Pass::evaluation() };
    let allowance = allowance(model.config().num_hashes);
    let valid = |row: usize| mask.as_ref().is_none_or(|mask| mask[row]);
    let mut report = Report::default();

    let logits = model.logits(&cpu, &inputs, rows, len, mask.as_deref(), &pass).map_err(text)?;
    let vocab = model.config().vocab_size;
    let of_valid = |width: usize| move |i: usize| valid(i / width).then_some(allowance);
    report.compare_where("logits", logits.as_slice(), tensors.f32("logits")?, of_valid(vocab));

    hidden_states(&model, &cpu, (rows, len, &inputs, mask.as_deref()), &pass, &mut |layer, hidden| {
        let name = format!("hidden_{layer}");
        report.compare_where(&name, hidden.as_slice(), tensors.f32(&name)?, of_valid(hidden.cols()));
        Ok(())
    })?;

    let (mut targets, mut weights) = (vec![0; inputs.len()], vec![0.0; inputs.len()]);
    for (i, &label) in tensors.i64("labels")?.iter().enumerate() {
        // Position t predicts label t + 1; -100 is ignored.
        if i % len > 0 && label >= 0 {
            (targets[i - 1], weights[i - 1]) = (label as u32, 1.0);
        }
    }
    let batch = Batch { rows, len, inputs, targets, weights, mask: mask.clone() };
    let scale = (1.0 / batch.weight()) as f32;
    let mut gradients = model.parameters().zeros_like();
    let loss = model
        .forward_backward(&cpu, &batch, &pass, scale, &mut |group, gradient| {
            gradients.groups_mut()[group].data_mut().copy_from_slice(gradient.data());
        })
        .map_err(text)?;
    report.compare("loss", &[loss.mean() as f32], tensors.f32("loss")?, allowance);
    let same = model.evaluate(&cpu, &batch, &pass).map_err(text)?;
    report.note("loss without gradients", (same.mean() - loss.mean()).abs(), 1e-6);
    for (name, _, gradient) in gradients.iter() {
        let name = format!("grad.{name}");
        if tensors.has(&name) {
            report.compare(&name, gradient, tensors.f32(&name)?, allowance);
        } else if gradient.iter().any(|&g| g != 0.0) {
            return Err(format!("{name} is not in the fixture, but not zero here"));
        }
    }
    Ok(report)
}

/// Calls `see` with the second stream before each block and after the last.
fn hidden_states(
    model: &Model,
    cpu: &Cpu,
    (rows, len, inputs, mask): (usize, usize, &[u32], Option<&[bool]>),
    pass: &Pass,
    see: &mut dyn FnMut(usize, &Matrix) -> Result<(), String>,
) -> Result<(), String> {
    let text = |e: reformer_model::ModelError| e.to_string();
    let first = model.embed(cpu, inputs, rows, len).map_err(text)?;
    let mut streams = Streams { second: first.clone(), first };
    for layer in 0..model.config().layers() {
        see(layer, &streams.second)?;
        let block = model.block(layer, Shape { rows, len, mask }, pass).map_err(text)?;
        block.forward(cpu, &mut streams).map_err(text)?;
    }
    see(model.config().layers(), &streams.second)
}

pub(crate) fn hf_eval(config: &serde_json::Value, tensors: &Tensors) -> Result<Report, String> {
    let cpu = Cpu::single();
    let model = model(config, tensors)?;
    let (rows, len, inputs) = ids(tensors)?;
    let mut report = Report::default();
    let rounds: Vec<usize> = tensors
        .0
        .keys()
        .filter_map(|name| name.strip_prefix("logits_h").and_then(|n| n.parse().ok()))
        .collect();
    for rounds in rounds {
        let rotations = given(&model, tensors, |_| format!("rotations_h{rounds}"), len)?;
        let pass = Pass { rotations: Some(Arc::new(rotations)), ..Pass::evaluation() };
        let logits = model.logits(&cpu, &inputs, rows, len, None, &pass).map_err(|e| e.to_string())?;
        let name = format!("logits_h{rounds}");
        report.compare(&name, logits.as_slice(), tensors.f32(&name)?, allowance(rounds));
    }
    Ok(report)
}
