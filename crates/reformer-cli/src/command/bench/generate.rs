//! `reformer bench generate`: a prompt read at once, then tokens one at a time, each the likeliest after the last.
//!
//! `seconds` is that of one decoded token. A run is the whole prompt and `--new` tokens; the medians are over all runs
//! (prompts) and all tokens of all runs.

use std::time::Instant;

use reformer::model::memory::parameter_count;
use reformer::model::{DecodeState, Model};
use reformer::tensor::Cpu;
use serde_json::json;

use super::clock::{self, Times};
use super::report::{Bench, Result};
use super::train::tokens;
use super::{positive, shape};
use crate::args::bench::GenerateBench;
use crate::exit::usage;
use crate::{number, opened, resident};

/// Measures every prompt length.
pub(super) fn run(args: &GenerateBench, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    positive(&[("--new", args.new)])?;
    let what = match &args.dir {
        Some(dir) => dir.display().to_string(),
        None => shape::words(&args.model),
    };
    bench.title(&format!("generating {} tokens: {what}", number::count(args.new)))?;
    for &prompt in &args.prompt {
        positive(&[("--prompt", prompt)])?;
        measure(args, bench, prompt)?;
    }
    Ok(())
}

fn measure(args: &GenerateBench, bench: &mut Bench<'_>, prompt: usize) -> anyhow::Result<()> {
    let (cpu, dtype) = bench.in_dtype(args.model.dtype);
    let case = bench.begin();
    let model = match &args.dir {
        Some(dir) => Model::load(&opened::checkpoint(dir)?)?,
        None => Model::new(shape::config(&args.model, prompt.saturating_add(args.new))?, bench.seed),
    };
    let config = model.config();
    config.check_length(prompt + args.new).map_err(usage)?;
    let ids = tokens(bench.seed, 1, prompt, config.vocab_size).inputs;
    let ready = resident::now();
    cpu.workspace.reset_peak();
    let (mut prefills, mut steps, mut state_bytes) = (Vec::new(), Vec::new(), 0);
    clock::time(bench.timing(), || {
        let run = once(&cpu, &model, &ids, args.new)?;
        prefills.push(run.prefill);
        steps.extend(run.steps);
        state_bytes = run.state.bytes();
        Ok(())
    })?;
    // The first run warmed up, unless it was asked for.
    if !bench.timing().cold && prefills.len() > 1 {
        prefills.remove(0);
        steps.drain(..args.new);
    }
    let (prefills, measured) =
        (Times::new(prefills), bench.close(case, ready, state_bytes, Times::new(steps)));
    let (read, decoded) = (prompt as f64 / prefills.median(), 1.0 / measured.times.median());
    let mut all = match &args.dir {
        Some(dir) => json!({ "model": dir, "layers": config.layers(), "d_model": config.hidden_size }),
        None => shape::parameters(&args.model, config),
    };
    let own = json!({
        "prompt": prompt,
        "new": args.new,
        "dtype": dtype,
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
    state: DecodeState,
}

fn once(cpu: &Cpu, model: &Model, prompt: &[u32], new: usize) -> anyhow::Result<Run> {
    let mut state = model.decode_state();
    let start = Instant::now();
    let mut logits = model.prefill(cpu, &mut state, prompt)?;
    let prefill = start.elapsed().as_secs_f64();
    let mut steps = Vec::with_capacity(new);
    for _ in 0..new {
        let start = Instant::now();
        let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
        logits = model.step(cpu, &mut state, likeliest as u32)?;
        steps.push(start.elapsed().as_secs_f64());
    }
    Ok(Run { prefill, steps, state })
}
