//! `reformer bench generate`: a prompt read at once, then tokens one at a time, each the likeliest after the last.
//!
//! `seconds` is that of one step: a token of each of `--batch` sequences, which share the prompt and go on alone. A
//! run is the whole prompt and `--new` steps; the medians are over all runs (prompts) and all steps of all runs.
//! `--dtype bf16` is what `generate --weights bf16` is: packed weights, prompts in bf16 products, f32 everything
//! else.

use std::time::Instant;

use reformer::model::memory::parameter_count;
use reformer::model::{DecodeState, Decoder, Model};
use reformer::tensor::{Cpu, Precision};
use serde_json::json;

use super::clock::{self, Times};
use super::report::{Bench, Result};
use super::train::tokens;
use super::{positive, shape};
use crate::args::bench::GenerateBench;
use crate::exit::usage;
use crate::{number, open_model, process};

/// Measures every prompt length.
pub(super) fn run(args: &GenerateBench, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    positive(&[("--new", args.new), ("--batch", args.batch)])?;
    let what = match &args.dir {
        Some(dir) => dir.display().to_string(),
        None => shape::words(&args.model),
    };
    bench.title(&format!(
        "generating {} tokens of {} at once: {what}",
        number::count(args.new),
        args.batch
    ))?;
    for &prompt in &args.prompt {
        positive(&[("--prompt", prompt)])?;
        measure(args, bench, prompt)?;
    }
    Ok(())
}

fn measure(args: &GenerateBench, bench: &mut Bench<'_>, prompt: usize) -> anyhow::Result<()> {
    let (cpu, dtype) = (bench.cpu.clone(), args.model.dtype);
    let case = bench.begin();
    let mut model = match &args.dir {
        Some(dir) => Model::load(&open_model::checkpoint(dir)?)?,
        None => Model::new(shape::config(&args.model, prompt.saturating_add(args.new))?, bench.seed),
    };
    let packed = (dtype == Precision::Bf16).then(|| model.pack_bf16());
    let decoder = Decoder::new(&model).with_packed(packed.as_ref());
    let config = model.config();
    config.check_length(prompt + args.new).map_err(usage)?;
    let ids = tokens(bench.seed, 1, prompt, config.vocab_size).inputs;
    let ready = process::now();
    cpu.workspace.reset_peak();
    let (mut prefills, mut steps, mut state_bytes) = (Vec::new(), Vec::new(), 0);
    clock::time(bench.timing(), || {
        let run = once(&cpu, &decoder, &ids, args)?;
        prefills.push(run.prefill);
        steps.extend(run.steps);
        state_bytes = run.states.iter().map(DecodeState::bytes).sum();
        Ok(())
    })?;
    // The first run warmed up, unless it was asked for.
    if !bench.timing().cold && prefills.len() > 1 {
        prefills.remove(0);
        steps.drain(..args.new);
    }
    let (prefills, measured) =
        (Times::new(prefills), bench.close(case, ready, state_bytes, Times::new(steps)));
    let (read, decoded) = (prompt as f64 / prefills.median(), args.batch as f64 / measured.times.median());
    let mut all = match &args.dir {
        Some(dir) => json!({ "model": dir, "layers": config.layers(), "d_model": config.hidden_size }),
        None => shape::parameters(&args.model, config),
    };
    let own = json!({
        "prompt": prompt,
        "new": args.new,
        "batch": args.batch,
        "dtype": dtype.name(),
        "weights_mb": decoder.weight_bytes() as f64 / (1 << 20) as f64,
        "parameters": parameter_count(config),
        "prefill_seconds": prefills.median(),
        "prefill_tokens_per_second": read.round(),
        "decode_tokens_per_second": (decoded * 10.0).round() / 10.0,
        "state_mb": state_bytes as f64 / (1 << 20) as f64,
    });
    if let (Some(all), Some(own)) = (all.as_object_mut(), own.as_object()) {
        all.extend(own.clone());
    }
    let result = Result {
        bench: "generate",
        parameters: all,
        flops: None,
        flops_formula: "",
        cells: vec![
            ("prompt", number::count(prompt)),
            ("reads tokens/s", number::count(read as usize)),
            ("writes tokens/s", format!("{decoded:.1}")),
        ],
    };
    bench.report(result, &measured)
}

struct Run {
    prefill: f64,
    steps: Vec<f64>,
    states: Vec<DecodeState>,
}

fn once(cpu: &Cpu, decoder: &Decoder<'_>, prompt: &[u32], args: &GenerateBench) -> anyhow::Result<Run> {
    let mut state = decoder.state();
    let start = Instant::now();
    let logits = decoder.prefill(cpu, &mut state, prompt)?;
    let prefill = start.elapsed().as_secs_f64();
    let mut states = vec![state; args.batch];
    let mut ids = vec![likeliest(&logits); args.batch];
    let mut steps = Vec::with_capacity(args.new);
    for _ in 0..args.new {
        let start = Instant::now();
        let logits = decoder.step_many(cpu, &mut states.iter_mut().collect::<Vec<_>>(), &ids)?;
        for (row, id) in ids.iter_mut().enumerate() {
            *id = likeliest(logits.row(row));
        }
        steps.push(start.elapsed().as_secs_f64());
    }
    Ok(Run { prefill, steps, states })
}

fn likeliest(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0) as u32
}
