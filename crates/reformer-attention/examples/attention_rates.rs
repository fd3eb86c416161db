//! How fast attention runs here, one case after another: median seconds, GFLOP per second and thread, scratch.
//!
//! Useful flop: LSH `4·len·rounds·2m·d` a head, local `4·len·2m·d`, full `4·len·len/2·d` (causal); with the backward pass
//! 3.5 times that. Pairs that are skipped because nothing in them is visible count as useful, as the formula says.
//! LSH times include hashing and sorting.
//!
//! `cargo run --release -p reformer-attention --example attention_rates -- lsh 16384 2 forward 2` (kind, length, rounds, pass,
//! threads; `hf` is LSH attention with Hugging Face's rules)

#![allow(clippy::print_stdout, reason = "an example that prints a table")]

use std::time::Instant;

use reformer_attention::{
    FullConfig, Gradients, Inputs, KeyNorm, Layout, LocalConfig, LshConfig, Upstream, full_backward,
    full_forward, local_backward, local_forward, lsh_backward, lsh_forward,
};
use reformer_lsh::{BucketCount, Buckets, Rotations, hash_vectors};
use reformer_tensor::{Address, Cpu, Matrix, Purpose};

fn normal(stream: u64, rows: usize, cols: usize) -> Matrix {
    let mut x = Matrix::zeros(rows, cols);
    Address::new(1, Purpose::Test).sub(stream).fill_normal(x.as_mut_slice());
    x
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize, default: &str| words.get(i).map_or(default.to_owned(), Clone::clone);
    let (kind, len, rounds): (_, usize, usize) =
        (word(0, "lsh"), word(1, "16384").parse()?, word(2, "2").parse()?);
    let (backward, threads): (_, usize) = (word(3, "forward") != "forward", word(4, "1").parse()?);
    let heads: usize = word(5, "8").parse()?;
    let (dim, chunk): (usize, usize) = (word(6, "64").parse()?, 64);
    let cpu = Cpu::new(threads)?;
    let layout = Layout { batch: 1, len, heads, head_dim: dim };
    let (q, k, v) = (normal(1, len, heads * dim), normal(2, len, heads * dim), normal(3, len, heads * dim));
    let dout = normal(4, len, heads * dim);
    let (mut out, mut z) = (Matrix::zeros(len, heads * dim), vec![0.0; len * heads]);
    let (mut dq, mut dk, mut dv) = (out.clone(), out.clone(), out.clone());
    let mut lsh = if kind == "hf" { LshConfig::hugging_face(chunk) } else { LshConfig::paper(chunk) };
    lsh.exact_below = 0;
    let count = BucketCount::automatic(len, chunk, None)?;
    let rotations: Vec<_> =
        (0..heads as u32).map(|h| Rotations::draw(7, 0, h, dim, rounds, &count)).collect::<Result<_, _>>()?;
    let separate = kind == "full" || kind == "local";
    let inputs = if separate {
        Inputs::separate(q.view(), k.view(), v.view())
    } else {
        Inputs::shared(q.view(), v.view())
    };

    let mut run = || -> Result<f64, Box<dyn std::error::Error>> {
        let start = Instant::now();
        let mut buckets: Vec<Buckets> = Vec::new();
        let mut hashed = 0.0;
        match kind.as_str() {
            "full" | "shared" => {
                let config = if separate { FullConfig::causal() } else { FullConfig::shared(KeyNorm::Rms) };
                full_forward(&cpu, &config, layout, &inputs, out.view_mut(), &mut z)?;
            }
            "local" => {
                let config = LocalConfig::causal(chunk);
                local_forward(&cpu, &config, layout, &inputs, out.view_mut(), &mut z)?;
            }
            _ => {
                for (h, rotations) in rotations.iter().enumerate() {
                    buckets.push(hash_vectors(&cpu, layout.band(q.view(), h), rotations, None)?);
                }
                hashed = start.elapsed().as_secs_f64();
                lsh_forward(&cpu, &lsh, layout, &inputs, &buckets, out.view_mut(), &mut z)?;
            }
        }
        if backward {
            let upstream = Upstream { out: out.view(), z: &z, dout: dout.view() };
            let into =
                Gradients { dq: dq.view_mut(), dk: separate.then(|| dk.view_mut()), dv: dv.view_mut() };
            match kind.as_str() {
                "full" | "shared" => {
                    let config =
                        if separate { FullConfig::causal() } else { FullConfig::shared(KeyNorm::Rms) };
                    full_backward(&cpu, &config, layout, &inputs, &upstream, into)?;
                }
                "local" => {
                    local_backward(&cpu, &LocalConfig::causal(chunk), layout, &inputs, &upstream, into)?;
                }
                _ => lsh_backward(&cpu, &lsh, layout, &inputs, &buckets, &upstream, into)?,
            }
        }
        let total = start.elapsed().as_secs_f64();
        if words.get(7).is_some() {
            println!("hashing {hashed:.5} of {total:.5}");
        }
        Ok(total)
    };
    run()?;
    cpu.workspace.reset_peak();
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || (times.len() < 15 && begun.elapsed().as_secs_f64() < 2.0) {
        times.push(run()?);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let pairs = match kind.as_str() {
        "full" | "shared" => len * len / 2,
        "local" => len * 2 * chunk,
        _ => len * rounds * 2 * chunk,
    };
    let flop = 4.0 * (pairs * dim * heads) as f64 * if backward { 3.5 } else { 1.0 };
    println!(
        "{kind:6} {len:8} x {heads} of {dim}  rounds {rounds}  backward {backward:5}  threads {threads}: {median:.5} s  \
         {:6.1} GFLOP/s a thread  scratch {:.2} MB  {:.2} us a token",
        flop / median / threads as f64 / 1e9,
        cpu.workspace.peak_bytes() as f64 / 1e6,
        median / len as f64 * 1e6,
    );
    Ok(())
}
