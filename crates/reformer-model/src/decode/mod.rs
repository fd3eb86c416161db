//! Decoding: a state that remembers what each layer needs of the tokens so far, and a [`Decoder`] that adds to it.
//!
//! | layer | remembers | a step sees |
//! |---|---|---|
//! | local | k, v of its reach and of [`DecodeOptions::undo`] positions more | its chunk so far and the chunks before, as the forward pass |
//! | full | k, v | everything so far, as the forward pass |
//! | LSH, same bucket only | k, v, a table bucket → positions per head and round | per round the latest `(before + 1)·m` positions of its bucket, each once |
//! | LSH, as Hugging Face | the same | per round the chunks around its rank; up to one chunk everything |
//!
//! [`reformer_attention::decode`] says which keys those are and why. With `attention = Some(Full)` LSH layers attend to
//! everything, exactly: slower with every token, and the measure of what hashing leaves out.
//!
//! A state is a value: [`Clone`] forks it (pages of keys and values are shared until one side writes), [`DecodeState::truncate`]
//! takes tokens back, [`DecodeState::save`] and [`DecodeState::load`] keep it between runs.
//!
//! **Memory**, of `h` heads of `d` columns and `r` rounds, in numbers of 4 bytes (2 with [`Storage::Bf16`]): a full layer takes
//! `2·h·d` numbers a token; an LSH layer the same and about `10·r·h` bytes of buckets; a local layer none beyond its reach.
//!
//! Causal models only; no dropout; logits of the last token.

mod file;
mod read;
mod weights;

use std::sync::Arc;

use reformer_attention::decode::PAGE;
use reformer_attention::{Attention, BucketTable, KeyValues};

pub use reformer_attention::Storage;

use crate::config::{Config, Kind};
use crate::error::{ModelError, Result};
use crate::model::Model;
use crate::sublayer::semantics;

pub use read::{Decoder, FIRST_PIECE, PIECE};
pub use weights::Packed;

/// How a state remembers, and what LSH layers compute from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The number type of keys and values.
    pub storage: Storage,
    /// What LSH layers compute, if not LSH: `Some(Kind::Full)` is exact shared-QK attention to everything so far.
    pub attention: Option<Kind>,
    /// Positions beyond their reach that local layers keep, so that the last `undo` tokens can be taken back.
    pub undo: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { storage: Storage::F32, attention: None, undo: 1024 }
    }
}

/// What a model remembers of one sequence.
#[derive(Clone, Debug)]
pub struct DecodeState {
    ids: Vec<u32>,
    options: DecodeOptions,
    layers: Vec<LayerState>,
}

/// What one layer remembers.
#[derive(Clone, Debug)]
pub(crate) struct LayerState {
    kind: Kind,
    rows: KeyValues,
    /// Per head; empty unless the layer hashes.
    tables: Vec<Arc<BucketTable>>,
    /// Steps sort below the prompt, as Hugging Face's do by mistake: see [`LayerState::lower`].
    lowered: bool,
}

impl LayerState {
    /// Hugging Face numbers buckets through all rounds, `id + round·B`, or `id + round·(B + 1)` where a prompt had to be
    /// padded. Its steps guess which, from the largest number that they find: if no head's last round holds one of its
    /// upper buckets, they take `B` beside a prompt's `B + 1`, and a step's bucket in round r sorts r places too low. To
    /// say what it says, tables of such layers have `rounds − 1` buckets more, below the others, for steps to fall into.
    fn lower(&mut self, rounds: usize, total: usize) -> Result<()> {
        let upper = |table: &BucketTable| {
            let ids = table.ids().iter().skip(rounds - 1).step_by(rounds);
            ids.copied().any(|id| id as usize + rounds > total)
        };
        if rounds == 1 || self.tables.iter().any(|table| upper(table)) {
            return Ok(());
        }
        for table in &mut self.tables {
            let mut raised = BucketTable::new(rounds, total + rounds - 1);
            for ids in table.ids().chunks(rounds) {
                let ids: Vec<u32> = ids.iter().map(|id| id + rounds as u32 - 1).collect();
                raised.push(&ids)?;
            }
            *table = Arc::new(raised);
        }
        self.lowered = true;
        Ok(())
    }

    /// Buckets of a round of this layer's tables.
    fn table_buckets(&self, rounds: usize, total: usize) -> usize {
        if self.lowered { total + rounds - 1 } else { total }
    }
}

/// The attention of a layer's steps. Length decides only whether a local layer has neighbours; a step finds that out itself.
fn attention(config: &Config, layer: usize, options: &DecodeOptions) -> Attention {
    semantics::attention(config, layer, usize::MAX, options.attention)
}

impl DecodeState {
    pub(crate) fn new(model: &Model, options: DecodeOptions) -> Self {
        let config = model.config();
        let layer = |layer: usize| {
            let tables =
                if attention(config, layer, &options).hashes() { model.rotations(layer) } else { &[] };
            let table = |_| Arc::new(BucketTable::new(config.num_hashes, config.buckets().total()));
            LayerState {
                kind: config.attn_layers[layer],
                rows: KeyValues::new(config.num_attention_heads, config.attention_head_size, options.storage),
                tables: tables.iter().map(table).collect(),
                lowered: false,
            }
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
        let needed = |layer: usize| attention(config, layer, &self.options).first_seen(len);
        let kept = |(l, layer): (usize, &LayerState)| len == 0 || needed(l) >= layer.rows.first_kept();
        if !self.layers.iter().enumerate().all(kept) {
            return Err(ModelError::Forgotten { wanted: len, len: self.len(), undo: self.options.undo });
        }
        self.ids.truncate(len);
        for layer in &mut self.layers {
            if len == 0 {
                layer.lowered = false;
                let (storage, old) = (self.options.storage, &layer.rows);
                layer.rows = KeyValues::new(old.heads(), old.head_dim(), storage);
            } else {
                layer.rows.truncate(len);
            }
            for table in &mut layer.tables {
                if len == 0 {
                    *table = Arc::new(BucketTable::new(config.num_hashes, config.buckets().total()));
                } else {
                    Arc::make_mut(table).truncate(len);
                }
            }
        }
        Ok(())
    }

    /// Heap bytes held, pages shared with forks included.
    pub fn bytes(&self) -> usize {
        let of = |layer: &LayerState| {
            layer.rows.bytes() + layer.tables.iter().map(|table| table.bytes()).sum::<usize>()
        };
        self.ids.capacity() * size_of::<u32>() + self.layers.iter().map(of).sum::<usize>()
    }

    /// Bytes that each further token takes once local layers have their reach: keys and values of the other layers, and
    /// the buckets' ids and places (about).
    pub fn bytes_per_token(&self) -> usize {
        let of = |layer: &LayerState| match layer.kind {
            Kind::Local => 0,
            Kind::Full | Kind::Lsh => {
                let buckets: usize = layer.tables.iter().map(|table| 10 * table.rounds()).sum();
                layer.rows.bytes_per_position() + buckets
            }
        };
        size_of::<u32>() + self.layers.iter().map(of).sum::<usize>()
    }

    /// Gives back what no later step and no allowed undoing will see.
    fn forget(&mut self, config: &Config) {
        let (len, options) = (self.len(), self.options);
        for (l, layer) in self.layers.iter_mut().enumerate() {
            let seen = attention(config, l, &options).first_seen(len.saturating_sub(options.undo));
            layer.rows.forget_before(seen);
        }
    }

    /// Fails if another model's shape made this state.
    fn check(&self, config: &Config) -> Result<()> {
        let own = |(l, layer): (usize, &LayerState)| {
            layer.kind == config.attn_layers[l]
                && layer.rows.heads() == config.num_attention_heads
                && layer.rows.head_dim() == config.attention_head_size
                && layer.tables.iter().all(|t| {
                    let buckets = layer.table_buckets(config.num_hashes, config.buckets().total());
                    (t.rounds(), t.num_buckets()) == (config.num_hashes, buckets)
                })
        };
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

/// What a prompt's layer shows: its projections and its buckets (none unless it hashes).
pub(crate) type Seen<'s> = dyn FnMut(&[reformer_tensor::LeasedMatrix], &[reformer_lsh::Buckets]) + 's;
