//! Log-probabilities of what was drawn and of what was likeliest, by the model itself.
//!
//! ```text
//! log p(t) = logit_t − logsumexp(logits)
//! ```
//! Before penalties, truncation and temperature: they say what the model thinks, not what the chain made of it. A
//! suppressed token (padding, ids beyond the tokenizer) has its share all the same.

use serde::Serialize;

/// A token with its log-probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TokenLogProb {
    /// The token.
    pub id: u32,
    /// Its natural logarithm of probability.
    pub log_prob: f32,
}

/// What the model thought of one drawn token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogProbs {
    /// The token drawn.
    pub chosen: TokenLogProb,
    /// The likeliest tokens, the likeliest first, the lower id on a tie.
    pub top: Vec<TokenLogProb>,
}

/// `logsumexp(logits)` in two parts, the maximum and the rest: their sum would lose the rest beside a large maximum.
struct Normalizer {
    max: f32,
    rest: f64,
}

impl Normalizer {
    fn new(logits: &[f32]) -> Self {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
        Self { max, rest: sum.ln() }
    }

    fn of(&self, logits: &[f32], id: u32) -> TokenLogProb {
        let above = f64::from(logits[id as usize]) - f64::from(self.max);
        TokenLogProb { id, log_prob: (above - self.rest) as f32 }
    }
}

/// The `n` largest log-probabilities, the largest first, the lower id on a tie.
pub(crate) fn likeliest(logits: &[f32], n: usize) -> Vec<TokenLogProb> {
    let normalizer = Normalizer::new(logits);
    let mut ids: Vec<u32> =
        (0..logits.len() as u32).filter(|&id| logits[id as usize] > f32::NEG_INFINITY).collect();
    let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if n < ids.len() {
        ids.select_nth_unstable_by(n, order);
        ids.truncate(n);
    }
    ids.sort_unstable_by(order);
    ids.into_iter().map(|id| normalizer.of(logits, id)).collect()
}

impl LogProbs {
    /// Of `chosen`, with the `n` likeliest.
    pub(crate) fn new(logits: &[f32], chosen: u32, n: usize) -> Self {
        Self { chosen: Normalizer::new(logits).of(logits, chosen), top: likeliest(logits, n) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_the_likeliest_come_first() {
        let logits = [1.0, 3.0, -2.0, 3.0, f32::NEG_INFINITY];
        let all = likeliest(&logits, 9);
        assert_eq!(all.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 3, 0, 2]);
        let sum: f32 = all.iter().map(|t| t.log_prob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        let two = LogProbs::new(&logits, 2, 2);
        assert_eq!((two.chosen, &two.top[..]), (all[3], &all[..2]));
        assert!(LogProbs::new(&logits, 0, 0).top.is_empty());
    }

    #[test]
    fn large_logits_overflow_nothing() {
        let got = LogProbs::new(&[1e30, 1e30], 0, 1).chosen.log_prob;
        assert!((got + 2f32.ln()).abs() < 1e-6, "{got}");
        assert!(likeliest(&[f32::NEG_INFINITY], 3).is_empty());
    }
}
