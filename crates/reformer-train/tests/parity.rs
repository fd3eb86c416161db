//! Ten steps of training a two-layer Reformer against transformers and torch: the reversible backward pass, clipping,
//! warm-up, the learning rate's decay, AdamW and its weight decay, all together and one after another.
//!
//! `fixtures/train_hf_lsh_local.py` made the trajectory twice: in float64, which counts as the truth here, and in
//! float32. Ours is float32 too, sums in another order and has as many roundings, so it may be [`SHARE`] times as far
//! from the truth as torch's float32 is, plus a few roundings of the largest number. No vector of either run is
//! within 10⁻⁴ of another bucket, so the buckets are the same without being given.

use std::sync::Arc;

use reformer_model::{Batch, Pass};
use reformer_tensor::Cpu;
use reformer_testing::compare::worst_error;
use reformer_testing::fixture::{self, Check, Report, Tensors, model};
use reformer_train::{Learner, Recipe, Schedule};
use serde_json::Value;

/// How much further from the truth than torch's float32.
const SHARE: f64 = 2.0;
/// Roundings of the largest number that are allowed where torch's float32 is exact by luck.
const ROUNDINGS: f64 = 8.0;

#[test]
fn ten_steps_of_adamw_follow_the_trajectory_of_transformers_and_torch() {
    fixture::verify("train", |fixture| Some(trajectory(&fixture.config, &fixture.tensors, false)));
}

#[test]
fn updating_in_the_reverse_pass_follows_it_too() {
    let fixture = fixture::read("train_hf_lsh_local");
    let report = trajectory(&fixture.config, &fixture.tensors, true).unwrap();
    assert!(report.passed(), "{report:?}");
}

fn trajectory(config: &Value, tensors: &Tensors, in_backward: bool) -> Check {
    let mut config = config.clone();
    let settings = config["recipe"].take();
    config.as_object_mut().ok_or("config is no object")?.remove("recipe");
    let recipe = recipe(&settings, in_backward)?;
    let model = model::model(&config, tensors)?;
    let heads = model.config().num_attention_heads;
    let rotations = vec![model::rotations(tensors, "rotations_0", heads, model.config().buckets())?];
    let pass = Pass { rotations: Some(Arc::new(rotations)), ..Pass::training(1, 0) };
    let (cpu, schedule) = (Cpu::single(), Schedule::new(&recipe));
    let mut learner = Learner::new(model, &recipe.optimizer);

    let (mut rates, mut losses, mut norms) = (Vec::new(), Vec::new(), Vec::new());
    for (step, batch) in batches(tensors)?.into_iter().enumerate() {
        let rate = schedule.rate(step as u64 + 1);
        let learned = learner.step(&cpu, &[(batch, pass.clone())], rate).map_err(|e| e.to_string())?;
        rates.push(rate as f32);
        losses.push(learned.loss.mean() as f32);
        norms.push(learned.gradient_norm as f32);
    }
    let mut report = Report::default();
    report.compare("learning rates", &rates, tensors.f32("rates")?, 1e-7);
    judge(&mut report, "losses", &losses, tensors.f32("losses")?, tensors.f32("torch_losses")?);
    judge(&mut report, "gradient norms", &norms, tensors.f32("norms")?, tensors.f32("torch_norms")?);
    for (name, _, values) in learner.model().parameters().iter() {
        // A tensor to which torch gave no gradient (see `fixture::model`) must stay as it was.
        let trained = tensors.has(&format!("final.{name}"));
        let end =
            |which: &str| tensors.f32(&if trained { format!("{which}.{name}") } else { name.to_owned() });
        judge(&mut report, &format!("weights of {name}"), values, end("final")?, end("torch_final")?);
    }
    Ok(report)
}

/// Takes in numbers that may be [`SHARE`] times as far from the truth as torch's are.
fn judge(report: &mut Report, what: &str, got: &[f32], truth: &[f32], torch: &[f32]) {
    let largest = truth.iter().fold(f32::MIN_POSITIVE, |m, x| m.max(x.abs()));
    let allowed = SHARE * worst_error(torch, truth) + ROUNDINGS * f64::from(f32::EPSILON * largest);
    report.note(what, worst_error(got, truth), allowed);
}

/// The recipe that the fixture's settings spell.
fn recipe(settings: &Value, in_backward: bool) -> Result<Recipe, String> {
    let mut sets = vec![("optimizer.in_backward".to_owned(), in_backward.to_string())];
    for (key, value) in settings.as_object().ok_or("the recipe is no object")? {
        let (key, value) = match key.as_str() {
            "learning_rate" => (key.clone(), value.to_string()),
            "warmup" => ("schedule.warmup".to_owned(), value.to_string()),
            "schedule" => ("schedule.kind".to_owned(), value.to_string()),
            other => (format!("optimizer.{other}"), value.to_string()),
        };
        sets.push((key, value));
    }
    Recipe::parse("steps = 10", &sets).map_err(|e| e.to_string())
}

/// The batch of each step: every position but the last predicts the next one.
fn batches(tensors: &Tensors) -> Result<Vec<Batch>, String> {
    let &[_, rows, len] = tensors.shape("input_ids")? else {
        return Err("input_ids is not [step, row, position]".into());
    };
    let ids: Vec<u32> = tensors.i64("input_ids")?.iter().map(|&id| id as u32).collect();
    let batch = |inputs: &[u32]| {
        let last = |at: usize| at % len == len - 1;
        let targets = (0..rows * len).map(|at| if last(at) { 0 } else { inputs[at + 1] }).collect();
        let weights = (0..rows * len).map(|at| if last(at) { 0.0 } else { 1.0 }).collect();
        Batch { rows, len, inputs: inputs.to_vec(), targets, weights, mask: None }
    };
    Ok(ids.chunks_exact(rows * len).map(batch).collect())
}
