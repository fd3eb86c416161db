//! The sampling chain: from logits to one token, as data in order.
//!
//! ```text
//! suppress → repetition · presence · frequency penalties → logit bias → top-k → top-p → min-p → temperature → draw
//! ```
//!
//! A chain is a list of [`Rule`]s. The draw is addressed by `(seed, step)`, so the same seed gives the same text on
//! any load and for any thread count. Temperature 0 is greedy: the largest logit, the lowest id on a tie.

use reformer_tensor::{Address, Purpose};
use reformer_text::Tokenizer;

use crate::error::{GenerateError, Result};
use crate::rules::{Rule, ranked};
use crate::sampling::{Sampling, check};

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
        let mut chain = Self::scoring(sampling)?;
        // Truncation cannot change the largest logit, so a greedy chain needs none of it.
        if !chain.greedy {
            if sampling.top_k > 0 {
                chain.rules.push(Rule::TopK(sampling.top_k));
            }
            if sampling.top_p < 1.0 {
                chain.rules.push(Rule::TopP(sampling.top_p));
            }
            if sampling.min_p > 0.0 {
                chain.rules.push(Rule::MinP(sampling.min_p));
            }
            if sampling.temperature != 1.0 {
                chain.rules.push(Rule::Temperature(sampling.temperature));
            }
        }
        Ok(chain)
    }

    /// The part of the chain that says what a text is worth, and draws nothing: penalties and biases, for a search.
    pub fn scoring(sampling: &Sampling) -> Result<Self> {
        check(sampling)?;
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
        Ok(Self { rules, greedy: sampling.temperature == 0.0, seed: sampling.seed })
    }

    /// Puts a suppression first: `tokens`, and every id from `from` on that is not `spared`.
    pub fn suppressing(mut self, tokens: &[u32], from: usize, spared: &[u32]) -> Self {
        let rule = Rule::Suppress { tokens: tokens.to_vec(), from, spared: spared.to_vec() };
        self.rules.insert(0, rule);
        self
    }

    /// Keeps to what a model of `vocab_size` tokens can say and `tokenizer` can write: no padding, unless it ends the
    /// text, and no id that the tokenizer does not have, unless that ends it. A bias on a token that there is not is
    /// an error.
    pub(crate) fn for_model(
        self,
        tokenizer: &Tokenizer,
        vocab_size: usize,
        stop_tokens: &[u32],
    ) -> Result<Self> {
        let written = tokenizer.vocab_size().min(vocab_size);
        let legal =
            |id: &u32| (*id as usize) < written || (stop_tokens.contains(id) && (*id as usize) < vocab_size);
        for rule in &self.rules {
            let Rule::Bias(biases) = rule else { continue };
            if let Some(&(token, _)) = biases.iter().find(|(token, _)| !legal(token)) {
                return Err(GenerateError::BiasOutOfRange { token, vocab_size: written });
            }
        }
        let padding = tokenizer.padding().filter(|pad| !stop_tokens.contains(pad));
        let padding: Vec<u32> = padding.into_iter().collect();
        Ok(self.suppressing(&padding, written, stop_tokens))
    }

    /// Rewrites one position's logits by the rules; `history.len()` names the position in errors.
    pub fn apply(&self, logits: &mut [f32], history: &[u32]) -> Result<()> {
        if logits.iter().any(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(GenerateError::NotFinite { position: history.len().saturating_sub(1) });
        }
        for rule in &self.rules {
            rule.apply(logits, history);
        }
        Ok(())
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Runs the chain over one position's logits and draws a token at address `(seed, step)`.
    ///
    /// `history.len()` names the position in errors.
    pub fn sample(&self, logits: &mut [f32], history: &[u32], step: u64) -> Result<u32> {
        self.apply(logits, history)?;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    // Probabilities 0.5, 0.25, 0.125, 0.125.
    fn halves() -> Vec<f32> {
        [0.5f32, 0.25, 0.125, 0.125].iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn the_chain_is_laid_out_in_its_documented_order() {
        let logit_bias = BTreeMap::from([(2, 1.0)]);
        let all = Sampling { repetition_penalty: 1.1, logit_bias, ..Sampling::default() };
        let chain = Chain::new(&all).unwrap().suppressing(&[0], 4, &[]);
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
        let biased = |bias: f32| Sampling { logit_bias: BTreeMap::from([(1, bias)]), ..Sampling::greedy() };
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
        let chain = Chain::new(&Sampling { temperature: 5.0, ..Sampling::default() }).unwrap().suppressing(
            &[0],
            3,
            &[],
        );
        for step in 0..500 {
            let token = chain.sample(&mut [9.0, 1.0, 1.0, 9.0], &[], step).unwrap();
            assert!(token == 1 || token == 2);
        }
    }

    #[test]
    fn padding_is_suppressed_only_where_it_ends_nothing_and_an_end_beyond_the_tokenizer_is_spared() {
        let bytes = Tokenizer::bytes();
        let pad = bytes.padding().unwrap();
        let end = bytes.vocab_size() as u32 + 1;
        let drawn = |stops: &[u32], wanted: u32| {
            let chain = Chain::new(&Sampling::greedy()).unwrap();
            let chain = chain.for_model(&bytes, bytes.vocab_size() + 3, stops).unwrap();
            let mut logits = vec![0.0; bytes.vocab_size() + 3];
            logits[wanted as usize] = 9.0;
            chain.sample(&mut logits, &[], 0).unwrap() == wanted
        };
        assert!(!drawn(&[], pad) && drawn(&[pad], pad));
        assert!(!drawn(&[], end) && drawn(&[end], end));
    }

    #[test]
    fn a_bias_on_a_token_that_there_is_not_is_an_error_with_both_numbers() {
        let bytes = Tokenizer::bytes();
        let biased = |id: u32| {
            let sampling = Sampling { logit_bias: BTreeMap::from([(id, 1.0)]), ..Sampling::default() };
            Chain::new(&sampling).unwrap().for_model(&bytes, bytes.vocab_size() + 3, &[])
        };
        assert!(biased(260).is_ok());
        for id in [261, 99_999] {
            let fault = biased(id).unwrap_err().to_string();
            assert!(fault.contains(&id.to_string()) && fault.contains("0 to 260"), "{fault}");
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
