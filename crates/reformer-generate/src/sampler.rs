//! The sampling chain: from logits to one token, as data in order.
//!
//! ```text
//! suppress → repetition · presence · frequency penalties → logit bias → top-k → top-p → min-p → temperature → draw
//! ```
//!
//! A chain is a list of [`Rule`]s; each rule rewrites the logits in place and excludes a token by writing −∞. Nothing
//! here knows of models, text or state. The draw is addressed by `(seed, step)`, so the same seed gives the same text
//! on any load and for any thread count. Temperature 0 is greedy: the largest logit, the lowest id on a tie.
//!
//! # Shapes
//! - `logits`: `[vocab_size]`, one position.
//! - `history`: the tokens so far, prompt included, oldest first.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use reformer_tensor::{Address, Purpose};
use serde::{Deserialize, Serialize};

use crate::error::{GenerateError, Result};

/// Sampling settings as a person writes them; [`Chain::new`] checks them.
///
/// Defaults are those that llama.cpp and mistral.rs agree on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens already seen; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logit of a token already seen; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted once for each time a token was seen; 0 is off.
    pub frequency_penalty: f32,
    /// How many of the last tokens the penalties look at; 0 is all.
    pub repeat_last_n: usize,
    /// Added to the logits of single tokens: 100 all but demands one, −100 all but forbids it.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Seed of the draws.
    pub seed: u64,
    /// The most tokens to generate.
    pub max_tokens: usize,
    /// Strings that end the text; they are never part of it.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repeat_last_n: 64,
            logit_bias: BTreeMap::new(),
            seed: 0,
            max_tokens: 512,
            stop: Vec::new(),
        }
    }
}

impl Sampling {
    /// Greedy decoding: always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}

/// One step of the chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Never draw these tokens, nor any id at or above `from` (a vocabulary padded beyond its tokenizer).
    Suppress {
        /// Excluded ids.
        tokens: Vec<u32>,
        /// First id that the tokenizer does not have.
        from: usize,
    },
    /// Penalties on the tokens among the last `last_n` (0 = all).
    Penalties {
        /// Multiplicative (HF's and CTRL's repetition penalty).
        repetition: f32,
        /// Once a token.
        presence: f32,
        /// Once an occurrence.
        frequency: f32,
        /// Window.
        last_n: usize,
    },
    /// Add to the logits of these tokens; ids beyond the vocabulary are passed over.
    Bias(Vec<(u32, f32)>),
    /// Keep the k largest.
    TopK(usize),
    /// Keep the smallest set whose probability reaches p; at least one token stays.
    TopP(f32),
    /// Keep tokens with probability ≥ p · max.
    MinP(f32),
    /// Divide by the temperature.
    Temperature(f32),
}

impl Rule {
    /// Rewrites `logits` in place.
    pub fn apply(&self, logits: &mut [f32], history: &[u32]) {
        match *self {
            Self::Suppress { ref tokens, from } => {
                for &token in tokens {
                    if let Some(logit) = logits.get_mut(token as usize) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
                let from = from.min(logits.len());
                logits[from..].fill(f32::NEG_INFINITY);
            }
            Self::Penalties { repetition, presence, frequency, last_n } => {
                penalize(logits, window(history, last_n), repetition, presence, frequency);
            }
            Self::Bias(ref biases) => {
                for &(token, bias) in biases {
                    if let Some(logit) = logits.get_mut(token as usize) {
                        *logit += bias;
                    }
                }
            }
            Self::TopK(k) => {
                let mut alive = alive(logits);
                let k = k.max(1);
                if k < alive.len() {
                    // Selection, not a sort: a vocabulary has tens of thousands of tokens and k is small.
                    alive.select_nth_unstable_by(k, by_likelihood);
                    for &(_, id) in &alive[k..] {
                        logits[id] = f32::NEG_INFINITY;
                    }
                }
            }
            Self::TopP(p) => {
                let ranked = ranked(logits);
                let max = ranked.first().map_or(0.0, |&(logit, _)| logit);
                let total: f64 = ranked.iter().map(|&(logit, _)| f64::from(logit - max).exp()).sum();
                let mut before = 0.0;
                for &(logit, id) in &ranked {
                    // A token stays while the mass *before* it has not reached p, so the first always stays.
                    if before >= f64::from(p) * total {
                        logits[id] = f32::NEG_INFINITY;
                    }
                    before += f64::from(logit - max).exp();
                }
            }
            Self::MinP(p) => {
                let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let floor = max + p.ln();
                for logit in logits.iter_mut().filter(|logit| **logit < floor) {
                    *logit = f32::NEG_INFINITY;
                }
            }
            Self::Temperature(t) => logits.iter_mut().for_each(|logit| *logit /= t),
        }
    }
}

fn window(history: &[u32], last_n: usize) -> &[u32] {
    match last_n {
        0 => history,
        n => &history[history.len().saturating_sub(n)..],
    }
}

fn penalize(logits: &mut [f32], seen: &[u32], repetition: f32, presence: f32, frequency: f32) {
    let mut sorted = seen.to_vec();
    sorted.sort_unstable();
    for run in sorted.chunk_by(|a, b| a == b) {
        if let Some(logit) = logits.get_mut(run[0] as usize) {
            *logit = if *logit > 0.0 { *logit / repetition } else { *logit * repetition };
            *logit -= presence + frequency * run.len() as f32;
        }
    }
}

/// The tokens still in play.
fn alive(logits: &[f32]) -> Vec<(f32, usize)> {
    let tokens = logits.iter().enumerate();
    tokens.filter(|(_, logit)| **logit > f32::NEG_INFINITY).map(|(id, &logit)| (logit, id)).collect()
}

/// Most likely first, lower id first on a tie: a total order, so a draw does not hang on the sort's whims.
fn by_likelihood(a: &(f32, usize), b: &(f32, usize)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// The tokens still in play, most likely first.
fn ranked(logits: &[f32]) -> Vec<(f32, usize)> {
    let mut ranked = alive(logits);
    ranked.sort_unstable_by(by_likelihood);
    ranked
}

/// Checked rules in order, then the draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    rules: Vec<Rule>,
    greedy: bool,
    seed: u64,
}

impl Chain {
    /// Checks `sampling` and lays out its chain; rules that would do nothing are left out.
    pub fn new(sampling: &Sampling) -> Result<Self> {
        check(sampling)?;
        let greedy = sampling.temperature == 0.0;
        let mut rules = Vec::new();
        if sampling.repetition_penalty != 1.0
            || sampling.presence_penalty != 0.0
            || sampling.frequency_penalty != 0.0
        {
            rules.push(Rule::Penalties {
                repetition: sampling.repetition_penalty,
                presence: sampling.presence_penalty,
                frequency: sampling.frequency_penalty,
                last_n: sampling.repeat_last_n,
            });
        }
        if !sampling.logit_bias.is_empty() {
            rules.push(Rule::Bias(sampling.logit_bias.iter().map(|(&id, &bias)| (id, bias)).collect()));
        }
        // Truncation cannot change the largest logit, so a greedy chain needs none of it.
        if !greedy {
            if sampling.top_k > 0 {
                rules.push(Rule::TopK(sampling.top_k));
            }
            if sampling.top_p < 1.0 {
                rules.push(Rule::TopP(sampling.top_p));
            }
            if sampling.min_p > 0.0 {
                rules.push(Rule::MinP(sampling.min_p));
            }
            if sampling.temperature != 1.0 {
                rules.push(Rule::Temperature(sampling.temperature));
            }
        }
        Ok(Self { rules, greedy, seed: sampling.seed })
    }

    /// Puts a suppression first: `tokens`, and every id from `from` on.
    pub fn suppressing(mut self, tokens: &[u32], from: usize) -> Self {
        self.rules.insert(0, Rule::Suppress { tokens: tokens.to_vec(), from });
        self
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Runs the chain over one position's logits and draws a token at address `(seed, step)`.
    ///
    /// `history.len()` names the position in errors.
    pub fn sample(&self, logits: &mut [f32], history: &[u32], step: u64) -> Result<u32> {
        if logits.iter().any(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(GenerateError::NotFinite { position: history.len().saturating_sub(1) });
        }
        for rule in &self.rules {
            rule.apply(logits, history);
        }
        let ranked = if self.greedy { Vec::new() } else { ranked(logits) };
        if self.greedy || ranked.len() == 1 {
            return largest(logits);
        }
        let &(max, first) = ranked.first().ok_or(GenerateError::NothingToDraw)?;
        let weight = |logit: f32| f64::from(logit - max).exp();
        let total: f64 = ranked.iter().map(|&(logit, _)| weight(logit)).sum();
        let mut left = self.uniform(step) * total;
        for &(logit, id) in &ranked {
            left -= weight(logit);
            if left < 0.0 {
                return Ok(id as u32);
            }
        }
        // Round-off ate the last sliver: the most likely token is as good as any.
        Ok(first as u32)
    }

    /// A number in [0, 1) of 53 bits at the draw's address.
    fn uniform(&self, step: u64) -> f64 {
        let address = Address { seed: self.seed, step, layer: 0, purpose: Purpose::Sample };
        let high = u64::from(address.bits(0)) << 21;
        let low = u64::from(address.bits(1)) >> 11;
        (high | low) as f64 / (1u64 << 53) as f64
    }
}

fn largest(logits: &[f32]) -> Result<u32> {
    let mut best: Option<(usize, f32)> = None;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best.map_or(f32::NEG_INFINITY, |(_, top)| top) {
            best = Some((id, logit));
        }
    }
    best.map(|(id, _)| id as u32).ok_or(GenerateError::NothingToDraw)
}

fn check(s: &Sampling) -> Result<()> {
    let fault = |key, got: f32, expected| Err(GenerateError::Setting { key, got: got.to_string(), expected });
    if !(0.0..=100.0).contains(&s.temperature) {
        return fault("temperature", s.temperature, "between 0 (greedy) and 100");
    }
    if !(s.top_p > 0.0 && s.top_p <= 1.0) {
        return fault("top_p", s.top_p, "above 0 and at most 1 (1 keeps every token)");
    }
    if !(0.0..=1.0).contains(&s.min_p) {
        return fault("min_p", s.min_p, "between 0 (off) and 1");
    }
    if !(s.repetition_penalty > 0.0 && s.repetition_penalty.is_finite()) {
        return fault("repetition_penalty", s.repetition_penalty, "above 0 (1 is off)");
    }
    if !s.presence_penalty.is_finite() {
        return fault("presence_penalty", s.presence_penalty, "a number (0 is off)");
    }
    if !s.frequency_penalty.is_finite() {
        return fault("frequency_penalty", s.frequency_penalty, "a number (0 is off)");
    }
    if let Some(bias) = s.logit_bias.values().find(|bias| !bias.is_finite()) {
        return fault("logit_bias", *bias, "a number for each token (100 demands it, -100 forbids it)");
    }
    if s.stop.iter().any(String::is_empty) {
        return Err(GenerateError::Setting {
            key: "stop",
            got: "\"\"".into(),
            expected: "a string of at least one character",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(rule: &Rule, logits: &[f32]) -> Vec<usize> {
        let mut logits = logits.to_vec();
        rule.apply(&mut logits, &[]);
        logits.iter().enumerate().filter(|(_, l)| l.is_finite()).map(|(i, _)| i).collect()
    }

    // Probabilities 0.5, 0.25, 0.125, 0.125.
    fn halves() -> Vec<f32> {
        [0.5f32, 0.25, 0.125, 0.125].iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn top_k_keeps_exactly_k_and_the_lower_id_on_a_tie() {
        assert_eq!(kept(&Rule::TopK(3), &halves()), [0, 1, 2]);
        assert_eq!(kept(&Rule::TopK(100), &halves()), [0, 1, 2, 3]);
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_p() {
        assert_eq!(kept(&Rule::TopP(0.5), &halves()), [0]);
        assert_eq!(kept(&Rule::TopP(0.51), &halves()), [0, 1]);
        assert_eq!(kept(&Rule::TopP(0.8), &halves()), [0, 1, 2]);
        assert_eq!(kept(&Rule::TopP(1e-6), &halves()), [0]);
    }

    #[test]
    fn min_p_is_relative_to_the_most_likely_token() {
        assert_eq!(kept(&Rule::MinP(0.4), &halves()), [0, 1]);
        assert_eq!(kept(&Rule::MinP(0.6), &halves()), [0]);
    }

    #[test]
    fn repetition_penalty_pushes_both_signs_down() {
        let mut logits = vec![2.0, -2.0, 1.0];
        let rule = Rule::Penalties { repetition: 2.0, presence: 0.0, frequency: 0.0, last_n: 0 };
        rule.apply(&mut logits, &[0, 1, 1]);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
    }

    #[test]
    fn presence_counts_a_token_once_and_frequency_each_time_within_the_window() {
        let mut logits = vec![0.0, 0.0, 0.0];
        let rule = Rule::Penalties { repetition: 1.0, presence: 1.0, frequency: 0.5, last_n: 3 };
        rule.apply(&mut logits, &[0, 1, 2, 2]);
        assert_eq!(logits, [0.0, -1.5, -2.0]);
    }

    #[test]
    fn the_chain_is_laid_out_in_its_documented_order() {
        let logit_bias = BTreeMap::from([(2, 1.0)]);
        let all = Sampling { repetition_penalty: 1.1, logit_bias, ..Sampling::default() };
        let chain = Chain::new(&all).unwrap().suppressing(&[0], 4);
        assert!(matches!(
            chain.rules(),
            [
                Rule::Suppress { .. },
                Rule::Penalties { .. },
                Rule::Bias(_),
                Rule::TopK(40),
                Rule::TopP(_),
                Rule::MinP(_),
                Rule::Temperature(_)
            ]
        ));
    }

    #[test]
    fn a_bias_demands_or_forbids_a_token_greedily_too() {
        let biased =
            |bias: f32| Sampling { logit_bias: BTreeMap::from([(1, bias), (99, 5.0)]), ..Sampling::greedy() };
        let draw = |s: Sampling| Chain::new(&s).unwrap().sample(&mut [3.0, 1.0, 2.0], &[], 0).unwrap();
        assert_eq!((draw(biased(100.0)), draw(biased(-100.0))), (1, 0));
        let hot = Sampling { temperature: 2.0, ..biased(100.0) };
        assert_eq!(draw(hot), 1);
    }

    #[test]
    fn greedy_takes_the_largest_logit_and_the_lowest_id_on_a_tie() {
        let chain = Chain::new(&Sampling::greedy()).unwrap();
        assert_eq!(chain.sample(&mut [0.0, 3.0, 3.0], &[], 0).unwrap(), 1);
    }

    #[test]
    fn a_suppressed_or_unknown_token_is_never_drawn() {
        let chain =
            Chain::new(&Sampling { temperature: 5.0, ..Sampling::default() }).unwrap().suppressing(&[0], 3);
        for step in 0..500 {
            let token = chain.sample(&mut [9.0, 1.0, 1.0, 9.0], &[], step).unwrap();
            assert!(token == 1 || token == 2);
        }
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let chain = Chain::new(&Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: 7,
            ..Sampling::default()
        })
        .unwrap();
        let mut counts = [0usize; 4];
        for step in 0..20_000 {
            counts[chain.sample(&mut halves(), &[], step).unwrap() as usize] += 1;
        }
        for (count, p) in counts.iter().zip([0.5, 0.25, 0.125, 0.125]) {
            // Four standard deviations of a binomial.
            assert!((*count as f64 / 20_000.0 - p).abs() < 4.0 * (p * (1.0 - p) / 20_000.0f64).sqrt());
        }
    }

    #[test]
    fn logits_that_are_not_numbers_are_an_error() {
        let chain = Chain::new(&Sampling::default()).unwrap();
        let fault = chain.sample(&mut [0.0, f32::NAN], &[1, 2, 3], 0).unwrap_err();
        assert!(fault.to_string().contains("position 2"), "{fault}");
    }

    #[test]
    fn a_setting_out_of_range_is_named_with_its_range() {
        for (sampling, key) in [
            (Sampling { temperature: -1.0, ..Sampling::default() }, "temperature"),
            (Sampling { temperature: f32::NAN, ..Sampling::default() }, "temperature"),
            (Sampling { top_p: 0.0, ..Sampling::default() }, "top_p"),
            (Sampling { min_p: 1.5, ..Sampling::default() }, "min_p"),
            (Sampling { repetition_penalty: 0.0, ..Sampling::default() }, "repetition_penalty"),
            (Sampling { logit_bias: BTreeMap::from([(1, f32::NAN)]), ..Sampling::default() }, "logit_bias"),
            (Sampling { stop: vec![String::new()], ..Sampling::default() }, "stop"),
        ] {
            let fault = Chain::new(&sampling).unwrap_err().to_string();
            assert!(fault.contains(key), "{fault}");
        }
    }

    proptest! {
        #[test]
        fn the_same_address_draws_the_same_token(
            logits in prop::collection::vec(-8.0f32..8.0, 1..60), seed: u64, step: u64,
        ) {
            let chain = Chain::new(&Sampling { seed, ..Sampling::default() }).unwrap();
            let one = chain.sample(&mut logits.clone(), &[], step).unwrap();
            let two = chain.sample(&mut logits.clone(), &[], step).unwrap();
            prop_assert_eq!(one, two);
            prop_assert!((one as usize) < logits.len());
        }
    }
}
