//! How well a model predicts a corpus: loss, perplexity, accuracy and bits per byte.
//!
//! All dialogues are joined in the file's order and every token, marks and ends included, is predicted exactly once
//! (what tools answered is read only, and counts neither here nor among the bytes):
//!
//! ```text
//! loss          = Σ −ln p(token | its context) / tokens              nats a token
//! bits per byte = Σ −log₂ p(token | its context) / UTF-8 bytes of the turns' texts
//! ```
//!
//! A bidirectional model sees the token it would have to predict, so it gets the loss it was trained by: one token in
//! seven is masked (about the 15 % of its training), in seven passes that mask each token once, and is predicted from
//! what stands on both sides. That is no code for a text, so it has no bits per byte; neither has a text with more than
//! one unknown token in a hundred, which are easy to guess and say nothing of what they stand for.
//!
//! Of images, which stand each for itself, a row is one, and what is counted are pixels.
//!
//! Marks cost bits and count no bytes, so tokenizers with different vocabularies, and models without marks, compare
//! fairly. Rows of `len` tokens follow each other without a gap, and the context of a row's first token is the last
//! token of the row before. A row's early tokens have little context; `stride < len` scores only the last `stride`
//! tokens of overlapping rows instead, which lowers the loss a little and costs len/stride times the work.

use reformer_images::Images;
use reformer_model::config::Kind;
use reformer_model::{Batch, LossReport, Model, Pass};
use reformer_tensor::Cpu;
use reformer_text::{Dialogue, Form, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::corpora::levels;
use crate::error::TrainError;
use crate::packing::{Corpus, Weighting};

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// Tokens of a row.
    pub len: usize,
    /// Rows of a pass.
    pub rows: usize,
    /// Tokens that a row scores, at most `len`; `len` by default.
    pub stride: Option<usize>,
    /// How dialogues are written; the tokenizer's own form by default.
    pub form: Option<Form>,
    /// Rounds of hashing, if not the model's.
    pub num_hashes: Option<usize>,
    /// What LSH layers compute, if not LSH.
    pub attention: Option<Kind>,
}

impl EvalOptions {
    /// Every token in rows of `len`, one at a time.
    pub fn rows_of(len: usize) -> Self {
        Self { len, rows: 1, stride: None, form: None, num_hashes: None, attention: None }
    }
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Mean nats a token.
    pub loss: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// Bits a UTF-8 byte of text; none of masked tokens, or where too many tokens are unknown.
    pub bits_per_byte: Option<f64>,
    /// Bits a pixel, of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_pixel: Option<f64>,
    /// Share of tokens that were the likeliest.
    pub accuracy: f64,
    /// Tokens predicted.
    pub tokens: usize,
    /// UTF-8 bytes of the turns' texts, or pixels.
    pub bytes: usize,
    /// Tokens that stand for what the vocabulary cannot write.
    #[serde(default)]
    pub unknown: usize,
}

/// One unknown token in this many is the most that bits per byte bear.
const KNOWN: usize = 100;
/// One token in this many is masked at a time.
const MASKED: usize = 7;

impl EvalReport {
    fn of(total: &LossReport, corpus: &Corpus, causal: bool) -> Result<Self, TrainError> {
        let (tokens, bytes, unknown) = (corpus.len(), corpus.text_bytes(), corpus.unknown());
        let loss = total.loss / total.weight;
        if !loss.is_finite() {
            return Err(TrainError::EvaluatedToNothing { tokens, loss });
        }
        let bits = total.loss / std::f64::consts::LN_2 / bytes.max(1) as f64;
        let bits = (causal && unknown * KNOWN <= tokens).then_some(bits);
        let (of_text, of_images) = if corpus.apart().is_some() { (None, bits) } else { (bits, None) };
        Ok(Self {
            loss,
            perplexity: loss.exp(),
            bits_per_byte: of_text,
            bits_per_pixel: of_images,
            accuracy: total.correct / total.weight,
            tokens,
            bytes,
            unknown,
        })
    }
}

/// The token that stands for a masked one: the tokenizer's, else its padding. Gives its name, too.
pub fn mask_token(tokenizer: &Tokenizer) -> (u32, String) {
    let named = |id: &u32| ["[MASK]", "<mask>"].contains(&tokenizer.token_name(*id).as_str());
    let id = (0..tokenizer.vocab_size() as u32).find(named).unwrap_or_else(|| tokenizer.pad_token());
    (id, tokenizer.token_name(id))
}

/// Encodes and evaluates dialogues.
pub fn evaluate(
    cpu: &Cpu,
    model: &Model,
    tokenizer: &Tokenizer,
    dialogues: &[Dialogue],
    options: &EvalOptions,
) -> Result<EvalReport, TrainError> {
    let form = options.form.unwrap_or_else(|| tokenizer.form());
    let corpus = Corpus::encode(tokenizer, dialogues, form, Weighting::ALL, "evaluation")?;
    if !model.config().is_decoder {
        return masked(cpu, model, &corpus, mask_token(tokenizer).0, options);
    }
    let opening = tokenizer.end_token().unwrap_or_else(|| tokenizer.pad_token());
    let report = evaluate_corpus(cpu, model, &corpus, opening, options, &mut |_| true)?;
    Ok(report.expect("nobody stopped it"))
}

/// Evaluates a model of pixels on images of its size.
pub fn evaluate_images(
    cpu: &Cpu,
    model: &Model,
    tokenizer: &Tokenizer,
    images: &Images,
    options: &EvalOptions,
) -> Result<EvalReport, TrainError> {
    let raster = tokenizer.raster().ok_or(TrainError::NoImages)?;
    let corpus = Corpus::of_images(images, levels(raster));
    let report = evaluate_corpus(cpu, model, &corpus, raster.opening(), options, &mut |_| true)?;
    Ok(report.expect("nobody stopped it"))
}

/// Evaluates an encoded corpus. `proceed` is told the tokens done before each pass and may stop it: then there is no
/// report.
pub fn evaluate_corpus(
    cpu: &Cpu,
    model: &Model,
    corpus: &Corpus,
    opening: u32,
    options: &EvalOptions,
    proceed: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<EvalReport>, TrainError> {
    let (tokens, weights) = (corpus.tokens(), corpus.weights());
    let (len, stride) = match corpus.apart() {
        Some(each) => (each, each),
        None => (options.len.max(1), options.stride.unwrap_or(options.len)),
    };
    let windows = windows(tokens.len(), len, stride);
    let before = |start: usize| start.checked_sub(1).filter(|_| corpus.apart().is_none());
    let pass = Pass { num_hashes: options.num_hashes, attention: options.attention, ..Pass::evaluation() };
    let mut total = LossReport::default();
    let mut rest = &windows[..];
    while let Some(first) = rest.first() {
        if !proceed(first.from) {
            return Ok(None);
        }
        let alike =
            rest.iter().take(options.rows.max(1)).take_while(|window| window.len() == first.len()).count();
        let (now, later) = rest.split_at(alike);
        let context = |start| before(start).map_or(opening, |before| tokens[before]);
        total.add(&model.evaluate(cpu, &batch((tokens, weights), now, context), &pass)?);
        rest = later;
    }
    EvalReport::of(&total, corpus, true).map(Some)
}

/// The loss of masked tokens, each masked once.
fn masked(
    cpu: &Cpu,
    model: &Model,
    corpus: &Corpus,
    mask: u32,
    options: &EvalOptions,
) -> Result<EvalReport, TrainError> {
    let (tokens, len) = (corpus.tokens(), options.len.max(1));
    let pass = Pass { num_hashes: options.num_hashes, attention: options.attention, ..Pass::evaluation() };
    let mut total = LossReport::default();
    for turn in 0..MASKED {
        for (row, targets) in tokens.chunks(len).enumerate() {
            let chosen = |at: usize| (row * len + at) % MASKED == turn;
            let token = |(at, &token): (usize, &u32)| if chosen(at) { mask } else { token };
            let weights: Vec<f32> = (0..targets.len()).map(|at| f32::from(u8::from(chosen(at)))).collect();
            if weights.iter().all(|&weight| weight == 0.0) {
                continue;
            }
            let inputs = targets.iter().enumerate().map(token).collect();
            let len = targets.len();
            let batch = Batch { rows: 1, len, inputs, targets: targets.to_vec(), weights, mask: None };
            total.add(&model.evaluate(cpu, &batch, &pass)?);
        }
    }
    EvalReport::of(&total, corpus, false)
}

/// A row: tokens `start..end`, of which `from..end` are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ScoredRow {
    start: usize,
    from: usize,
    end: usize,
}

impl ScoredRow {
    fn len(self) -> usize {
        self.end - self.start
    }
}

fn windows(total: usize, len: usize, stride: usize) -> Vec<ScoredRow> {
    let stride = stride.clamp(1, len);
    let mut windows = vec![ScoredRow { start: 0, from: 0, end: total.min(len) }];
    let mut from = total.min(len);
    while from < total {
        let end = total.min(from + stride);
        let start = if stride == len { from } else { end - len };
        windows.push(ScoredRow { start, from, end });
        from = end;
    }
    windows
}

/// Rows of a pass; `context` is the token before a row that starts at a place.
fn batch(
    (tokens, weights): (&[u32], &[f32]),
    windows: &[ScoredRow],
    context: impl Fn(usize) -> u32,
) -> Batch {
    let (rows, len) = (windows.len(), windows[0].len());
    let size = rows * len;
    let mut batch = Batch {
        rows,
        len,
        inputs: Vec::with_capacity(size),
        targets: Vec::with_capacity(size),
        weights: Vec::with_capacity(size),
        mask: None,
    };
    for window in windows {
        batch.inputs.push(context(window.start));
        batch.inputs.extend_from_slice(&tokens[window.start..window.end - 1]);
        batch.targets.extend_from_slice(&tokens[window.start..window.end]);
        batch
            .weights
            .extend((window.start..window.end).map(|at| if at < window.from { 0.0 } else { weights[at] }));
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_scored_exactly_once_at_any_length_and_stride() {
        for (total, len, stride) in
            [(1, 1, 1), (7, 3, 3), (7, 3, 1), (7, 3, 2), (5, 9, 4), (64, 16, 5), (9, 3, 99)]
        {
            let tokens: Vec<u32> = (0..total as u32).map(|token| token + 10).collect();
            let mut scored = vec![0; total];
            for window in windows(total, len, stride) {
                assert!(window.len() <= len && window.start <= window.from && window.from < window.end);
                let before = |start: usize| start.checked_sub(1).map_or(1, |before| tokens[before]);
                let batch = batch((&tokens, &vec![1.0; total]), &[window], before);
                for (at, &weight) in batch.weights.iter().enumerate() {
                    let place = window.start + at;
                    assert_eq!(batch.targets[at], tokens[place]);
                    assert_eq!(batch.inputs[at], if place == 0 { 1 } else { tokens[place - 1] });
                    scored[place] += weight as usize;
                }
            }
            assert!(scored.iter().all(|&times| times == 1), "{total} {len} {stride}: {scored:?}");
        }
    }
}
