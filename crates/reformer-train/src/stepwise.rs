//! How far decoding is from the forward pass: the same tokens predicted both ways.
//!
//! ```text
//! forward   log p(t | context) of every token of a row in one pass, as in training
//! steps     the same row read token by token through a decode state (teacher forcing)
//! Δ         their difference, in nats a token
//! ```
//! Local and full layers compute the same both ways. LSH layers do not where a bucket holds more than a chunk: the
//! forward pass cuts it at chunk borders, a step sees its latest members ([`reformer_model::DecodeState`]). Beside
//! the loss itself, Δ tells whether a model that was trained the one way may be used the other way.

use reformer_model::config::Kind;
use reformer_model::{Batch, DecodeOptions, DecodeState, Decoder, Model, Packed, Pass};
use reformer_tensor::{Cpu, Precision};
use reformer_text::{Dialogue, Tokenizer};
use serde::Serialize;

use crate::error::TrainError;
use crate::packing::{Corpus, Weighting};

/// What to compare.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions<'p> {
    /// Tokens of a row.
    pub len: usize,
    /// Rows at most; all of them step together.
    pub rows: usize,
    /// What LSH layers compute both ways, if not LSH.
    pub attention: Option<Kind>,
    /// Number type of the state.
    pub storage: Precision,
    /// Packed weights for the steps.
    pub packed: Option<&'p Packed>,
}

/// What came of it, in nats a token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepComparison {
    /// Tokens of a row.
    pub length: usize,
    /// Tokens predicted both ways.
    pub tokens: usize,
    /// Loss of the forward pass.
    pub forward_loss: f64,
    /// Loss of the steps.
    pub step_loss: f64,
    /// Mean of |Δ log p|.
    pub mean_difference: f64,
    /// Mean of |Δ log p| over the last quarter of the rows, where the context is longest.
    pub mean_difference_late: f64,
    /// The largest.
    pub worst_difference: f64,
    /// Bytes of one row's state at its end.
    pub state_bytes: usize,
}

/// Predicts up to `rows` rows of `len` tokens both ways.
pub fn compare_steps(
    cpu: &Cpu,
    model: &Model,
    tokenizer: &Tokenizer,
    dialogues: &[Dialogue],
    options: &CompareOptions<'_>,
) -> Result<StepComparison, TrainError> {
    let corpus = Corpus::encode(tokenizer, dialogues, tokenizer.form(), Weighting::ALL, "evaluation")?;
    let (tokens, len) = (corpus.tokens(), options.len.max(1));
    let rows: Vec<&[u32]> = tokens.windows(len + 1).step_by(len).take(options.rows.max(1)).collect();
    if rows.is_empty() {
        return Err(TrainError::ShortCorpus { tokens: tokens.len(), len });
    }
    let pass = Pass { attention: options.attention, ..Pass::evaluation() };
    let mut forward = Vec::with_capacity(rows.len() * len);
    for row in &rows {
        forward.extend(model.token_losses(cpu, &Batch::next_token(1, len, row), &pass)?);
    }
    let state = DecodeOptions { attention: options.attention, storage: options.storage, undo: 0 };
    let decoder = Decoder::new(model).with_packed(options.packed).with_options(state);
    let mut states: Vec<DecodeState> = rows.iter().map(|_| decoder.state()).collect();
    let mut steps = vec![0.0; rows.len() * len];
    for t in 0..len {
        let inputs: Vec<u32> = rows.iter().map(|row| row[t]).collect();
        let mut at_work: Vec<&mut DecodeState> = states.iter_mut().collect();
        let logits = decoder.step_many(cpu, &mut at_work, &inputs)?;
        for (r, row) in rows.iter().enumerate() {
            steps[r * len + t] = loss(logits.row(r), row[t + 1]);
        }
    }
    Ok(report(len, &forward, &steps, states[0].bytes()))
}

/// `−log p(target)`.
fn loss(logits: &[f32], target: u32) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
    (f64::from(max) + sum.ln() - f64::from(logits[target as usize])) as f32
}

fn report(len: usize, forward: &[f32], steps: &[f32], state_bytes: usize) -> StepComparison {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (mut sum, mut count) = (0.0, 0);
        for value in values {
            sum += value;
            count += 1;
        }
        sum / f64::from(count.max(1))
    };
    let difference = |i: usize| (f64::from(forward[i]) - f64::from(steps[i])).abs();
    let all = 0..forward.len();
    StepComparison {
        length: len,
        tokens: forward.len(),
        forward_loss: mean(&mut forward.iter().map(|&x| f64::from(x))),
        step_loss: mean(&mut steps.iter().map(|&x| f64::from(x))),
        mean_difference: mean(&mut all.clone().map(difference)),
        mean_difference_late: mean(
            &mut all.clone().filter(|i| i % len >= len - len.div_ceil(4)).map(difference),
        ),
        worst_difference: all.map(difference).fold(0.0, f64::max),
        state_bytes,
    }
}

#[cfg(test)]
mod tests {
    use reformer_model::config::{Config, Fields};
    use reformer_text::{Role, Turn};

    use super::*;

    #[test]
    fn exact_layers_agree_both_ways_and_hashing_ones_where_buckets_fit_a_chunk() {
        let tokenizer = Tokenizer::bytes();
        let dialogue = |i: usize| {
            let turns = vec![
                Turn::new(Role::User, format!("train {i}?")),
                Turn::new(Role::Assistant, "At noon, platform nine."),
            ];
            Dialogue::new(i.to_string(), turns)
        };
        let dialogues: Vec<Dialogue> = (0..12).map(dialogue).collect();
        let fields = Fields {
            vocab_size: tokenizer.vocab_size(),
            hidden_size: 16,
            num_attention_heads: 2,
            attention_head_size: 8,
            feed_forward_size: 32,
            attn_layers: vec![Kind::Local, Kind::Lsh],
            axial_pos_shape: vec![16, 16],
            axial_pos_embds_dim: vec![8, 8],
            initializer_range: 0.3,
            ..Fields::paper()
        };
        let model = Model::new(Config::check(fields).unwrap(), 1);
        let options =
            CompareOptions { len: 100, rows: 3, attention: None, storage: Precision::F32, packed: None };
        let cpu = Cpu::single();
        let got = compare_steps(&cpu, &model, &tokenizer, &dialogues, &options).unwrap();
        assert_eq!((got.length, got.tokens), (100, 300));
        assert!(got.worst_difference < 1e-3, "{got:?}");
        let full = CompareOptions { attention: Some(Kind::Full), len: 200, ..options };
        let full = compare_steps(&cpu, &model, &tokenizer, &dialogues, &full).unwrap();
        assert!(full.worst_difference < 1e-3 && full.forward_loss > 1.0, "{full:?}");
        let long = CompareOptions { len: 100_000, ..options };
        assert!(compare_steps(&cpu, &model, &tokenizer, &dialogues, &long).is_err());
    }
}
