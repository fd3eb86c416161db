//! A small untrained model with its tokenizer, for several test files.

#![allow(dead_code, unreachable_pub, reason = "each including file uses the part it needs")]

use reformer_generate::{Generator, Sampling};
use reformer_model::config::{Fields, Kind};
use reformer_model::{Config, Model};
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;

/// Positions of the model.
pub const POSITIONS: usize = 96;

/// What it takes to generate.
pub struct Room {
    /// Threads.
    pub cpu: Cpu,
    /// Two layers, one of each kind.
    pub model: Model,
    /// Bytes.
    pub tokenizer: Tokenizer,
}

fn no_clock() -> f64 {
    0.0
}

impl Room {
    /// The same model for any number of threads.
    pub fn new(threads: usize) -> Self {
        let tokenizer = Tokenizer::bytes();
        let fields = Fields {
            // Three rows more than the tokenizer has: they must never be drawn.
            vocab_size: tokenizer.vocab_size() + 3,
            hidden_size: 16,
            num_attention_heads: 2,
            attention_head_size: 8,
            feed_forward_size: 32,
            attn_layers: vec![Kind::Local, Kind::Lsh],
            axial_pos_shape: vec![12, 8],
            axial_pos_embds_dim: vec![8, 8],
            // Large weights, so that replies are not all alike.
            initializer_range: 0.5,
            ..Fields::paper()
        };
        let model = Model::new(Config::check(fields).unwrap(), 3);
        Self { cpu: Cpu::new(threads).unwrap(), model, tokenizer }
    }

    /// A generator without a clock.
    pub fn generator(&self) -> Generator<'_> {
        Generator::new(&self.cpu, &self.model, &self.tokenizer, &no_clock).unwrap()
    }
}

/// Hot sampling, so that texts differ.
pub fn settings(seed: u64, max_tokens: usize) -> Sampling {
    Sampling { seed, max_tokens, temperature: 1.0, ..Sampling::default() }
}
