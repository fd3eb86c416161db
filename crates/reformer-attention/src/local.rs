//! Local attention: positions in chunks of `chunk_length`, each chunk sees itself and its neighbours.
//!
//! ```text
//! o_i = Σ_j softmax_j(q_i·k_j/√d) v_j      j in chunks ⌊i/m⌋ − before … ⌊i/m⌋ + after, and not later than i if causal
//! ```
//! LSH attention's walk over chunks, with one round and positions as they stand. Any length: the last chunk is shorter.
//!
//! # Shapes
//! See [`crate::layout`].

use reformer_tensor::{Cpu, ViewMut};

use crate::band::{Band, Common, Known, Pass, Running, Sinks};
use crate::chunked::Chunked;
use crate::config::LocalConfig;
use crate::error::Result;
use crate::layout::{Gradients, Inputs, Layout, Upstream};
use crate::weights::Meeting;

impl LocalConfig {
    fn common(&self, layout: Layout) -> Common {
        Common {
            layout,
            keys: self.keys,
            causal: self.causal,
            causal_len: None,
            mask_queries: self.mask_queries,
            unmaskable: self.unmaskable,
            dropout: self.dropout,
        }
    }
}

struct Local<'a>(&'a LocalConfig);

impl Local<'_> {
    fn chunked(&self, len: usize) -> Chunked<'static> {
        let config = self.0;
        Chunked {
            len,
            rounds: 1,
            chunk: config.chunk_length.min(len),
            before: config.chunks_before,
            after: config.chunks_after,
            wrap: config.wrap,
            buckets: None,
            same_bucket: false,
            meeting: Meeting::Uncounted,
        }
    }
}

impl Pass for Local<'_> {
    fn forward(&self, _: usize, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>) {
        self.chunked(band.len()).forward(cpu, band, running);
    }

    fn backward(&self, _: usize, cpu: &Cpu, band: &Band<'_>, known: &Known<'_>, into: &mut Sinks<'_>) {
        self.chunked(band.len()).backward(cpu, band, known, into);
    }
}

/// Overwrites `out` and `z`.
pub fn local_forward(
    cpu: &Cpu,
    config: &LocalConfig,
    layout: Layout,
    inputs: &Inputs<'_>,
    out: ViewMut<'_>,
    z: &mut [f32],
) -> Result<()> {
    config.check()?;
    config.common(layout).forward(cpu, &Local(config), inputs, out, z)
}

/// Adds to `gradients`.
pub fn local_backward(
    cpu: &Cpu,
    config: &LocalConfig,
    layout: Layout,
    inputs: &Inputs<'_>,
    upstream: &Upstream<'_>,
    gradients: Gradients<'_>,
) -> Result<()> {
    config.check()?;
    config.common(layout).backward(cpu, &Local(config), inputs, upstream, gradients)
}
