//! `reformer bench`: how fast the parts and the whole are on this machine.
//!
//! ```text
//! per case:  data made → (one run to warm up) → timed runs → one JSON line or one row of a table
//! ```
//! Only library functions are timed, those that training and generating call. Every result names what was computed and
//! by which formula its operations were counted, so that a number can be checked without this source. Formulas count
//! masked pairs too: a kernel that skips them (other buckets, the future) may show more than the processor can do.
//!
//! | key | meaning |
//! |---|---|
//! | `seconds`, `min_seconds`, `runs` | median, fastest, how many |
//! | `gflops` | operations of the case's formula (`flops_formula`) over the median |
//! | `scratch_mb` | the most the workspace lent at one time: beyond inputs, outputs, buckets and z |
//! | `growth_mb` | what the process grew by while the case ran, all allocations and pages counted |
//! | `others_cpu` | the share of the machine that other programs took meanwhile; above a tenth there is a warning |
//! | `start_rss_mb`, `peak_rss_mb` | what the process held before the case's data was made, and the most it held |
//!
//! MB are 2²⁰ bytes.

mod attention;
mod clock;
mod gemm;
mod generate;
mod hash;
mod report;
mod shape;
mod train;

use std::process::ExitCode;

use reformer::lsh::BucketCount;
use reformer::tensor::{Address, Matrix, Purpose};

use crate::args::Global;
use crate::args::bench::{BenchCommand, SemanticsChoice};
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{number, process};

use report::Bench;

/// Measures what was asked for.
pub(crate) fn run(what: &BenchCommand, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    match what {
        BenchCommand::Attention(args) => {
            attention::run(args, &mut Bench::new(global, &args.timing, terminal)?)
        }
        BenchCommand::Hash(args) => hash::run(args, &mut Bench::new(global, &args.timing, terminal)?),
        BenchCommand::Gemm(args) => gemm::run(args, &mut Bench::new(global, &args.timing, terminal)?),
        BenchCommand::Train(args) => train::run(args, &mut Bench::new(global, &args.timing, terminal)?),
        BenchCommand::Generate(args) => generate::run(args, &mut Bench::new(global, &args.timing, terminal)?),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses sizes of zero: `("--length", 0)`.
fn positive(flags: &[(&str, usize)]) -> anyhow::Result<()> {
    match flags.iter().find(|(_, value)| *value == 0) {
        Some((flag, _)) => Err(usage(anyhow::anyhow!("{flag} 0 is nothing to measure: give at least 1"))),
        None => Ok(()),
    }
}

/// Refuses what this machine has no memory for. `bytes` is a float because products of typed numbers overflow.
fn fits(what: &str, bytes: f64, lower: &str) -> anyhow::Result<()> {
    let Some(free) = process::available() else { return Ok(()) };
    if bytes <= free as f64 {
        return Ok(());
    }
    let needed = if bytes < 2f64.powi(60) { number::bytes(bytes as usize) } else { format!("{bytes:.1e} B") };
    Err(usage(anyhow::anyhow!(
        "{what} needs about {needed}, and this machine has {} free: lower {lower}",
        number::bytes(free)
    )))
}

/// Buckets of a round where none are given: Hugging Face's number for the length, for the paper's semantics in small
/// factors.
fn automatic_buckets(length: usize, chunk: usize, semantics: SemanticsChoice) -> anyhow::Result<BucketCount> {
    let count = BucketCount::automatic(length, chunk, None).map_err(usage)?;
    let ours = semantics == SemanticsChoice::Paper;
    Ok(if ours { BucketCount::balanced(count.total().ilog2()) } else { count })
}

/// A matrix of standard normal numbers.
fn normal(seed: u64, which: u64, rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Address::new(seed, Purpose::Test).sub(which).fill_normal(matrix.as_mut_slice());
    matrix
}

/// Zeros whose pages are there already, so that the first run does not pay for them.
fn touched(rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    matrix.as_mut_slice().fill(f32::MIN_POSITIVE);
    matrix.as_mut_slice().fill(0.0);
    matrix
}
