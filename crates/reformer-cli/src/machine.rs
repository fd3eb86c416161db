//! What the program computes with: threads as asked or as there are cores, and a clock in seconds.

use std::time::Instant;

use anyhow::Context;
use reformer::tensor::Cpu;

use crate::args::{Global, Simd};
use crate::exit::usage;

/// The threads to compute with.
pub(crate) fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    global.threads.map_or_else(cores, usize::from)
}

/// Settles the vector instructions, before anything is computed.
pub(crate) fn choose_instructions(global: &Global) -> anyhow::Result<()> {
    match global.simd {
        Simd::Auto => Ok(()),
        Simd::Level(level) => level.choose().context("--simd").map_err(usage),
    }
}

/// Threads and workspace.
pub(crate) fn cpu(global: &Global) -> anyhow::Result<Cpu> {
    Cpu::new(threads(global)).context("cannot start the threads")
}

/// A clock in seconds.
pub(crate) fn clock() -> impl Fn() -> f64 {
    let start = Instant::now();
    move || start.elapsed().as_secs_f64()
}
