//! One training step at a length: its time, its peak memory as the system saw it, and what the formula says.
//!
//! ```text
//! cargo run --release -p reformer-model --example training_memory -- 16384 [rows] [blocks] [threads]
//! ```
//!
//! d 256, 6 blocks (local and LSH in turn), 4 heads, feed-forward 1024, 512 tokens of vocabulary, no optimizer. The
//! peak is the process' (`VmHWM`), less what it held before the model was made; run one length a process.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::time::Instant;

use reformer_model::config::{Buckets, Kind, PositionKind};
use reformer_model::memory::MemoryEstimate;
use reformer_model::{Batch, Config, Fields, Model, Pass};
use reformer_tensor::Cpu;

/// A line of `/proc/self/status` in bytes; 0 where there is no such file.
fn status(key: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|l| l.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (len, rows, blocks, threads) = (next(4096)?, next(1)?, next(6)?, next(2)?);
    let config = Config::check(Fields {
        vocab_size: 512,
        attn_layers: [Kind::Local, Kind::Lsh].into_iter().cycle().take(blocks).collect(),
        num_buckets: Some(Buckets::Single((2 * len / 64).next_power_of_two().clamp(2, 128))),
        position_embedding_type: Some(PositionKind::Sinusoidal),
        ..Fields::paper()
    })?;
    let estimate = MemoryEstimate::training(&config, rows, len, 0);
    let before = status("VmRSS:");
    let (model, cpu) = (Model::new(config, 1), Cpu::new(threads)?);
    let ids: Vec<u32> = (0..rows * (len + 1)).map(|i| (i * i % 509) as u32).collect();
    let batch = Batch::next_token(rows, len, &ids);
    let mut gradients = model.parameters().zeros_like();
    for step in 0..2 {
        let start = Instant::now();
        let scale = (1.0 / batch.weight()) as f32;
        let report =
            model.forward_backward(&cpu, &batch, &Pass::training(1, step), scale, &mut |g, gradient| {
                gradients.groups_mut()[g].data_mut().copy_from_slice(gradient.data());
            })?;
        println!("step {step}: {:.3} s, loss {:.4}", start.elapsed().as_secs_f64(), report.mean());
    }
    let (measured, formula) = (status("VmHWM:").saturating_sub(before), estimate.total_bytes());
    for (part, bytes) in estimate.parts() {
        println!("{part:22} {:9.1} MB", bytes as f64 / 1e6);
    }
    println!("workspace peak         {:9.1} MB", cpu.workspace.peak_bytes() as f64 / 1e6);
    println!(
        "formula {:.1} MB, measured {:.1} MB, ratio {:.3}",
        formula as f64 / 1e6,
        measured as f64 / 1e6,
        formula as f64 / measured as f64
    );
    Ok(())
}
