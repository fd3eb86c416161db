//! Both optimizers against their twins, and the same bits for any number of threads.

use reformer_model::{Config, Fields, Kind, Parameters};
use reformer_tensor::{Address, Cpu, Purpose};
use reformer_testing::compare::worst_error;

use super::*;
use crate::recipe::Recipe;

fn config() -> Config {
    let fields = Fields {
        vocab_size: 701,
        hidden_size: 48,
        num_attention_heads: 2,
        attention_head_size: 24,
        feed_forward_size: 96,
        attn_layers: vec![Kind::Local, Kind::Lsh],
        num_hidden_layers: None,
        num_buckets: Some(reformer_model::config::Buckets::Single(8)),
        axial_pos_shape: vec![8, 8],
        axial_pos_embds_dim: vec![16, 32],
        ..Fields::paper()
    };
    Config::check(fields).expect("a legal config")
}

fn recipe(text: &str) -> OptimizerRecipe {
    Recipe::parse(text, &[]).expect("a legal recipe").optimizer
}

fn gradients(config: &Config, step: u64) -> Parameters {
    let mut gradients = Parameters::zeros(config);
    for (index, group) in gradients.groups_mut().iter_mut().enumerate() {
        for tensor in 0..group.specs().len() {
            let address = Address { step, layer: index as u32, ..Address::new(9, Purpose::Test) };
            address.sub(tensor as u64).fill_normal(group.tensor_mut(tensor));
        }
    }
    gradients
}

fn run(recipe: &OptimizerRecipe, threads: usize, steps: u64) -> (Parameters, Optimizer) {
    let (config, cpu) = (config(), Cpu::new(threads).expect("threads"));
    let mut parameters = Parameters::fresh(&config, 3);
    let mut optimizer = Optimizer::new(recipe, &parameters);
    for step in 1..=steps {
        let scale = StepScale { rate: 0.01, step, gradient: 0.5 };
        optimizer.step(&cpu, &mut parameters, &gradients(&config, step), scale);
    }
    (parameters, optimizer)
}

/// Four steps of the naive twin in f64 and in f32, from the same start and gradients, tensor by tensor.
fn twins(recipe: &OptimizerRecipe, steps: u64) -> Vec<(String, Vec<f64>, Vec<f32>)> {
    let config = config();
    let parameters = Parameters::fresh(&config, 3);
    let gradients: Vec<Parameters> = (1..=steps).map(|step| gradients(&config, step)).collect();
    let mut found = Vec::new();
    for (index, group) in parameters.groups().iter().enumerate() {
        for (tensor, spec) in group.specs().iter().enumerate() {
            let start = group.tensor(tensor);
            let mut wide: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
            let mut narrow = start.to_vec();
            let cols = spec.shape.last().copied().unwrap_or(1);
            let rows = spec.len() / cols;
            // A vector is a matrix of one row whose columns are its elements: the row's mean cancels.
            let (mut w1, mut w2) = (vec![0.0f64; spec.len()], vec![0.0f64; spec.len()]);
            let (mut n1, mut n2) = (vec![0.0f32; spec.len()], vec![0.0f32; spec.len()]);
            for (step, gradients) in gradients.iter().enumerate() {
                let g: Vec<f32> = gradients.groups()[index].tensor(tensor).iter().map(|g| g * 0.5).collect();
                let g64: Vec<f64> = g.iter().map(|&g| f64::from(g)).collect();
                let t = step as u64 + 1;
                match recipe.kind {
                    OptimizerKind::Adamw => {
                        naive::adamw(recipe, &mut wide, &g64, &mut w1, &mut w2, 0.01, t, spec.decay);
                        naive::adamw(recipe, &mut narrow, &g, &mut n1, &mut n2, 0.01, t, spec.decay);
                    }
                    OptimizerKind::Adafactor => {
                        let (r, c) = (&mut w1[..rows], &mut w2[..cols]);
                        naive::adafactor(recipe, &mut wide, &g64, r, c, 0.01, t, spec.decay);
                        let (r, c) = (&mut n1[..rows], &mut n2[..cols]);
                        naive::adafactor(recipe, &mut narrow, &g, r, c, 0.01, t, spec.decay);
                    }
                }
            }
            found.push((spec.name.clone(), wide, narrow));
        }
    }
    found
}

const RECIPES: [&str; 4] = [
    "[optimizer]\nkind = \"adamw\"\nweight_decay = 0.1",
    "[optimizer]\nkind = \"adamw\"\nbeta1 = 0.0\nbeta2 = 0.5\nweight_decay = 0.0\neps = 1e-3",
    "[optimizer]\nkind = \"adafactor\"\nweight_decay = 0.1",
    "[optimizer]\nkind = \"adafactor\"\nscale_parameter = true\nweight_decay = 0.0",
];

#[test]
fn both_optimizers_are_as_exact_as_their_naive_twins() {
    for text in RECIPES {
        let recipe = recipe(text);
        let (parameters, _) = run(&recipe, 2, 4);
        for (name, wide, narrow) in twins(&recipe, 4) {
            let (_, values) = parameters.find(&name).expect("the same tensors");
            let (ours, twin) = (worst_error(values, &wide), worst_error(&narrow, &wide));
            let allowed = 2.0 * twin + 2e-7;
            assert!(ours <= allowed, "{text}: {name}: {ours:e} > {allowed:e}");
        }
    }
}

#[test]
fn updates_are_bit_identical_for_any_number_of_threads() {
    for text in RECIPES {
        let recipe = recipe(text);
        let (one, _) = run(&recipe, 1, 3);
        for threads in [2, 3] {
            assert!(one == run(&recipe, threads, 3).0, "{text}: {threads} threads");
        }
    }
}

#[test]
fn adafactor_keeps_rows_and_columns_instead_of_matrices() {
    let (parameters, mut adafactor) = run(&recipe(RECIPES[2]), 1, 1);
    let (_, mut adamw) = run(&recipe(RECIPES[0]), 1, 1);
    assert!(adamw.bytes() >= 8 * parameters.count());
    assert!(adafactor.bytes() < parameters.count() / 4, "{}", adafactor.bytes());
}

#[test]
fn the_global_norm_and_its_clipping() {
    let cpu = Cpu::new(2).expect("threads");
    let gradients = gradients(&config(), 1);
    let norm = global_norm(&cpu, &gradients);
    let plain = gradients.iter().flat_map(|(_, _, g)| g).map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    assert!((norm / plain - 1.0).abs() < 1e-12);
    assert_eq!(norm, global_norm(&Cpu::new(1).expect("threads"), &gradients));
    assert_eq!(clip_factor(8.0, 2.0), 0.25);
    assert_eq!(clip_factor(1.0, 2.0), 1.0);
    assert_eq!(clip_factor(8.0, 0.0), 1.0, "0 is no clipping");
}

#[test]
fn a_non_finite_gradient_is_named() {
    let mut gradients = gradients(&config(), 1);
    assert_eq!(first_non_finite(&gradients), None);
    let name = "reformer.encoder.layers.1.feed_forward.dense.dense.weight";
    gradients.find_mut(name).expect("a tensor of the model")[7] = f32::NAN;
    assert_eq!(first_non_finite(&gradients).as_deref(), Some(name));
}
