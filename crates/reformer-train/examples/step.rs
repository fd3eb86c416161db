//! Time and memory of a whole training step, and of its sublayers alone.
//!
//! ```text
//! cargo run --release -p reformer-train --example step -- LEN [key=value…]
//!   rows=1 d=512 layers=6 ff=2048 heads=8 vocab=256 rounds=2 kinds=lsh[,local,full] threads=2 steps=3
//!   optimizer=adamw|adafactor in_backward=false clip=1 parts=0 dtype=f32|bf16 gradient_streams=f32|bf16 piece=0
//! ```
//!
//! Prints the median of the steps after one to warm up, tokens a second, the share of the roofline (every operation of
//! the step, recomputation included, at 100 GFLOP/s a thread), the peak of the process and of the workspace. `parts=1`
//! times each sublayer of the first block alone, forward and reverse.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::HashMap;
use std::time::Instant;

use reformer_model::config::{Config, Fields, Kind};
use reformer_model::flops::{PartFlops, flops_by_part, flops_per_token};
use reformer_model::memory::{MemoryEstimate, Setup};
use reformer_model::sublayer::{Shape, Sublayer};
use reformer_model::{Batch, GradientStream, Model, Pass};
use reformer_tensor::{Address, Cpu, Matrix, Purpose};
use reformer_train::{Learner, Recipe};

/// Operations a second that a thread is measured against.
const ROOF: f64 = 100e9;

/// A line of `/proc/self/status` in bytes; 0 where there is no such file.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let len: usize = arguments.next().unwrap_or_else(|| "4096".into()).parse()?;
    let given: HashMap<String, String> =
        arguments.filter_map(|a| a.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect();
    let number = |key: &str, default: usize| given.get(key).map_or(Ok(default), |v| v.parse());
    let (rows, d, layers) = (number("rows", 1)?, number("d", 512)?, number("layers", 6)?);
    let (heads, threads, steps) = (number("heads", 8)?, number("threads", 2)?, number("steps", 3)?);
    let kinds: Vec<Kind> = given
        .get("kinds")
        .map_or("lsh", String::as_str)
        .split(',')
        .map(|kind| serde_json::from_value(kind.into()))
        .collect::<Result<_, _>>()?;
    let side = 1 << (len.next_power_of_two().ilog2() / 2);
    let config = Config::check(Fields {
        vocab_size: number("vocab", 256)?,
        hidden_size: d,
        feed_forward_size: number("ff", 2048)?,
        num_attention_heads: heads,
        attention_head_size: d / heads,
        num_hashes: number("rounds", 2)?,
        chunk_size_feed_forward: number("piece", 0)?,
        attn_layers: kinds.into_iter().cycle().take(layers).collect(),
        axial_pos_shape: vec![side, len.next_power_of_two() / side],
        axial_pos_embds_dim: vec![d / 4, d - d / 4],
        ..Fields::paper()
    })?;
    let gradient_streams = given.get("gradient_streams").map_or("f32", String::as_str).parse()?;
    let optimizer = given.get("optimizer").map_or("adamw", String::as_str);
    let in_backward = given.get("in_backward").map_or("false", String::as_str);
    let sets = [
        ("kind", optimizer),
        ("in_backward", in_backward),
        ("clip", given.get("clip").map_or("1", String::as_str)),
    ];
    let sets = sets.map(|(key, value)| (format!("optimizer.{key}"), value.to_owned()));
    let recipe = Recipe::parse("", &sets)?.optimizer;
    let cpu = Cpu::new(threads)?.with_precision(given.get("dtype").map_or("f32", String::as_str).parse()?);
    let ids: Vec<u32> = (0..rows * (len + 1))
        .map(|i| Address::new(1, Purpose::Test).bits(i as u64) % config.vocab_size as u32)
        .collect();
    let batch = Batch::next_token(rows, len, &ids);
    let tokens = (rows * len) as f64;
    let roof = ROOF * threads as f64;
    if number("parts", 0)? == 1 {
        parts(&config, &cpu, rows, len, roof)?;
    }

    let mut learner = Learner::new(Model::new(config.clone(), 1), &recipe);
    let mut seconds = Vec::new();
    for step in 0..=steps as u64 {
        let start = Instant::now();
        let pass = Pass { gradient_streams, ..Pass::training(1, step) };
        let report = learner.step(&cpu, &[(batch.clone(), pass)], 1e-3)?;
        let took = start.elapsed().as_secs_f64();
        println!(
            "step {step}: {took:.3} s, loss {:.4}, norm {:.4}",
            report.loss.mean(),
            report.gradient_norm
        );
        if step > 0 || steps == 0 {
            seconds.push(took);
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let flops = flops_per_token(&config, len).training as f64 * tokens;
    println!(
        "median {median:.3} s   {:.0} tokens/s   {:.1} GFLOP/s   {:.1} % of the roofline ({:.0} tokens/s)",
        tokens / median,
        flops / median / 1e9,
        100.0 * flops / median / roof,
        roof * tokens / flops
    );
    let setup = Setup {
        in_backward: recipe.in_backward,
        gradient_streams,
        ..Setup::trainer(recipe.kind.state_bytes())
    };
    let estimate = MemoryEstimate::of(&config, rows, len, &setup);
    for (part, bytes) in estimate.parts() {
        println!("{part:22} {:9.1} MB", bytes as f64 / 1e6);
    }
    println!("estimate {:.1} MB", estimate.total_bytes() as f64 / 1e6);
    println!(
        "peak {:.1} MB, workspace {:.1} MB",
        status("VmHWM:") / 1e6,
        cpu.workspace.peak_bytes() as f64 / 1e6
    );
    Ok(())
}

/// Attention and feed-forward of the first block, forward and reverse, three times each.
fn parts(
    config: &Config,
    cpu: &Cpu,
    rows: usize,
    len: usize,
    roof: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::new(config.clone(), 1);
    let pass = Pass::training(1, 0);
    let block = model.block(0, Shape { rows, len, mask: None }, &pass)?;
    let stream = |seed| {
        let mut x = Matrix::zeros(rows * len, config.hidden_size);
        Address::new(seed, Purpose::Test).fill_normal(x.as_mut_slice());
        x
    };
    let (x, mut y) = (stream(1), stream(2));
    let (dy, mut dx): (GradientStream, GradientStream) = (stream(3).into(), stream(4).into());
    let mut gradient = model.parameters().group(1).zeros_like();
    let flops = |names: &[&str], times: &dyn Fn(&PartFlops) -> usize| {
        let parts = flops_by_part(config, len).into_iter().filter(|p| names.contains(&p.part));
        parts.map(|p| times(&p)).sum::<usize>() as f64 * (rows * len) as f64 / config.layers() as f64
    };
    let show = |name: &str, mut seconds: Vec<f64>, flops: f64| {
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        println!(
            "{name:22} {:9.2} ms  {:5.1} % of the roofline",
            1e3 * median,
            100.0 * flops / median / roof
        );
    };
    let attention = ["attention", "hashing", "projections"];
    let forward = |p: &PartFlops| p.forward;
    let reverse = |p: &PartFlops| p.training - p.forward;
    let mut times = vec![Vec::new(); 4];
    for _ in 0..4 {
        let at = Instant::now();
        let saved = block.f.forward(cpu, &x, &mut y)?;
        times[0].push(at.elapsed().as_secs_f64());
        let at = Instant::now();
        block.f.reverse_and_grad(cpu, &x, &saved, &mut y, &dy, &mut dx, &mut gradient)?;
        times[1].push(at.elapsed().as_secs_f64());
        let at = Instant::now();
        block.g.forward(cpu, &x, &mut y)?;
        times[2].push(at.elapsed().as_secs_f64());
        let at = Instant::now();
        block.g.reverse_and_grad(cpu, &x, &(), &mut y, &dy, &mut dx, &mut gradient)?;
        times[3].push(at.elapsed().as_secs_f64());
    }
    let mut times = times.into_iter().map(|t| t[1..].to_vec());
    let mut next = || times.next().unwrap_or_default();
    show("attention, forward", next(), flops(&attention, &forward));
    show("attention, reverse", next(), flops(&attention, &reverse));
    show("feed-forward, forward", next(), flops(&["feed-forward"], &forward));
    show("feed-forward, reverse", next(), flops(&["feed-forward"], &reverse));
    Ok(())
}
