//! Hugging Face's cached generation: the logits of the prompt and of every greedy step.
//!
//! Theirs is wrong for rows above the first of a batch, which attend to the first row's hidden states. Ours decodes the
//! rows together; the first is compared with theirs, and every row with itself alone.

use std::sync::Arc;

use reformer_lsh::BucketCount;
use reformer_model::{Decoder, Kind};
use reformer_tensor::Cpu;
use reformer_testing::fixture::{Report, Tensors};

use super::lm::allowance;
use reformer_testing::fixture::model::{model, rotations};

pub(crate) fn hf_generation(config: &serde_json::Value, tensors: &Tensors) -> Result<Report, String> {
    let text = |e: reformer_model::ModelError| e.to_string();
    let cpu = Cpu::single();
    let model = model(config, tensors)?;
    let config = model.config();
    let count: &BucketCount = config.buckets();
    let given = rotations(tensors, "rotations", config.num_attention_heads, count)?;
    let layers = config.attn_layers.iter().filter(|&&kind| kind == Kind::Lsh).count();
    let decoder = Decoder::new(&model).with_rotations(Arc::new(vec![given; layers])).map_err(text)?;

    let tokens = |name: &str| -> Result<(usize, Vec<u32>), String> {
        let ids = tensors.i64(name)?.iter().map(|&id| id as u32).collect();
        Ok((tensors.shape(name)?[1], ids))
    };
    let ((len, prompt), (steps, chosen)) = (tokens("prompt")?, tokens("tokens")?);
    let (rows, vocab) = (prompt.len() / len, config.vocab_size);
    let expected = tensors.f32("logits")?;
    let allowance = allowance(config.num_hashes);
    let mut report = Report::default();

    let mut states = Vec::new();
    for row in 0..rows {
        let mut state = decoder.state();
        let logits = decoder.prefill(&cpu, &mut state, &prompt[row * len..(row + 1) * len]).map_err(text)?;
        let theirs = &expected[row * steps * vocab..][..vocab];
        report.compare(&format!("logits after the prompt, row {row}"), &logits, theirs, allowance);
        states.push(state);
    }
    let mut alone = states.clone();
    for step in 1..steps {
        let ids: Vec<u32> = (0..rows).map(|row| chosen[row * steps + step - 1]).collect();
        let mut together: Vec<_> = states.iter_mut().collect();
        let logits = decoder.step_many(&cpu, &mut together, &ids).map_err(text)?;
        report.compare(
            &format!("logits of step {step}"),
            logits.row(0),
            &expected[step * vocab..][..vocab],
            allowance,
        );
        for (row, state) in alone.iter_mut().enumerate() {
            if decoder.step(&cpu, state, ids[row]).map_err(text)? != logits.row(row) {
                return Err(format!("row {row} of step {step} is not what it is alone"));
            }
        }
    }
    Ok(report)
}
