//! Steps on given batches: the optimizer at the end of a pass and in the middle of it.

use reformer_model::config::{Buckets, Config, Fields, Kind};
use reformer_model::{Batch, Model, Parameters, Pass};
use reformer_tensor::Cpu;
use reformer_train::{Learned, Learner, Recipe, TrainError};

fn model() -> Model {
    let fields = Fields {
        vocab_size: 29,
        hidden_size: 16,
        num_attention_heads: 2,
        attention_head_size: 8,
        feed_forward_size: 24,
        attn_layers: vec![Kind::Local, Kind::Lsh],
        lsh_attn_chunk_length: 8,
        local_attn_chunk_length: 8,
        num_buckets: Some(Buckets::Single(4)),
        axial_pos_shape: vec![8, 8],
        axial_pos_embds_dim: vec![6, 10],
        ..Fields::paper()
    };
    Model::new(Config::check(fields).expect("legal fields"), 3)
}

fn batch() -> (Batch, Pass) {
    let ids: Vec<u32> = (0..2 * 41).map(|i: u32| (i * i * 7 + 3 * i) % 29).collect();
    (Batch::next_token(2, 40, &ids), Pass::training(1, 0))
}

/// Three steps of a model under some `optimizer.*` keys.
fn learn(sets: &[(&str, &str)]) -> (Learned, Parameters) {
    let sets: Vec<(String, String)> =
        sets.iter().map(|(key, value)| (format!("optimizer.{key}"), (*value).to_owned())).collect();
    let recipe = Recipe::parse("", &sets).expect("a legal recipe");
    let (cpu, mut learner) = (Cpu::single(), Learner::new(model(), &recipe.optimizer));
    let learned = (0..3).map(|_| learner.step(&cpu, &[batch()], 1e-2).expect("a step")).last();
    (learned.expect("three steps"), learner.model().parameters().clone())
}

#[test]
fn updating_in_the_reverse_pass_changes_nothing_but_the_memory() {
    for kind in ["adamw", "adafactor"] {
        let end = learn(&[("kind", kind), ("clip", "0.0")]);
        let on_the_way = learn(&[("kind", kind), ("clip", "0.0"), ("in_backward", "true")]);
        assert!(end == on_the_way, "{kind} without clipping");
        let end = learn(&[("kind", kind), ("clip", "0.1")]);
        let on_the_way = learn(&[("kind", kind), ("clip", "0.1"), ("in_backward", "true")]);
        assert!(end == on_the_way, "{kind} clipped by the global norm");
    }
}

#[test]
fn clipping_by_group_limits_each_group_alone() {
    // Adam hardly sees a gradient's size; Adafactor with a large ε does.
    let common = [("kind", "adafactor"), ("eps", "1.0"), ("in_backward", "true")];
    let with = |clip: &'static str, by| learn(&[&common[..], &[("clip", clip), ("clip_by", by)]].concat());
    assert!(with("1000.0", "group") == with("1000.0", "global"), "nothing to clip");
    assert!(with("0.01", "group").1 != with("0.01", "global").1);
}

#[test]
fn a_broken_parameter_is_named_and_nothing_is_updated() {
    let sets = [("optimizer.in_backward".to_owned(), "true".to_owned())];
    let recipe = Recipe::parse("", &sets).expect("a legal recipe");
    let mut broken = model();
    broken.parameters_mut().groups_mut()[3].tensor_mut(0)[0] = f32::NAN;
    let before = broken.parameters().clone();
    let mut learner = Learner::new(broken, &recipe.optimizer);
    let error = learner.step(&Cpu::single(), &[batch()], 1e-2).expect_err("a NaN in the head");
    assert!(matches!(error, TrainError::NonFinite { .. }), "{error}");
    assert_eq!(learner.done(), 0);
    let same = |a: &Parameters, b: &Parameters| {
        a.iter().zip(b.iter()).all(|(a, b)| a.2.iter().zip(b.2).all(|(a, b)| a.to_bits() == b.to_bits()))
    };
    assert!(same(learner.model().parameters(), &before));
}

#[test]
fn recipes_that_an_update_on_the_way_cannot_follow_are_refused() {
    let refuse = |text: &str| Recipe::parse(text, &[]).expect_err("illegal").to_string();
    assert!(refuse("accumulate = 2\n[optimizer]\nin_backward = true\n").contains("accumulate"));
    assert!(refuse("[optimizer]\nclip_by = \"group\"\n").contains("in_backward = true"));
}
