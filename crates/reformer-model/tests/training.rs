//! The training pass: gradients, reproducibility, any length, pieces, reversal.

use proptest::prelude::*;
use reformer_model::config::{ChunkWrap, Fields, Kind};
use reformer_model::{Batch, LossReport, Model, Parameters, Part, Pass};
use reformer_tensor::{Address, Cpu, Precision, Purpose};
use reformer_testing::compare::distance;
use reformer_testing::models::{batch, endless, fields, model};

fn gradients(model: &Model, cpu: &Cpu, batch: &Batch, pass: &Pass) -> (LossReport, Parameters) {
    let scale = (1.0 / batch.weight()) as f32;
    let mut all = model.parameters().zeros_like();
    let mut order = Vec::new();
    let report = model
        .forward_backward(cpu, batch, pass, scale, &mut |group, gradient| {
            order.push(group);
            all.groups_mut()[group].data_mut().copy_from_slice(gradient.data());
        })
        .expect("the pass runs");
    let expected: Vec<usize> = (0..model.parameters().groups().len()).rev().collect();
    assert_eq!(order, expected, "head, blocks in reverse, embeddings, each once");
    (report, all)
}

/// Loss at `parameters + step · direction`, per unit weight.
fn moved(model: &Model, direction: &Parameters, step: f32, batch: &Batch, pass: &Pass) -> f64 {
    let mut model = model.clone();
    for (group, d) in model.parameters_mut().groups_mut().iter_mut().zip(direction.groups()) {
        group.data_mut().iter_mut().zip(d.data()).for_each(|(w, d)| *w += step * d);
    }
    // forward_backward and not evaluate: the loss must be that of the training pass, dropout included.
    let report =
        model.forward_backward(&Cpu::single(), batch, pass, 1.0, &mut |_, _| {}).expect("the pass runs");
    report.mean()
}

/// Directional derivatives of the loss against central differences, for each group alone.
fn check_gradient(fields: Fields, pass: &Pass, batch: &Batch) {
    let model = model(fields);
    let (_, gradient) = gradients(&model, &Cpu::single(), batch, pass);
    for group in 0..gradient.groups().len() {
        let mut direction = model.parameters().zeros_like();
        let place = &mut direction.groups_mut()[group];
        for i in 0..place.specs().len() {
            let name = place.specs()[i].name.clone();
            // Moving the hashed vectors moves some over a border; the loss jumps there and has no derivative.
            if !name.contains("query_key") {
                Address::new(i as u64, Purpose::Test).fill_normal(place.tensor_mut(i));
            }
        }
        let along: f64 = gradient.groups()[group]
            .data()
            .iter()
            .zip(direction.groups()[group].data())
            .map(|(&g, &d)| f64::from(g) * f64::from(d))
            .sum();
        let step = 1e-3;
        let numeric = (moved(&model, &direction, step, batch, pass)
            - moved(&model, &direction, -step, batch, pass))
            / (2.0 * f64::from(step));
        let error = (numeric - along).abs() / numeric.abs().max(0.05);
        assert!(error < 0.02, "group {group}: {along} by the reverse pass, {numeric} by differences");
    }
}

#[test]
fn the_gradient_is_the_derivative_of_the_loss_without_hashing() {
    // Exact kinds only: nothing upstream of a hash may move.
    let fields = Fields { attn_layers: vec![Kind::Local, Kind::Full, Kind::Local], ..fields() };
    check_gradient(fields, &Pass::evaluation(), &batch(2, 21, 1));
}

#[test]
fn the_gradient_is_the_derivative_of_the_loss_with_dropout_everywhere() {
    let fields = Fields {
        attn_layers: vec![Kind::Full, Kind::Local],
        hidden_dropout_prob: 0.2,
        local_attention_probs_dropout_prob: 0.2,
        ..fields()
    };
    check_gradient(fields, &Pass::training(3, 5), &batch(3, 16, 2));
}

#[test]
fn the_gradient_is_the_derivative_of_the_loss_of_a_tied_model() {
    let fields = Fields { attn_layers: vec![Kind::Local], tie_word_embeddings: true, ..fields() };
    check_gradient(fields, &Pass::evaluation(), &batch(2, 12, 3));
}

#[test]
fn the_gradient_above_the_hash_is_the_derivative_with_lsh_and_its_dropout() {
    // One LSH block on top of embeddings that stay: of group 1 everything but query_key moves, and the norm before it.
    let fields = Fields {
        attn_layers: vec![Kind::Lsh],
        lsh_attention_probs_dropout_prob: 0.2,
        hidden_dropout_prob: 0.1,
        ..fields()
    };
    let (pass, batch) = (Pass::training(1, 2), batch(2, 40, 4));
    let model = model(fields);
    let (_, gradient) = gradients(&model, &Cpu::single(), &batch, &pass);
    for name in ["value.weight", "output.dense.weight", "feed_forward.layer_norm.weight", "dense.dense.bias"]
    {
        let mut direction = model.parameters().zeros_like();
        let full = model.parameters().iter().map(|(n, ..)| n.to_owned()).find(|n| n.ends_with(name)).unwrap();
        Address::new(9, Purpose::Test).fill_normal(direction.find_mut(&full).unwrap());
        let (_, g) = gradient.find(&full).unwrap();
        let (_, d) = direction.find(&full).unwrap();
        let along: f64 = g.iter().zip(d).map(|(&g, &d)| f64::from(g) * f64::from(d)).sum();
        let h = 1e-3;
        let numeric = (moved(&model, &direction, h, &batch, &pass)
            - moved(&model, &direction, -h, &batch, &pass))
            / (2.0 * f64::from(h));
        assert!((numeric - along).abs() < 0.02 * numeric.abs().max(0.05), "{full}: {along} and {numeric}");
    }
}

#[test]
fn a_seed_gives_the_same_bits_on_any_number_of_threads_and_another_step_gives_others() {
    let fields = Fields {
        hidden_dropout_prob: 0.1,
        lsh_attention_probs_dropout_prob: 0.1,
        local_attention_probs_dropout_prob: 0.1,
        ..fields()
    };
    let (model, batch) = (model(fields), batch(3, 50, 5));
    let run = |threads: usize, step: u64| {
        gradients(&model, &Cpu::new(threads).unwrap(), &batch, &Pass::training(7, step))
    };
    let one = run(1, 4);
    assert_eq!(one, run(2, 4));
    assert_eq!(one, run(3, 4));
    assert_ne!(one.0.loss, run(1, 5).0.loss, "dropout masks move with the step");
}

#[test]
fn evaluation_has_the_loss_of_a_pass_without_dropout() {
    let (model, batch, cpu) = (model(fields()), batch(2, 33, 6), Cpu::single());
    let (trained, _) = gradients(&model, &cpu, &batch, &Pass::training(0, 0));
    let evaluated = model.evaluate(&cpu, &batch, &Pass::evaluation()).unwrap();
    assert!((trained.loss - evaluated.loss).abs() < 1e-9 * trained.loss, "{trained:?} {evaluated:?}");
    let losses = model.token_losses(&cpu, &batch, &Pass::evaluation()).unwrap();
    let sum: f64 = losses.iter().map(|&l| f64::from(l)).sum();
    assert!((sum - evaluated.loss).abs() < 1e-4 * sum);
}

#[test]
fn the_loss_does_not_depend_on_the_pieces_of_head_and_feed_forward() {
    let batch = batch(2, 37, 7);
    let cpu = Cpu::single();
    let run = |head, feed_forward| {
        let pieces = Fields { chunk_size_lm_head: head, chunk_size_feed_forward: feed_forward, ..fields() };
        gradients(&model(pieces), &cpu, &batch, &Pass::evaluation())
    };
    let (loss, gradient) = run(0, 0);
    for (head, feed_forward) in [(1, 5), (7, 74), (1000, 1)] {
        let (other, other_gradient) = run(head, feed_forward);
        assert!((other.loss - loss.loss).abs() < 1e-6 * loss.loss, "{head} {feed_forward}");
        for ((name, _, a), (_, _, b)) in gradient.iter().zip(other_gradient.iter()) {
            assert!(distance(b, a) < 1e-4, "{name} with pieces {head}, {feed_forward}");
        }
    }
}

#[test]
fn gradients_kept_in_bf16_point_the_same_way() {
    let (model, batch, cpu) = (model(fields()), batch(2, 60, 12), Cpu::new(2).unwrap());
    let (loss, exact) = gradients(&model, &cpu, &batch, &Pass::evaluation());
    let narrow = Pass { gradient_streams: Precision::Bf16, ..Pass::evaluation() };
    let (same_loss, rounded) = gradients(&model, &cpu, &batch, &narrow);
    assert_eq!(loss, same_loss, "the forward pass knows nothing of it");
    for ((name, _, a), (_, _, b)) in exact.iter().zip(rounded.iter()) {
        assert!(distance(b, a) < 0.02, "{name}: {}", distance(b, a));
    }
    assert_ne!(exact, rounded);
    assert_eq!(rounded, gradients(&model, &Cpu::single(), &batch, &narrow).1, "threads change nothing");
}

#[test]
fn tokens_of_weight_zero_do_not_count_and_weights_scale() {
    let (model, cpu, pass) = (model(fields()), Cpu::single(), Pass::evaluation());
    let mut batch = batch(2, 20, 8);
    let all = model.token_losses(&cpu, &batch, &pass).unwrap();
    for (i, w) in batch.weights.iter_mut().enumerate() {
        *w = [0.0, 0.5, 2.0][i % 3];
    }
    batch.targets[0] = 4_000_000; // weight 0: not even looked at
    let report = model.evaluate(&cpu, &batch, &pass).unwrap();
    let expected: f64 = all.iter().zip(&batch.weights).map(|(&l, &w)| f64::from(l) * f64::from(w)).sum();
    assert!((report.loss - expected).abs() < 1e-5 * expected);
    assert!((report.weight - batch.weight()).abs() < 1e-9);
}

/// The same rows, with `extra` masked tokens of nonsense after each.
fn padded(batch: &Batch, extra: usize) -> Batch {
    let widen = |values: &[u32], fill: u32| -> Vec<u32> {
        values
            .chunks(batch.len)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(fill, extra)))
            .collect()
    };
    let ones = |i: usize| i % (batch.len + extra) < batch.len;
    let tokens = batch.rows * (batch.len + extra);
    Batch {
        rows: batch.rows,
        len: batch.len + extra,
        inputs: widen(&batch.inputs, 3),
        targets: widen(&batch.targets, 5),
        weights: (0..tokens).map(|i| if ones(i) { 1.0 } else { 0.0 }).collect(),
        mask: Some((0..tokens).map(ones).collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_padded_batch_is_the_unpadded_one(
        len in 1usize..70, extra in 1usize..20, rows in 1usize..3,
        before in 0usize..3, after in 0usize..3, is_decoder: bool, lsh_same_bucket_only: bool,
    ) {
        let fields = Fields {
            lsh_num_chunks_before: before, lsh_num_chunks_after: after, is_decoder, lsh_same_bucket_only,
            ..endless(fields())
        };
        let (model, cpu, pass) = (model(fields), Cpu::single(), Pass::evaluation());
        let plain = batch(rows, len, len);
        let (loss, gradient) = gradients(&model, &cpu, &plain, &pass);
        let (padded_loss, padded_gradient) = gradients(&model, &cpu, &padded(&plain, extra), &pass);
        prop_assert!((loss.loss - padded_loss.loss).abs() < 1e-5 * loss.loss);
        for ((name, _, a), (_, _, b)) in gradient.iter().zip(padded_gradient.iter()) {
            prop_assert!(distance(b, a) < 2e-4 || a.iter().all(|x| x.abs() < 1e-6), "{name}: {}", distance(b, a));
        }
    }
}

#[test]
fn lengths_that_foreign_chunks_do_not_divide_are_padded_inside() {
    let fields = Fields {
        lsh_chunk_wrap: ChunkWrap::Circular,
        lsh_same_bucket_only: false,
        lsh_duplicate_correction: false,
        local_attn_chunk_length: 6,
        ..fields()
    };
    let model = model(fields);
    assert_eq!(model.config().padded_length(25), 48);
    let cpu = Cpu::single();
    for len in [1, 2, 6, 7, 25, 125] {
        let batch = batch(2, len, len);
        let (loss, _) = gradients(&model, &cpu, &batch, &Pass::evaluation());
        assert!(loss.loss.is_finite() && loss.weight == (2 * len) as f64, "{len}");
        let logits = model.logits(&cpu, &batch.inputs, 2, len, None, &Pass::evaluation()).unwrap();
        assert_eq!((logits.rows(), logits.cols()), (2 * len, 29));
    }
}

#[test]
fn lsh_evaluated_as_full_attention_differs_and_more_rounds_come_nearer() {
    let fields = Fields { attn_layers: vec![Kind::Lsh, Kind::Lsh], num_hashes: 1, ..endless(fields()) };
    let (model, cpu) = (model(fields), Cpu::single());
    let batch = batch(2, 120, 9);
    let losses = |rounds, attention| {
        let pass = Pass { num_hashes: Some(rounds), attention, ..Pass::evaluation() };
        model.token_losses(&cpu, &batch, &pass).unwrap()
    };
    let exact = losses(1, Some(Kind::Full));
    let apart = |rounds| {
        let squares =
            losses(rounds, None).iter().zip(&exact).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        (squares / exact.len() as f64).sqrt()
    };
    let (one, sixteen) = (apart(1), apart(16));
    assert!(one > 2.0 * sixteen && sixteen > 0.0, "1 round {one}, 16 rounds {sixteen}");
    // A model that hashes so from now on, for decoding as for passes, says the same.
    let mut changed = model.clone();
    changed.set_num_hashes(16).unwrap();
    assert_eq!(changed.token_losses(&cpu, &batch, &Pass::evaluation()).unwrap(), losses(16, None));
    changed.prefill(&cpu, &mut changed.decode_state(), &[1, 2, 3]).unwrap();
    assert!(changed.set_num_hashes(0).unwrap_err().to_string().contains("num_hashes"));
    assert_eq!(changed.config().num_hashes, 16);
}

#[test]
fn a_nan_in_a_weight_is_located_by_block_and_name() {
    let mut model = model(fields());
    let batch = batch(1, 20, 10);
    let cpu = Cpu::single();
    assert_eq!(model.locate_non_finite(&cpu, &batch, &Pass::evaluation()), None);
    let name = "reformer.encoder.layers.1.attention.self_attention.value.weight";
    model.parameters_mut().find_mut(name).unwrap()[3] = f32::NAN;
    let found = model.locate_non_finite(&cpu, &batch, &Pass::evaluation()).unwrap();
    assert_eq!((found.part, found.tensor), (Part::Block(1), format!("parameter {name}")));
}

#[test]
fn an_overflow_in_the_forward_pass_is_located_and_the_pass_says_so() {
    let mut model = model(fields());
    model
        .parameters_mut()
        .find_mut("reformer.encoder.layers.0.feed_forward.output.dense.bias")
        .unwrap()
        .fill(3e38);
    model
        .parameters_mut()
        .find_mut("reformer.encoder.layers.1.attention.layer_norm.weight")
        .unwrap()
        .fill(3e38);
    let batch = batch(1, 20, 10);
    let cpu = Cpu::single();
    let found = model.locate_non_finite(&cpu, &batch, &Pass::evaluation()).unwrap();
    assert_eq!(found.to_string(), "block 1: projections of attention");
    let error = model.forward_backward(&cpu, &batch, &Pass::evaluation(), 1.0, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().starts_with("block 1: "), "{error}");
}

#[test]
fn bad_batches_are_refused_by_name() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let refuse = |batch: &Batch| model.evaluate(&cpu, batch, &Pass::evaluation()).unwrap_err().to_string();
    assert!(refuse(&batch(1, 129, 0)).contains("129 is more than the 128 positions that axial_pos_shape"));
    let mut foreign = batch(1, 4, 0);
    foreign.inputs[2] = 29;
    assert!(refuse(&foreign).contains("token id 29 at index 2"));
    let mut short = batch(1, 4, 0);
    short.weights.pop();
    assert!(refuse(&short).contains("weights: got 3 values, expected 1 rows x 4 = 4"));
    let nothing = Batch { rows: 1, len: 0, inputs: vec![], targets: vec![], weights: vec![], mask: None };
    assert!(refuse(&nothing).contains("at least one row of one token"));
}
