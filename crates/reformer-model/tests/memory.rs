//! The memory of a training step: flat in depth, and what the formula says.

use reformer_model::config::{Fields, Kind};
use reformer_model::memory::{MemoryEstimate, flops_per_token, parameter_count};
use reformer_model::{Config, Model, Pass};
use reformer_tensor::Cpu;
use reformer_testing::models::{batch, endless, fields, model};

/// Peak of the workspace in a training step.
fn workspace_peak(model: &Model, rows: usize, len: usize, threads: usize) -> usize {
    let cpu = Cpu::new(threads).unwrap();
    model
        .forward_backward(&cpu, &batch(rows, len, 1), &Pass::training(0, 0), 1.0, &mut |_, _| {})
        .expect("the pass runs");
    cpu.workspace.peak_bytes()
}

#[test]
fn the_working_set_does_not_grow_from_4_to_64_blocks() {
    let deep = |blocks: usize| {
        let layers = [Kind::Lsh, Kind::Local].repeat(blocks / 2);
        model(Fields { attn_layers: layers, ..endless(fields()) })
    };
    // One thread: two may or may not meet in their largest tiles, and 16 times the blocks give them more chances to.
    let (four, sixty_four) = (workspace_peak(&deep(4), 2, 96, 1), workspace_peak(&deep(64), 2, 96, 1));
    assert_eq!(four, sixty_four, "bytes at 4 and at 64 blocks");
}

#[test]
fn the_formula_of_the_working_set_is_what_a_step_leases() {
    let wide = Fields {
        vocab_size: 29,
        hidden_size: 64,
        num_attention_heads: 4,
        attention_head_size: 16,
        feed_forward_size: 128,
        lsh_attn_chunk_length: 32,
        local_attn_chunk_length: 32,
        ..endless(fields())
    };
    for layers in [vec![Kind::Lsh], vec![Kind::Local], vec![Kind::Full]] {
        for (rows, len) in [(1, 2048), (3, 700)] {
            let fields = Fields { attn_layers: layers.clone(), ..wide.clone() };
            let model = model(fields);
            let estimate = MemoryEstimate::training(model.config(), rows, len, 8);
            let formula = estimate.working_set.max(estimate.head);
            let measured = workspace_peak(&model, rows, len, 2);
            let error = formula as f64 / measured as f64 - 1.0;
            assert!(error.abs() < 0.1, "{layers:?} {rows}x{len}: formula {formula}, measured {measured}");
        }
    }
}

#[test]
fn parts_add_up_and_parameters_are_counted() {
    let config = Config::check(fields()).unwrap();
    let estimate = MemoryEstimate::training(&config, 2, 100, 8);
    let parts: usize = estimate.parts().iter().map(|part| part.1).sum();
    assert_eq!(estimate.total_bytes(), parts - estimate.working_set.min(estimate.head));
    // 29·16 + 8·6 + 16·10; per block 2·32 + projections + 16·24·2 + 24 + 16; 64 + 29 + 29·32.
    let block = |projections: usize| 64 + (projections + 1) * 256 + 768 + 40;
    assert_eq!(parameter_count(&config), 464 + 48 + 160 + block(3) + block(2) + block(3) + 64 + 29 + 928);
}

#[test]
fn full_attention_costs_more_the_longer_the_input_and_lsh_does_not() {
    let of = |kind, len| {
        let config = Config::check(Fields { attn_layers: vec![kind], ..fields() }).unwrap();
        flops_per_token(&config, len).forward
    };
    assert!(of(Kind::Full, 4096) > of(Kind::Full, 1024));
    assert_eq!(of(Kind::Lsh, 4096), of(Kind::Lsh, 1024));
}
