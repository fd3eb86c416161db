//! Full attention, exact: `o_i = Σ_j softmax_j(q_i·k_j/√d) v_j`, in blocks with a running maximum and sum.
//!
//! With [`Keys::Shared`](crate::Keys) keys are the normalised queries and a position sees itself only if alone: what LSH
//! attention approximates. Memory beyond operands and `z` is one tile a thread, whatever the length.
//!
//! # Shapes
//! See [`crate::layout`].

use reformer_tensor::{Cpu, ViewMut};

use crate::band::{Band, Common, Known, Pass, Running, Sinks};
use crate::config::FullConfig;
use crate::error::Result;
use crate::exact::Exact;
use crate::layout::{Gradients, Inputs, Layout, Upstream};

impl FullConfig {
    fn common(&self, layout: Layout) -> Common {
        Common {
            layout,
            keys: self.keys,
            causal: self.causal,
            causal_len: self.causal_len,
            mask_queries: self.mask_queries,
            unmaskable: self.unmaskable,
            dropout: self.dropout,
        }
    }
}

struct Full;

const EVERY_PAIR: Exact<'static> = Exact { buckets: None, keep_duplicates: false };

impl Pass for Full {
    fn forward(&self, _: usize, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>) {
        EVERY_PAIR.forward(cpu, band, running);
    }

    fn backward(&self, _: usize, cpu: &Cpu, band: &Band<'_>, known: &Known<'_>, into: &mut Sinks<'_>) {
        EVERY_PAIR.backward(cpu, band, known, into);
    }
}

/// Overwrites `out` and `z`.
pub fn full_forward(
    cpu: &Cpu,
    config: &FullConfig,
    layout: Layout,
    inputs: &Inputs<'_>,
    out: ViewMut<'_>,
    z: &mut [f32],
) -> Result<()> {
    config.check()?;
    config.common(layout).forward(cpu, &Full, inputs, out, z)
}

/// Adds to `gradients`.
pub fn full_backward(
    cpu: &Cpu,
    config: &FullConfig,
    layout: Layout,
    inputs: &Inputs<'_>,
    upstream: &Upstream<'_>,
    gradients: Gradients<'_>,
) -> Result<()> {
    config.check()?;
    config.common(layout).backward(cpu, &Full, inputs, upstream, gradients)
}
