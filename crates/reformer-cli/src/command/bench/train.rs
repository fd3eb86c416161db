//! `reformer bench train`: whole optimizer steps of a fresh model on random tokens: forward, reverse, clipping by the
//! global norm, update. Operations are the model's own count, the reverse pass's recomputation included.

use reformer::model::flops::flops_per_token;
use reformer::model::memory::{MemoryEstimate, Setup};
use reformer::model::{Batch, Model, Pass};
use reformer::tensor::{Address, Purpose};
use reformer::train::Learner;
use reformer::train::recipe::{ClipBy, OptimizerKind, Recipe};
use serde_json::json;

use super::report::{Bench, Result};
use super::{fits, positive, shape};
use crate::args::bench::{ClipChoice, OptimizerChoice, TrainBench};
use crate::number;

/// Measures every length.
pub(super) fn run(args: &TrainBench, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    positive(&[("--batch", args.batch)])?;
    bench.title(&format!("training step: {}, batch {}", shape::words(&args.model), args.batch))?;
    for &length in &args.length {
        measure(args, bench, length)?;
    }
    Ok(())
}

fn measure(args: &TrainBench, bench: &mut Bench<'_>, length: usize) -> anyhow::Result<()> {
    let config = shape::config(&args.model, length)?;
    let kind = match args.optimizer {
        OptimizerChoice::Adamw => OptimizerKind::Adamw,
        OptimizerChoice::Adafactor => OptimizerKind::Adafactor,
    };
    fits(
        "the streams of a step",
        16.0 * config.hidden_size as f64 * args.batch as f64 * length as f64,
        "--length or --batch",
    )?;
    let setup = Setup { in_backward: args.in_backward, ..Setup::trainer(kind.state_bytes()) };
    let expected = MemoryEstimate::of(&config, args.batch, length, &setup).total_bytes();
    let what = format!("a step of {} × {} tokens", args.batch, number::count(length));
    fits(&what, expected as f64, "--length, --batch, --layers or --d-model")?;

    let (cpu, dtype) = bench.in_dtype(args.model.dtype);
    let case = bench.begin();
    let mut recipe = Recipe::demo(&[])?.optimizer;
    recipe.kind = kind;
    recipe.in_backward = args.in_backward;
    recipe.clip_by = match args.clip_by {
        ClipChoice::Global => ClipBy::Global,
        ClipChoice::Group => ClipBy::Group,
    };
    let mut learner = Learner::new(Model::new(config.clone(), bench.seed), &recipe);
    let parameters = learner.model().parameters().count();
    let batch = tokens(bench.seed, args.batch, length, config.vocab_size);
    let batches = [(batch, Pass::training(bench.seed, 0))];
    let measured = bench.time(case, 0, || {
        learner.step(&cpu, &batches, 1e-4)?;
        Ok(())
    })?;

    let in_step = (args.batch * length) as f64;
    let flops = flops_per_token(&config, length).training as f64 * in_step;
    let rate = in_step / measured.times.median();
    let mut all = shape::parameters(&args.model, &config);
    let own = json!({
        "length": length,
        "batch": args.batch,
        "dtype": dtype,
        "optimizer": kind,
        "in_backward": args.in_backward,
        "clip_by": recipe.clip_by,
        "parameters": parameters,
        "tokens_per_second": (rate * 10.0).round() / 10.0,
        "expected_peak_mb": expected >> 20,
    });
    if let (Some(all), Some(own)) = (all.as_object_mut(), own.as_object()) {
        all.extend(own.clone());
    }
    let result = Result {
        bench: "train",
        parameters: all,
        flops: Some(flops),
        flops_formula: "every part of the model, recomputation in the reverse pass included (reformer_model::flops)",
        cells: vec![
            ("length", number::count(length)),
            ("parameters", number::count(parameters)),
            ("dtype", dtype.into()),
            ("tokens/s", number::count(rate as usize)),
        ],
    };
    bench.report(result, &measured)
}

/// Random rows, each token predicting the next.
pub(super) fn tokens(seed: u64, rows: usize, length: usize, vocab: usize) -> Batch {
    let key = Address::new(seed, Purpose::Corpus).key();
    let ids = (0..rows * (length + 1)).map(|i| key.bits(i as u64) % vocab as u32).collect::<Vec<_>>();
    Batch::next_token(rows, length, &ids)
}
