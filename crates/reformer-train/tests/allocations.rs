//! What a warm training step allocates: the two streams and their gradients, bookkeeping, and nothing else as long as
//! its rows.

use allocation_counter::measure;
use reformer_model::config::{Buckets, Config, Fields, Kind};
use reformer_model::{Batch, Model, Pass};
use reformer_tensor::Cpu;
use reformer_train::{Learner, Recipe};

const LEN: usize = 1024;

fn model() -> Model {
    let fields = Fields {
        vocab_size: 256,
        hidden_size: 64,
        num_attention_heads: 2,
        attention_head_size: 32,
        feed_forward_size: 256,
        attn_layers: vec![Kind::Local, Kind::Lsh, Kind::Full],
        num_buckets: Some(Buckets::Factored(vec![4, 8])),
        axial_pos_shape: vec![32, LEN / 32],
        axial_pos_embds_dim: vec![16, 48],
        ..Fields::paper()
    };
    Model::new(Config::check(fields).expect("legal fields"), 3)
}

#[test]
fn a_warm_step_takes_its_long_buffers_from_the_workspace() {
    let optimizer = Recipe::parse("", &[]).expect("the default recipe").optimizer;
    let ids: Vec<u32> = (0..=LEN as u32).map(|i| (i * i * 7 + 3 * i) % 256).collect();
    let (cpu, mut learner) = (Cpu::single(), Learner::new(model(), &optimizer));
    let mut step = |n| {
        let rows = [(Batch::next_token(1, LEN, &ids), Pass::training(1, n))];
        measure(|| {
            learner.step(&cpu, &rows, 1e-3).expect("a step");
        })
    };
    let cold = step(0);
    step(1);
    let warm = step(2);
    let stream = (4 * LEN * 64) as u64;
    assert!(warm.bytes_max < 5 * stream, "{} bytes at once, a stream has {stream}", warm.bytes_max);
    assert!(warm.bytes_total < 9 * stream, "{} bytes in all, a stream has {stream}", warm.bytes_total);
    assert!(cold.bytes_max > 2 * warm.bytes_max, "the workspace has grown");
    assert_eq!(warm.bytes_current, 0, "a step leaves nothing behind");
}
