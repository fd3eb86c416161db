//! Which tiles there are, in what order, and on which thread: the walk over a head's positions.
//!
//! | file | holds |
//! |---|---|
//! | `exact.rs` | every block of keys with every block of queries |
//! | `chunks.rs` | how a list of positions is cut, and what that says of who can be seen |
//! | `sorted.rs` | the positions of a round, sorted by bucket |
//! | `round.rs` | one round over a range of chunks, forward and backward |
//! | `rounds.rs` | all rounds, all ranges, threads |
//! | `overhang.rs` | gradients of keys that leave the tile: to their rows, or to a neighbour's range |
//!
//! A walk decides nothing about visibility (`visibility/`) and multiplies nothing (`tile/`).

pub(crate) mod chunks;
pub(crate) mod exact;
mod overhang;
mod round;
mod rounds;
mod sorted;

use reformer_tensor::Cpu;

use crate::heads::{Head, HeadGradients, HeadOutput, HeadUpstream};

/// The two ways of going through a head.
pub(crate) enum Walk<'a> {
    /// Every pair, or every pair that shares a bucket.
    Exact(exact::Exact<'a>),
    /// Chunks of a list, round after round.
    Chunks(chunks::ChunkedList<'a>),
}

impl Walk<'_> {
    /// Accumulates everything into `output`.
    pub(crate) fn forward(&self, cpu: &Cpu, head: &Head<'_>, output: &mut HeadOutput<'_>) {
        match self {
            Self::Exact(exact) => exact.forward(cpu, head, output),
            Self::Chunks(list) => rounds::forward(list, cpu, head, output),
        }
    }

    /// Adds all gradients to `into`.
    pub(crate) fn backward(
        &self,
        cpu: &Cpu,
        head: &Head<'_>,
        upstream: &HeadUpstream<'_>,
        into: &mut HeadGradients<'_>,
    ) {
        match self {
            Self::Exact(exact) => exact.backward(cpu, head, upstream, into),
            Self::Chunks(list) => rounds::backward(list, cpu, head, upstream, into),
        }
    }
}
