//! The rules of the sampling chain: each rewrites the logits of one position in place, and excludes a token by −∞.
//!
//! Nothing here knows of models, text or state.
//!
//! # Shapes
//! - `logits`: `[vocab_size]`, one position.
//! - `history`: the tokens so far, prompt included, oldest first.

use std::cmp::Ordering;

/// One step of the chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Never draw these tokens, nor any id at or above `from` (a vocabulary padded beyond its tokenizer) but the
    /// spared.
    Suppress {
        /// Excluded ids.
        tokens: Vec<u32>,
        /// First id that the tokenizer does not have.
        from: usize,
        /// Ids beyond it that may be drawn all the same: those that end a text.
        spared: Vec<u32>,
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
    /// Add to the logits of these tokens, which the vocabulary has ([`Chain::for_model`](crate::Chain) has looked).
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
            Self::Suppress { ref tokens, from, ref spared } => {
                let count = logits.len();
                let named = tokens.iter().map(|&token| token as usize).filter(|&id| id < count);
                let beyond = (from..count).filter(|&id| !spared.contains(&(id as u32)));
                for id in named.chain(beyond) {
                    logits[id] = f32::NEG_INFINITY;
                }
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
pub(crate) fn ranked(logits: &[f32]) -> Vec<(f32, usize)> {
    let mut ranked = alive(logits);
    ranked.sort_unstable_by(by_likelihood);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
