//! How long a reply took: prefill and decode apart, because they scale differently.
//!
//! The clock is the caller's (a function that returns seconds), so that nothing here reads the time.

use serde::Serialize;

/// Counts and seconds of one generation, or a sum of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Tokens of the prompt, reused ones included.
    pub prompt_tokens: usize,
    /// Prompt tokens that were already in the decode state.
    pub reused_tokens: usize,
    /// Tokens generated.
    pub generated_tokens: usize,
    /// Seconds spent on the prompt.
    pub prefill_seconds: f64,
    /// Seconds spent on generated tokens.
    pub decode_seconds: f64,
}

impl Stats {
    /// Prompt tokens computed per second; 0 when nothing was computed.
    pub fn prefill_tokens_per_second(&self) -> f64 {
        rate(self.prompt_tokens - self.reused_tokens, self.prefill_seconds)
    }

    /// Tokens generated per second; 0 when none was.
    pub fn decode_tokens_per_second(&self) -> f64 {
        rate(self.generated_tokens, self.decode_seconds)
    }

    /// Adds another generation's counts.
    pub fn add(&mut self, other: &Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.reused_tokens += other.reused_tokens;
        self.generated_tokens += other.generated_tokens;
        self.prefill_seconds += other.prefill_seconds;
        self.decode_seconds += other.decode_seconds;
    }
}

fn rate(count: usize, seconds: f64) -> f64 {
    if count == 0 || seconds <= 0.0 { 0.0 } else { count as f64 / seconds }
}
