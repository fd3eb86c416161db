//! `reformer bench train`: whole optimizer steps of a fresh model on random tokens: forward, reverse, clipping by the
//! global norm, update. Operations are the model's own count, the reverse pass's recomputation included.

use reformer::model::memory::{MemoryEstimate, flops_per_token};
use reformer::model::{Batch, Group, Model, Pass};
use reformer::tensor::{Address, Purpose, elementwise};
use reformer::train::optimizer::{Optimizer, StepScale, clip_factor, global_norm};
use reformer::train::recipe::{OptimizerKind, Recipe};
use serde_json::json;

use super::report::{Bench, Result};
use super::{fits, positive, shape};
use crate::args::bench::{OptimizerChoice, TrainBench};
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
    let (per_parameter, kind) = match args.optimizer {
        OptimizerChoice::Adamw => (8, OptimizerKind::Adamw),
        OptimizerChoice::Adafactor => (0, OptimizerKind::Adafactor),
    };
    fits(
        "the streams of a step",
        16.0 * config.hidden_size as f64 * args.batch as f64 * length as f64,
        "--length or --batch",
    )?;
    let expected = MemoryEstimate::training(&config, args.batch, length, per_parameter).total_bytes();
    let what = format!("a step of {} × {} tokens", args.batch, number::count(length));
    fits(&what, expected as f64, "--length, --batch, --layers or --d-model")?;

    let (cpu, dtype) = bench.in_dtype(args.model.dtype)?;
    let case = bench.begin();
    let mut recipe = Recipe::demo(&[])?.optimizer;
    recipe.kind = kind;
    let mut model = Model::new(config.clone(), bench.seed);
    let parameters = model.parameters().count();
    let mut gradients = model.parameters().zeros_like();
    let mut optimizer = Optimizer::new(&recipe, model.parameters());
    let batch = tokens(bench.seed, args.batch, length, config.vocab_size);
    let scale = 1.0 / (args.batch * length) as f32;
    let mut step = 0;
    let measured = bench.time(case, 0, || {
        gradients.clear();
        let mut sink = |index: usize, group: &Group| {
            elementwise::add_assign(&cpu, gradients.groups_mut()[index].data_mut(), group.data());
        };
        model.forward_backward(&cpu, &batch, &Pass::training(bench.seed, step), scale, &mut sink)?;
        step += 1;
        let gradient = clip_factor(global_norm(&cpu, &gradients), recipe.clip);
        optimizer.step(&cpu, model.parameters_mut(), &gradients, StepScale { rate: 1e-4, step, gradient });
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
        flops_formula: "reformer_model's count of a training step, recomputation included",
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
