//! Beam search: the likeliest continuations, found by following several at once.
//!
//! ```text
//! live: up to b beams (tokens, Σ log p, a fork of the decode state)
//! repeat: one step for all beams together → of all continuations the 2b likeliest
//!         → those that end go to the finished, the next b live on (a beam that goes on twice forks its state)
//! score = Σ log p / lengthᵃ                                     a = length_penalty; 0 prefers short, 1 the mean
//! ```
//! Ends when b are finished and no live beam can beat the worst of them, or at `max_tokens`. One beam is greedy
//! decoding. Penalties and biases rewrite the logits before their log-softmax; a stop string ends a beam as a stop
//! token does. Forks share their pages, so a beam costs what it adds.

use std::ops::ControlFlow;

use reformer_model::DecodeState;

use crate::chain::Chain;
use crate::decode::Generator;
use crate::emitter::Emitter;
use crate::error::{GenerateError, Result};
use crate::log_probs::likeliest;
use crate::request::{ContextPolicy, fit};
use crate::sampling::Sampling;

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamSearch {
    /// Continuations followed, and the most that are returned.
    pub beams: usize,
    /// Exponent of the length that scores are divided by.
    pub length_penalty: f32,
    /// Tokens that end a continuation and are not part of it.
    pub stop_tokens: Vec<u32>,
    /// `max_tokens`, stop strings, penalties and biases; what only a draw needs (temperature, truncation, seed) means
    /// nothing here.
    pub sampling: Sampling,
}

impl Default for BeamSearch {
    fn default() -> Self {
        let sampling = Sampling { max_tokens: 64, ..Sampling::greedy() };
        Self { beams: 4, length_penalty: 1.0, stop_tokens: Vec::new(), sampling }
    }
}

/// A continuation found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Hypothesis {
    /// Its tokens, without the stop token; a stop string's tokens are among them.
    pub ids: Vec<u32>,
    /// Its text, without the stop string.
    pub text: String,
    /// `Σ log p`, the stop token's included.
    pub log_prob: f64,
    /// What it is ranked by.
    pub score: f64,
    /// Whether it ended by itself.
    pub stopped: bool,
}

/// A continuation on its way.
struct Beam {
    ids: Vec<u32>,
    log_prob: f64,
    state: DecodeState,
    logits: Vec<f32>,
    emitter: Emitter,
}

impl BeamSearch {
    fn check(&self) -> Result<()> {
        let fault = |key, got: String, expected| Err(GenerateError::Setting { key, got, expected });
        if !(1..=1024).contains(&self.beams) {
            return fault("beams", self.beams.to_string(), "between 1 and 1024");
        }
        if !self.length_penalty.is_finite() {
            return fault("length_penalty", self.length_penalty.to_string(), "a number");
        }
        Ok(())
    }

    fn score(&self, log_prob: f64, len: usize) -> f64 {
        log_prob / (len.max(1) as f64).powf(f64::from(self.length_penalty))
    }
}

impl Generator<'_> {
    /// The likeliest continuations of `prompt`, the best first. `on_step` is called before every step and between the
    /// pieces of a long prompt, always with an empty text; breaking ends with what was found by then.
    pub fn beam_search(
        &self,
        prompt: &[u32],
        search: &BeamSearch,
        on_step: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Vec<Hypothesis>> {
        search.check()?;
        let decoder = self.decoder();
        let vocab_size = decoder.model().config().vocab_size;
        let chain =
            Chain::scoring(&search.sampling)?.for_model(self.tokenizer(), vocab_size, &search.stop_tokens)?;
        fit(decoder.model(), prompt, ContextPolicy::Refuse)?;
        let mut state = decoder.state();
        let Some(logits) = self.prefill(&mut state, prompt, on_step)? else { return Ok(Vec::new()) };
        let mut emitter = Emitter::new(&search.sampling.stop);
        emitter.follow(self.tokenizer(), prompt);
        let mut live = vec![Beam { ids: Vec::new(), log_prob: 0.0, state, logits, emitter }];
        let mut finished: Vec<Hypothesis> = Vec::new();
        for _ in 0..search.sampling.max_tokens {
            if on_step("").is_break() {
                break;
            }
            live = self.extend(search, &chain, live, &mut finished)?;
            if live.is_empty() || done(search, &live, &finished) {
                break;
            }
        }
        finished.extend(live.into_iter().map(|beam| beam.finished(search, false)));
        // Stable: of equals, the one found first.
        finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        finished.truncate(search.beams);
        Ok(finished)
    }

    /// The beams one token further.
    fn extend(
        &self,
        search: &BeamSearch,
        chain: &Chain,
        live: Vec<Beam>,
        finished: &mut Vec<Hypothesis>,
    ) -> Result<Vec<Beam>> {
        let mut continuations = Vec::new();
        for (parent, beam) in live.iter().enumerate() {
            let mut logits = beam.logits.clone();
            chain.apply(&mut logits, beam.state.ids())?;
            for token in likeliest(&logits, 2 * search.beams) {
                continuations.push((beam.log_prob + f64::from(token.log_prob), parent, token.id));
            }
        }
        continuations.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut beams: Vec<Beam> = Vec::new();
        for &(log_prob, parent, id) in continuations.iter().take(2 * search.beams) {
            if search.stop_tokens.contains(&id) {
                finished.push(live[parent].fork(log_prob, None).finished(search, true));
            } else if beams.len() < search.beams {
                let mut beam = live[parent].fork(log_prob, Some(id));
                if beam.emitter.push(self.tokenizer(), id).stopped {
                    finished.push(beam.finished(search, true));
                } else {
                    beams.push(beam);
                }
            }
        }
        drop(live);
        // A beam at the model's last position, or at its last token, has nothing to compute from.
        let room = beams.first().is_some_and(|beam| beam.state.len() < self.positions());
        let last = beams.first().is_some_and(|beam| beam.ids.len() >= search.sampling.max_tokens);
        if !room || last {
            finished.extend(beams.into_iter().map(|beam| beam.finished(search, false)));
            return Ok(Vec::new());
        }
        let ids: Vec<u32> = beams.iter().filter_map(|beam| beam.ids.last().copied()).collect();
        let mut states: Vec<&mut DecodeState> = beams.iter_mut().map(|beam| &mut beam.state).collect();
        let logits = self.decoder().step_many(self.cpu(), &mut states, &ids)?;
        for (i, beam) in beams.iter_mut().enumerate() {
            beam.logits = logits.row(i).to_vec();
        }
        Ok(beams)
    }
}

impl Beam {
    /// The same, a token further; without its logits.
    fn fork(&self, log_prob: f64, id: Option<u32>) -> Self {
        Self {
            ids: self.ids.iter().copied().chain(id).collect(),
            log_prob,
            state: self.state.clone(),
            logits: Vec::new(),
            emitter: self.emitter.clone(),
        }
    }

    fn finished(mut self, search: &BeamSearch, stopped: bool) -> Hypothesis {
        let ended_by_token = usize::from(stopped && !self.emitter.stopped());
        let score = search.score(self.log_prob, self.ids.len() + ended_by_token);
        self.emitter.flush();
        Hypothesis { text: self.emitter.into_text(), ids: self.ids, log_prob: self.log_prob, score, stopped }
    }
}

/// Whether enough are finished, and no live beam can become better than the worst of them.
fn done(search: &BeamSearch, live: &[Beam], finished: &[Hypothesis]) -> bool {
    if finished.len() < search.beams {
        return false;
    }
    let mut scores: Vec<f64> = finished.iter().map(|h| h.score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let worst = scores[search.beams - 1];
    // Log-probabilities only fall; a positive exponent forgives that most at the greatest length.
    let length =
        |beam: &Beam| if search.length_penalty > 0.0 { search.sampling.max_tokens } else { beam.ids.len() };
    live.iter().all(|beam| search.score(beam.log_prob, length(beam)) <= worst)
}
