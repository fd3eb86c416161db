//! Beam search: the likeliest continuations, found by following several at once.
//!
//! ```text
//! live: up to b beams (tokens, Σ log p, a fork of the decode state)
//! repeat: one step for all beams together → of all continuations the 2b likeliest
//!         → those that end go to the finished, the next b live on (a beam that goes on twice forks its state)
//! score = Σ log p / lengthᵃ                                     a = length_penalty; 0 prefers short, 1 the mean
//! ```
//! Ends when b are finished and no live beam can beat the worst of them, or at `max_tokens`. One beam is greedy decoding.
//! Forks share their pages, so a beam costs what it adds.

use reformer_model::DecodeState;

use crate::decode::{ContextPolicy, Generator, fit};
use crate::error::{GenerateError, Result};
use crate::log_probs::likeliest;

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamSearch {
    /// Continuations followed, and the most that are returned.
    pub beams: usize,
    /// The most tokens of a continuation.
    pub max_tokens: usize,
    /// Exponent of the length that scores are divided by.
    pub length_penalty: f32,
    /// Tokens that end a continuation and are not part of it.
    pub stop_tokens: Vec<u32>,
}

impl Default for BeamSearch {
    fn default() -> Self {
        Self { beams: 4, max_tokens: 64, length_penalty: 1.0, stop_tokens: Vec::new() }
    }
}

/// A continuation found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Hypothesis {
    /// Its tokens, without the stop token.
    pub ids: Vec<u32>,
    /// Its text.
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
    /// The likeliest continuations of `prompt`, the best first.
    pub fn beam_search(&self, prompt: &[u32], search: &BeamSearch) -> Result<Vec<Hypothesis>> {
        search.check()?;
        let decoder = self.decoder();
        fit(decoder.model(), prompt, ContextPolicy::Refuse)?;
        let mut state = decoder.state();
        let logits = decoder.prefill(self.cpu(), &mut state, prompt)?;
        let mut live = vec![Beam { ids: Vec::new(), log_prob: 0.0, state, logits }];
        let mut finished: Vec<Hypothesis> = Vec::new();
        for _ in 0..search.max_tokens {
            live = self.extend(search, live, &mut finished)?;
            if live.is_empty() || done(search, &live, &finished) {
                break;
            }
        }
        finished.extend(live.into_iter().map(|beam| self.hypothesis(search, beam.ids, beam.log_prob, false)));
        // Stable: of equals, the one found first.
        finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        finished.truncate(search.beams);
        Ok(finished)
    }

    /// The beams one token further.
    fn extend(
        &self,
        search: &BeamSearch,
        live: Vec<Beam>,
        finished: &mut Vec<Hypothesis>,
    ) -> Result<Vec<Beam>> {
        let mut continuations = Vec::new();
        for (parent, beam) in live.iter().enumerate() {
            let mut logits = beam.logits.clone();
            if logits.iter().any(|logit| logit.is_nan()) {
                return Err(GenerateError::NotFinite { position: beam.state.len().saturating_sub(1) });
            }
            self.suppress(&mut logits);
            for token in likeliest(&logits, 2 * search.beams) {
                continuations.push((beam.log_prob + f64::from(token.log_prob), parent, token.id));
            }
        }
        continuations.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut next = Vec::new();
        for &(log_prob, parent, id) in continuations.iter().take(2 * search.beams) {
            if search.stop_tokens.contains(&id) {
                finished.push(self.hypothesis(search, live[parent].ids.clone(), log_prob, true));
            } else if next.len() < search.beams {
                next.push((log_prob, parent, id));
            }
        }
        let mut beams: Vec<Beam> = next
            .iter()
            .map(|&(log_prob, parent, id)| {
                let ids = live[parent].ids.iter().copied().chain([id]).collect();
                Beam { ids, log_prob, state: live[parent].state.clone(), logits: Vec::new() }
            })
            .collect();
        drop(live);
        // A beam at the model's last position, or at its last token, has nothing to compute from.
        let room = beams.first().is_some_and(|beam| beam.state.len() < self.positions());
        let last = beams.first().is_some_and(|beam| beam.ids.len() >= search.max_tokens);
        if !room || last {
            finished.extend(beams.into_iter().map(|b| self.hypothesis(search, b.ids, b.log_prob, false)));
            return Ok(Vec::new());
        }
        let ids: Vec<u32> = next.iter().map(|&(_, _, id)| id).collect();
        let mut states: Vec<&mut DecodeState> = beams.iter_mut().map(|beam| &mut beam.state).collect();
        let logits = self.decoder().step_many(self.cpu(), &mut states, &ids)?;
        for (i, beam) in beams.iter_mut().enumerate() {
            beam.logits = logits.row(i).to_vec();
        }
        Ok(beams)
    }

    fn suppress(&self, logits: &mut [f32]) {
        let tokenizer = self.tokenizer();
        let from = tokenizer.vocab_size().min(logits.len());
        logits[from..].fill(f32::NEG_INFINITY);
        if let Some(logit) = logits.get_mut(tokenizer.pad_token() as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }

    fn hypothesis(&self, search: &BeamSearch, ids: Vec<u32>, log_prob: f64, stopped: bool) -> Hypothesis {
        let score = search.score(log_prob, ids.len() + usize::from(stopped));
        Hypothesis { text: self.tokenizer().decode(&ids), ids, log_prob, score, stopped }
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
    let length = |beam: &Beam| if search.length_penalty > 0.0 { search.max_tokens } else { beam.ids.len() };
    live.iter().all(|beam| search.score(beam.log_prob, length(beam)) <= worst)
}
