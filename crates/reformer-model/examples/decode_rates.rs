//! Prefill and decode rates at given prompt lengths, what of a step is reading weights, and many sequences together.
//!
//! ```text
//! cargo run --release -p reformer-model --example decode_rates -- lengths=256,2048,8192 steps=32 [weights=bf16]
//!     [storage=bf16] [layers=local,lsh] [semantics=hugging_face] [together=16] [threads=2] [fill=1]
//! ```
//! d 512, 6 layers, 8 heads, feed-forward 2048, vocabulary 32,000, 2 rounds, chunks of 64. The weights are random:
//! rates do not depend on them. `fill=1` fills the state to its length with steps' own appending instead of the forward
//! kernels. The memory's rate is what both threads read from a buffer larger than any cache, in the same process.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::BTreeMap;
use std::time::Instant;

use reformer_lsh::BucketCount;
use reformer_model::config::{Buckets, ChunkWrap, Kind, PositionKind};
use reformer_model::{Config, DecodeOptions, DecodeState, Decoder, Fields, Model};
use reformer_tensor::{Cpu, Matrix, Precision};

fn config(
    arguments: &BTreeMap<String, String>,
    longest: usize,
) -> Result<Config, Box<dyn std::error::Error>> {
    let said = |key: &str, default: &str| arguments.get(key).cloned().unwrap_or(default.into());
    let kinds: Vec<Kind> = said("layers", "local,lsh")
        .split(',')
        .map(|name| match name {
            "local" => Kind::Local,
            "full" => Kind::Full,
            _ => Kind::Lsh,
        })
        .collect();
    // As many buckets as the longest context asks for.
    let buckets = BucketCount::balanced((2 * longest / 64).next_power_of_two().ilog2().max(2));
    let foreign = said("semantics", "paper") == "hugging_face";
    Ok(Config::check(Fields {
        vocab_size: 32_000,
        hidden_size: 512,
        num_attention_heads: 8,
        attention_head_size: 64,
        feed_forward_size: 2048,
        attn_layers: kinds.into_iter().cycle().take(6).collect(),
        num_hashes: 2,
        num_buckets: Some(Buckets::Factored(buckets.factors().to_vec())),
        position_embedding_type: Some(PositionKind::Sinusoidal),
        lsh_same_bucket_only: !foreign,
        lsh_duplicate_correction: !foreign,
        lsh_chunk_wrap: if foreign { ChunkWrap::Circular } else { ChunkWrap::Bounded },
        ..Fields::paper()
    })?)
}

/// Bytes a second that all threads together read from memory.
fn memory_rate(cpu: &Cpu) -> f64 {
    let ones = Matrix::from_fn(1, 64 << 20, |_, j| (j % 7) as f32);
    let pieces: Vec<&[f32]> = ones.as_slice().chunks(1 << 18).collect();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        let sums = cpu.threads.map(pieces.clone(), reformer_tensor::simd::rows::sum);
        assert!(sums.iter().sum::<f32>() > 0.0);
        best = best.min(started.elapsed().as_secs_f64());
    }
    size_of_val(ones.as_slice()) as f64 / best
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pairs = std::env::args().skip(1);
    let arguments: BTreeMap<String, String> =
        pairs.filter_map(|a| a.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect();
    let number = |key: &str, default: usize| arguments.get(key).map_or(Ok(default), |v| v.parse());
    let lengths: Vec<usize> = match arguments.get("lengths") {
        Some(list) => list.split(',').map(str::parse).collect::<Result<_, _>>()?,
        None => vec![256, 2048, 8192],
    };
    let (steps, together, threads) = (number("steps", 32)?, number("together", 1)?, number("threads", 2)?);
    let is = |key: &str, value: &str| arguments.get(key).is_some_and(|v| v == value);

    let config = config(&arguments, lengths.iter().copied().max().unwrap_or(256))?;
    let mut model = Model::new(config, 1);
    let packed = is("weights", "bf16").then(|| model.pack_bf16());
    let cpu = Cpu::new(threads)?;
    let decoder = Decoder::new(&model).with_packed(packed.as_ref());
    let storage = if is("storage", "bf16") { Precision::Bf16 } else { Precision::F32 };
    let options = DecodeOptions { storage, undo: 0, ..DecodeOptions::default() };
    let rate = memory_rate(&cpu);
    println!(
        "{} parameters, {:.1} MB of weights a step, memory {:.1} GB/s",
        model.parameters().count(),
        decoder.weight_bytes() as f64 / 1e6,
        rate / 1e9
    );
    println!(
        "{:>9} {:>12} {:>10} {:>10} {:>9} {:>9} {:>12}",
        "context", "prefill t/s", "step ms", "tokens/s", "weights %", "state MB", "bytes/token"
    );
    for len in lengths {
        let ids: Vec<u32> = (0..len).map(|i| (i * i % 31_991) as u32).collect();
        let mut first = model.decode_state_with(options);
        let started = Instant::now();
        let start = usize::from(is("fill", "1"));
        if start == 1 {
            decoder.step(&cpu, &mut first, ids[0])?;
        }
        decoder.prefill(&cpu, &mut first, &ids[start..])?;
        let prefill = len as f64 / started.elapsed().as_secs_f64();
        let mut states: Vec<DecodeState> = (0..together).map(|_| first.clone()).collect();
        let bytes = first.bytes();
        drop(first);
        let mut seconds = Vec::new();
        for step in 0..steps {
            let next: Vec<u32> =
                (0..together).map(|i| ((step * 7919 + i * 104_729 + 17) % 31_991) as u32).collect();
            let mut refs: Vec<&mut DecodeState> = states.iter_mut().collect();
            let started = Instant::now();
            let logits = decoder.step_many(&cpu, &mut refs, &next)?;
            // Forks copy what they share in their first steps.
            if step >= 4 || steps < 8 {
                seconds.push(started.elapsed().as_secs_f64());
            }
            assert!(logits.as_slice()[0].is_finite());
        }
        let step = median(seconds);
        println!(
            "{len:>9} {prefill:>12.0} {:>10.3} {:>10.1} {:>9.1} {:>9.1} {:>12}",
            step * 1e3,
            together as f64 / step,
            decoder.weight_bytes() as f64 / rate / step * 100.0,
            bytes as f64 / 1e6,
            states[0].bytes_per_token(),
        );
    }
    Ok(())
}
