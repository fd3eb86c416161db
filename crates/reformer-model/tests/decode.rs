//! Decoding: steps against the forward pass, truncation, limits.

#[path = "support/models.rs"]
mod models;

use models::{distance, endless, fields, ids, model};
use reformer_model::config::{ChunkWrap, Fields, Kind};
use reformer_model::{Model, Pass};
use reformer_tensor::Cpu;

fn forward(model: &Model, cpu: &Cpu, ids: &[u32]) -> Vec<Vec<f32>> {
    let logits = model.logits(cpu, ids, 1, ids.len(), None, &Pass::evaluation()).unwrap();
    (0..ids.len()).map(|t| logits.row(t).to_vec()).collect()
}

/// Largest distance between steps and the rows of one forward pass.
fn worst(model: &Model, ids: &[u32], prompt: usize) -> f64 {
    let cpu = Cpu::new(2).unwrap();
    let whole = forward(model, &cpu, ids);
    let mut state = model.decode_state();
    let mut worst = 0.0_f64;
    if prompt > 0 {
        let logits = model.prefill(&cpu, &mut state, &ids[..prompt]).unwrap();
        worst = worst.max(distance(&logits, &whole[prompt - 1]));
    }
    for (t, &id) in ids.iter().enumerate().skip(prompt) {
        let logits = model.step(&cpu, &mut state, id).unwrap();
        worst = worst.max(distance(&logits, &whole[t]));
    }
    assert_eq!(state.len(), ids.len());
    worst
}

#[test]
fn steps_of_local_and_full_layers_equal_the_forward_pass() {
    for before in [0, 1, 2] {
        let fields = Fields {
            attn_layers: vec![Kind::Local, Kind::Full, Kind::Local],
            local_num_chunks_before: before,
            ..fields()
        };
        let model = model(fields);
        for prompt in [0, 1, 5, 20] {
            assert!(worst(&model, &ids(45, 3), prompt) < 1e-4, "{before} chunks before, prompt {prompt}");
        }
    }
}

#[test]
fn steps_of_lsh_layers_equal_the_forward_pass_where_it_is_exact() {
    let fields = Fields { attn_layers: vec![Kind::Lsh, Kind::Lsh], lsh_exact_below: Some(64), ..fields() };
    // Longer than two chunks: the exact path sees every pair of a bucket, and so does a step.
    let model = model(fields);
    assert!(worst(&model, &ids(60, 4), 0) < 1e-4);
    assert!(worst(&model, &ids(60, 4), 31) < 1e-4);
}

#[test]
fn steps_of_foreign_lsh_layers_equal_the_forward_pass_up_to_a_chunk() {
    let fields = Fields {
        attn_layers: vec![Kind::Lsh],
        lsh_same_bucket_only: false,
        lsh_duplicate_correction: false,
        lsh_chunk_wrap: ChunkWrap::Circular,
        ..fields()
    };
    let model = model(fields);
    assert!(worst(&model, &ids(8, 4), 3) < 1e-4);
    // Beyond it a step is Hugging Face's, which is not the forward pass; it must run, also after a padded prompt.
    assert!(worst(&model, &ids(30, 4), 13).is_finite());
}

#[test]
fn reading_many_tokens_after_others_is_reading_them_one_by_one() {
    let (model, cpu) = (model(endless(fields())), Cpu::new(2).unwrap());
    let ids = ids(50, 6);
    let mut together = model.decode_state();
    model.prefill(&cpu, &mut together, &ids[..30]).unwrap();
    let mut single = together.clone();
    let at_once = model.prefill(&cpu, &mut together, &ids[30..]).unwrap();
    let mut last = Vec::new();
    for &id in &ids[30..] {
        last = model.step(&cpu, &mut single, id).unwrap();
    }
    assert!(distance(&at_once, &last) < 1e-4);
}

#[test]
fn a_truncated_state_continues_as_if_the_rest_had_never_been() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let ids = ids(40, 7);
    let mut state = model.decode_state();
    model.prefill(&cpu, &mut state, &ids[..25]).unwrap();
    let expected = model.step(&cpu, &mut state, 9).unwrap();
    for &id in &ids[25..] {
        model.step(&cpu, &mut state, id).unwrap();
    }
    state.truncate(25);
    assert_eq!(state.len(), 25);
    assert_eq!(model.step(&cpu, &mut state, 9).unwrap(), expected);
}

#[test]
fn the_end_of_the_positions_is_an_error_that_leaves_the_state() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let mut state = model.decode_state();
    model.prefill(&cpu, &mut state, &ids(127, 1)).unwrap();
    let error = model.prefill(&cpu, &mut state, &[1, 2]).unwrap_err().to_string();
    assert!(error.contains("129 is more than the 128 positions"), "{error}");
    assert_eq!(state.len(), 127);
    model.step(&cpu, &mut state, 1).unwrap();
    assert!(model.step(&cpu, &mut state, 1).is_err());
    assert!(model.prefill(&cpu, &mut state, &[]).is_err());
    assert_eq!(state.len(), 128);
}

#[test]
fn a_model_that_sees_the_future_does_not_decode() {
    let model = model(Fields { is_decoder: false, ..fields() });
    let error = model.step(&Cpu::single(), &mut model.decode_state(), 1).unwrap_err();
    assert!(error.to_string().contains("is_decoder"));
}
