//! What a computation on the host needs besides its operands.

use crate::{Precision, ThreadError, Threads, Workspace};

/// Threads and scratch memory, passed to everything that computes, and the precision of its products.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Who computes.
    pub threads: Threads,
    /// Where intermediate results go.
    pub workspace: Workspace,
    precision: Precision,
}

impl Cpu {
    /// `threads` threads, an empty workspace, `f32` products.
    pub fn new(threads: usize) -> Result<Self, ThreadError> {
        Ok(Self::of(Threads::new(threads)?))
    }

    /// The calling thread, an empty workspace, `f32` products.
    pub fn single() -> Self {
        Self::of(Threads::single())
    }

    fn of(threads: Threads) -> Self {
        Self { threads, workspace: Workspace::new(), precision: Precision::F32 }
    }

    /// The same threads and workspace with products in `precision`, as far as this machine has it
    /// ([`Cpu::precision`] tells).
    #[must_use]
    pub fn with_precision(&self, precision: Precision) -> Self {
        Self { precision: precision.in_use(), ..self.clone() }
    }

    /// The precision in which large products are computed here.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}
