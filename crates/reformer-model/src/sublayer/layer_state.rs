//! What one layer remembers of a sequence, and the new rows that it is about to read.
//!
//! | layer | remembers |
//! |---|---|
//! | local | keys and values of its reach, and of some positions more so that tokens can be taken back |
//! | full | all keys and values |
//! | LSH | all keys and values, and per head a table from bucket to positions |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reformer_attention::{Attention, BucketTable, KeyValues};
use reformer_tensor::Precision;

use crate::config::{Config, Kind};
use crate::error::{ModelError, Result};
use crate::packed::Rows;

/// What one layer remembers.
#[derive(Clone, Debug)]
pub(crate) struct LayerState {
    pub(crate) kind: Kind,
    pub(crate) key_values: KeyValues,
    /// Per head; empty unless the layer hashes.
    // Behind an `Arc`, so that a fork of a long conversation shares tables until one side writes.
    pub(crate) tables: Vec<Arc<BucketTable>>,
    /// Steps sort below the prompt, as Hugging Face's do by mistake: see [`LayerState::lower`].
    pub(crate) lowered: bool,
}

/// New rows that all sequences of a call are about to read.
pub(crate) enum Reading<'s> {
    /// The first `len` rows are a whole prompt of one sequence whose state is empty; the rest is padding.
    Prompt { state: &'s mut LayerState, len: usize, stop: Option<&'s AtomicBool> },
    /// Each sequence's new rows, one sequence after another.
    Steps { sequences: Vec<NewRows<'s>>, rows: Rows, stop: Option<&'s AtomicBool> },
}

impl Reading<'_> {
    /// An error once somebody has asked to stop: each sublayer looks before it begins, since a piece of a prompt goes
    /// through all of them for seconds.
    pub(crate) fn go_on(&self) -> Result<()> {
        let (Self::Prompt { stop, .. } | Self::Steps { stop, .. }) = self;
        if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) { Err(ModelError::Stopped) } else { Ok(()) }
    }
}

/// One sequence's new rows.
pub(crate) struct NewRows<'s> {
    pub(crate) state: &'s mut LayerState,
    /// What its steps compute.
    pub(crate) attention: Attention,
    /// Position of the first new row.
    pub(crate) start: usize,
    /// How many.
    pub(crate) count: usize,
}

impl LayerState {
    /// An empty one. `hashes`: whether the layer's steps need tables of buckets.
    pub(crate) fn new(config: &Config, layer: usize, hashes: bool, storage: Precision) -> Self {
        let heads = config.num_attention_heads;
        let mut state = Self {
            kind: config.attn_layers[layer],
            key_values: KeyValues::new(heads, config.attention_head_size, storage),
            tables: Vec::new(),
            lowered: false,
        };
        if hashes {
            let table = BucketTable::new(config.num_hashes, state.table_buckets(config));
            state.tables = (0..heads).map(|_| Arc::new(table.clone())).collect();
        }
        state
    }

    /// Forgets all but the first `len` positions.
    pub(crate) fn truncate(&mut self, len: usize, config: &Config) {
        if len == 0 {
            // Pages that were given back are gone, so an empty state is a new one, and so is the guess about padding.
            let storage = self.key_values.storage();
            self.key_values = KeyValues::new(self.key_values.heads(), self.key_values.head_dim(), storage);
            self.lowered = false;
            let table = BucketTable::new(config.num_hashes, self.table_buckets(config));
            self.tables.iter_mut().for_each(|old| *old = Arc::new(table.clone()));
            return;
        }
        self.key_values.truncate(len);
        // A table that is short enough stays shared.
        for table in self.tables.iter_mut().filter(|table| table.len() > len) {
            Arc::make_mut(table).truncate(len);
        }
    }

    /// Hugging Face numbers buckets through all rounds, `id + round·B`, or `id + round·(B + 1)` where a prompt had to
    /// be padded. Its steps guess which, from the largest number that they find: if no head's last round holds one of
    /// its upper buckets, they take `B` beside a prompt's `B + 1`, and a step's bucket in round r sorts r places too
    /// low. To say what it says, tables of such layers have `rounds − 1` buckets more, below the others, for steps to
    /// fall into.
    pub(crate) fn lower(&mut self, config: &Config) -> Result<()> {
        let (rounds, total) = (config.num_hashes, config.buckets().total());
        let upper = |table: &BucketTable| {
            let ids = table.ids().iter().skip(rounds - 1).step_by(rounds);
            ids.copied().any(|id| id as usize + rounds > total)
        };
        if rounds == 1 || self.tables.iter().any(|table| upper(table)) {
            return Ok(());
        }
        self.lowered = true;
        for table in &mut self.tables {
            let mut raised = BucketTable::new(rounds, total + rounds - 1);
            for ids in table.ids().chunks(rounds) {
                let ids: Vec<u32> = ids.iter().map(|id| id + rounds as u32 - 1).collect();
                raised.push(&ids)?;
            }
            *table = Arc::new(raised);
        }
        Ok(())
    }

    /// Buckets of a round of this layer's tables.
    pub(crate) fn table_buckets(&self, config: &Config) -> usize {
        let total = config.buckets().total();
        if self.lowered { total + config.num_hashes - 1 } else { total }
    }

    /// Heap bytes held, pages shared with forks included.
    pub(crate) fn bytes(&self) -> usize {
        self.key_values.bytes() + self.tables.iter().map(|table| table.bytes()).sum::<usize>()
    }

    /// Bytes that a further token takes, about.
    pub(crate) fn bytes_per_token(&self) -> usize {
        // A local layer gives back as much as it takes once it has its reach.
        if self.kind == Kind::Local {
            return 0;
        }
        // A bucket's id (4 bytes) and its place in a chain of cache lines that are not always full.
        let buckets: usize = self.tables.iter().map(|table| 10 * table.rounds()).sum();
        self.key_values.bytes_per_position() + buckets
    }

    /// Whether a model of this config has made it as its layer `layer`.
    pub(crate) fn fits(&self, config: &Config, layer: usize) -> bool {
        let of_config = (config.num_hashes, self.table_buckets(config));
        self.kind == config.attn_layers[layer]
            && self.key_values.heads() == config.num_attention_heads
            && self.key_values.head_dim() == config.attention_head_size
            && self.tables.iter().all(|table| (table.rounds(), table.num_buckets()) == of_config)
    }
}
