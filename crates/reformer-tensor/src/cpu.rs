//! What a computation on the host needs besides its operands.

use crate::{ThreadError, Threads, Workspace};

/// Threads and scratch memory, passed to everything that computes.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Who computes.
    pub threads: Threads,
    /// Where intermediate results go.
    pub workspace: Workspace,
}

impl Cpu {
    /// `threads` threads and an empty workspace.
    pub fn new(threads: usize) -> Result<Self, ThreadError> {
        Ok(Self { threads: Threads::new(threads)?, workspace: Workspace::new() })
    }

    /// The calling thread and an empty workspace.
    pub fn single() -> Self {
        Self { threads: Threads::single(), workspace: Workspace::new() }
    }
}
