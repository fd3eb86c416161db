//! Which attention a layer computes, with every switch that the config sets.
//!
//! The only place where config keys become [`LshConfig`], [`LocalConfig`] and [`FullConfig`].

use reformer_attention::decode::{Scratch, Step, full_step, local_step, lsh_step};
use reformer_attention::{
    BucketTable, Duplicates, FullConfig, Gradients, Inputs, KeyNorm, Keys, Layout, LocalConfig, LshConfig,
    Result, Upstream, full_backward, full_forward, local_backward, local_forward, lsh_backward, lsh_forward,
};
use reformer_lsh::{Buckets, Wrap};
use reformer_tensor::{Cpu, ViewMut};

use crate::config::{ChunkWrap, Config, KeyNormKind, Kind};

/// What computes the attention, with its semantics.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kernel {
    Lsh(LshConfig),
    Local(LocalConfig),
    Full(FullConfig),
}

impl Kernel {
    /// The kernel of a layer for sequences of `len` tokens; `instead` is what LSH layers compute if not LSH.
    pub(crate) fn new(config: &Config, layer: usize, len: usize, instead: Option<Kind>) -> Self {
        let own = config.attn_layers[layer];
        let kind = if own == Kind::Lsh { instead.unwrap_or(own) } else { own };
        let norm = match config.lsh_key_norm {
            KeyNormKind::Rms => KeyNorm::Rms,
            KeyNormKind::UnitScaled => KeyNorm::UnitScaled,
        };
        let keys = if own == Kind::Lsh { Keys::Shared(norm) } else { Keys::Separate };
        let dropout = match own {
            Kind::Lsh => config.lsh_attention_probs_dropout_prob,
            Kind::Local | Kind::Full => config.local_attention_probs_dropout_prob,
        } as f32;
        // Foreign semantics let padded queries attend; where the paper's hold, nobody reads them and they cost nothing.
        let mask_queries = config.lsh_chunk_wrap == ChunkWrap::Bounded;
        let wrap = match config.lsh_chunk_wrap {
            ChunkWrap::Circular => Wrap::Circular,
            ChunkWrap::Bounded => Wrap::Bounded,
        };
        let causal = config.is_decoder;
        match kind {
            Kind::Lsh => {
                let correct = config.lsh_duplicate_correction;
                Self::Lsh(LshConfig {
                    chunk_length: config.lsh_attn_chunk_length,
                    chunks_before: config.lsh_num_chunks_before,
                    chunks_after: config.lsh_num_chunks_after,
                    wrap,
                    causal,
                    causal_len: None,
                    same_bucket: config.lsh_same_bucket_only,
                    duplicates: if correct { Duplicates::Correct } else { Duplicates::Keep },
                    keys: norm,
                    mask_queries,
                    unmaskable: 0,
                    dropout,
                    exact_below: config.exact_below(),
                })
            }
            Kind::Local => {
                // One chunk has no neighbours: round a circle of one it would see itself twice.
                let short = len <= config.local_attn_chunk_length;
                let chunks = |n: usize| if short { 0 } else { n };
                Self::Local(LocalConfig {
                    chunk_length: config.local_attn_chunk_length,
                    chunks_before: chunks(config.local_num_chunks_before),
                    chunks_after: chunks(config.local_num_chunks_after),
                    wrap,
                    causal,
                    keys,
                    mask_queries,
                    unmaskable: 0,
                    dropout,
                })
            }
            Kind::Full => Self::Full(FullConfig {
                causal,
                causal_len: None,
                keys,
                mask_queries,
                unmaskable: 0,
                dropout,
            }),
        }
    }

    /// Overwrites `out` and `z`. Only what [`Kernel::needs_buckets`] looks at `buckets`.
    pub(crate) fn forward(
        &self,
        cpu: &Cpu,
        layout: Layout,
        inputs: &Inputs<'_>,
        buckets: &[Buckets],
        out: ViewMut<'_>,
        z: &mut [f32],
    ) -> Result<()> {
        match self {
            Self::Lsh(config) => lsh_forward(cpu, config, layout, inputs, buckets, out, z),
            Self::Local(config) => local_forward(cpu, config, layout, inputs, out, z),
            Self::Full(config) => full_forward(cpu, config, layout, inputs, out, z),
        }
    }

    /// Adds to `gradients`; `buckets` are the forward pass's.
    pub(crate) fn backward(
        &self,
        cpu: &Cpu,
        layout: Layout,
        inputs: &Inputs<'_>,
        buckets: &[Buckets],
        upstream: &Upstream<'_>,
        gradients: Gradients<'_>,
    ) -> Result<()> {
        match self {
            Self::Lsh(config) => lsh_backward(cpu, config, layout, inputs, buckets, upstream, gradients),
            Self::Local(config) => local_backward(cpu, config, layout, inputs, upstream, gradients),
            Self::Full(config) => full_backward(cpu, config, layout, inputs, upstream, gradients),
        }
    }

    /// The newest position's output. An LSH step reads the `table` that its buckets were pushed to.
    pub(crate) fn step(
        &self,
        step: &Step<'_>,
        table: Option<&BucketTable>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<()> {
        match self {
            Self::Lsh(config) => {
                let table = table.expect("a head that hashes has a table");
                lsh_step(config, step, table, scratch, out)
            }
            Self::Local(config) => local_step(config, step, scratch, out),
            Self::Full(config) => full_step(config, step, scratch, out),
        }
    }

    /// Whether this is LSH, so that steps need a table of buckets.
    pub(crate) fn is_lsh(&self) -> bool {
        matches!(self, Self::Lsh(_))
    }

    /// Whether a forward pass over `len` positions needs their buckets.
    pub(crate) fn needs_buckets(&self, len: usize) -> bool {
        matches!(self, Self::Lsh(lsh) if lsh.needs_buckets(len))
    }

    /// The earliest position that a step at `position`, or any later one, may look at.
    pub(crate) fn first_seen(&self, position: usize) -> usize {
        match self {
            Self::Local(local) => local.first_seen(position),
            Self::Lsh(_) | Self::Full(_) => 0,
        }
    }

    /// Share of probabilities dropped in training.
    pub(crate) fn dropout(&self) -> f32 {
        match self {
            Self::Lsh(c) => c.dropout,
            Self::Local(c) => c.dropout,
            Self::Full(c) => c.dropout,
        }
    }

    /// How keys are made.
    pub(crate) fn keys(&self) -> Keys {
        match self {
            Self::Lsh(c) => Keys::Shared(c.keys),
            Self::Local(c) => c.keys,
            Self::Full(c) => c.keys,
        }
    }

    /// Number of projections: query_key and value, or query, key and value.
    pub(crate) fn projections(&self) -> usize {
        if matches!(self.keys(), Keys::Shared(_)) { 2 } else { 3 }
    }

    /// Bytes of the kernel's own scratch in the reverse pass for some rows and heads: tiles of a fixed size and, for each
    /// band (row and head) at work, `D`, and with LSH the sorted order, its inverse and the codes of where a position
    /// meets others.
    pub(crate) fn working_set(&self, config: &Config, rows: usize, heads: usize, len: usize) -> usize {
        /// Bands at work: one a thread; the formula is for two threads, which more do not change by a per cent.
        const AT_WORK: usize = 2;
        let at_work = AT_WORK.min(rows * heads);
        let numbers = match self {
            Self::Lsh(lsh) if !lsh.is_exact(len) => len * (1 + 3 * config.num_hashes),
            _ => len,
        };
        at_work * numbers * size_of::<u32>()
    }
}
