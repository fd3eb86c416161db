//! Decoding: a state that remembers what each layer needs of the tokens so far, and a [`Decoder`] that adds to it.
//!
//! | layer | remembers | a step sees |
//! |---|---|---|
//! | local | k, v of its reach (and some more) | its chunk so far and the chunks before, as the forward pass |
//! | full | k, v | everything so far, as the forward pass |
//! | LSH, same bucket only | k, v, tables | per round the latest `(before + 1)·m` positions of its bucket, each once |
//! | LSH, as Hugging Face | k, v, tables | per round the chunks around its rank; up to one chunk everything |
//!
//! Tables lead from a bucket to its positions, one for each head and round. Local layers keep [`DecodeOptions::undo`]
//! positions beyond their reach. [`reformer_attention::decode`] says which keys those are and why.
//!
//! With `attention = Some(Full)` LSH layers attend to everything, exactly: slower with every token, and the measure of
//! what hashing leaves out.
//!
//! A state is a value: [`Clone`] forks it (pages of keys and values are shared until one side writes),
//! [`DecodeState::truncate`] takes tokens back, [`DecodeState::save`] and [`DecodeState::load`] keep it between runs.
//!
//! **Memory**, of `h` heads of `d` columns and `r` rounds, in numbers of 4 bytes (2 with [`Precision::Bf16`]): a full
//! layer takes `2·h·d` numbers a token; an LSH layer the same and about `10·r·h` bytes of buckets; a local layer none
//! beyond its reach.
//!
//! Causal models only; no dropout; logits of the last token.

mod file;
mod read;

use reformer_attention::decode::PAGE;
use reformer_tensor::Precision;

use crate::config::{Config, Kind};
use crate::error::{ModelError, Result};
use crate::model::Model;
use crate::sublayer::layer_state::LayerState;
use crate::sublayer::semantics;

pub use read::{Decoder, FIRST_PIECE, PIECE};

/// How a state remembers, and what LSH layers compute from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The number type of keys and values.
    pub storage: Precision,
    /// What LSH layers compute, if not LSH: `Some(Kind::Full)` is exact shared-QK attention to everything so far.
    pub attention: Option<Kind>,
    /// Positions beyond their reach that local layers keep, so that the last `undo` tokens can be taken back.
    pub undo: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { storage: Precision::F32, attention: None, undo: 1024 }
    }
}

/// What a model remembers of one sequence.
#[derive(Clone, Debug)]
pub struct DecodeState {
    ids: Vec<u32>,
    options: DecodeOptions,
    layers: Vec<LayerState>,
}

impl DecodeState {
    pub(crate) fn new(model: &Model, options: DecodeOptions) -> Self {
        let config = model.config();
        let layer = |layer: usize| {
            // Asked of the steps' attention: exact attention in place of LSH has no use for tables.
            let hashes = semantics::of_steps(config, layer, options.attention).hashes();
            LayerState::new(config, layer, hashes, options.storage)
        };
        Self { ids: Vec::new(), options, layers: (0..config.layers()).map(layer).collect() }
    }

    /// Tokens seen.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The tokens seen, oldest first.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// How it remembers.
    pub fn options(&self) -> &DecodeOptions {
        &self.options
    }

    /// Forgets all but the first `len` tokens. Fails, changing nothing, if local layers have given back what the token
    /// after them would see ([`DecodeOptions::undo`] keeps more).
    pub fn truncate(&mut self, len: usize, config: &Config) -> Result<()> {
        if len >= self.len() {
            return Ok(());
        }
        // The next token's reach begins before the cut, and a local layer may have given that back already. It cannot
        // be computed again: that would need the layer's inputs, which nobody keeps.
        let needed =
            |layer: usize| semantics::of_steps(config, layer, self.options.attention).first_seen(len);
        let kept = |(l, layer): (usize, &LayerState)| len == 0 || needed(l) >= layer.key_values.first_kept();
        // All layers are asked before the first is cut: a refusal changes nothing.
        if !self.layers.iter().enumerate().all(kept) {
            return Err(ModelError::Forgotten { wanted: len, len: self.len(), undo: self.options.undo });
        }
        self.ids.truncate(len);
        self.layers.iter_mut().for_each(|layer| layer.truncate(len, config));
        Ok(())
    }

    /// After a read that failed: what layers have remembered of tokens that are not the state's goes.
    fn roll_back(&mut self, config: &Config) {
        let len = self.len();
        self.layers.iter_mut().for_each(|layer| layer.truncate(len, config));
    }

    /// Heap bytes held, pages shared with forks included.
    pub fn bytes(&self) -> usize {
        self.ids.capacity() * size_of::<u32>() + self.layers.iter().map(LayerState::bytes).sum::<usize>()
    }

    /// Bytes that each further token takes once local layers have their reach: keys and values of the other layers, and
    /// the buckets' ids and places (about).
    pub fn bytes_per_token(&self) -> usize {
        size_of::<u32>() + self.layers.iter().map(LayerState::bytes_per_token).sum::<usize>()
    }

    /// Gives back what no later step and no allowed undoing will see.
    fn forget(&mut self, config: &Config) {
        let (len, options) = (self.len(), self.options);
        // Nothing goes from layers that see everything: their first_seen is 0.
        for (l, layer) in self.layers.iter_mut().enumerate() {
            let seen = semantics::of_steps(config, l, options.attention)
                .first_seen(len.saturating_sub(options.undo));
            layer.key_values.forget_before(seen);
        }
    }

    /// Fails if another model's shape made this state.
    fn check(&self, config: &Config) -> Result<()> {
        let own = |(l, layer): (usize, &LayerState)| layer.fits(config, l);
        if self.layers.len() == config.layers() && self.layers.iter().enumerate().all(own) {
            return Ok(());
        }
        let got = format!("a state of {} layers that another model made", self.layers.len());
        Err(ModelError::Shape { what: "decode state", got, expected: "this model's own".into() })
    }

    /// Positions of a page, to which the reach of local layers is rounded.
    pub const PAGE: usize = PAGE;
}

impl Model {
    /// The state of an empty sequence.
    pub fn decode_state(&self) -> DecodeState {
        DecodeState::new(self, DecodeOptions::default())
    }

    /// The state of an empty sequence that remembers in its own way.
    pub fn decode_state_with(&self, options: DecodeOptions) -> DecodeState {
        DecodeState::new(self, options)
    }

    /// Reads tokens; the logits after the last. See [`Decoder::prefill`].
    pub fn prefill(
        &self,
        cpu: &reformer_tensor::Cpu,
        state: &mut DecodeState,
        ids: &[u32],
    ) -> Result<Vec<f32>> {
        Decoder::new(self).prefill(cpu, state, ids)
    }

    /// Reads one token; the logits after it. See [`Decoder::step`].
    pub fn step(&self, cpu: &reformer_tensor::Cpu, state: &mut DecodeState, id: u32) -> Result<Vec<f32>> {
        Decoder::new(self).step(cpu, state, id)
    }
}
