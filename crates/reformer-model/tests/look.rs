//! A look at a head: what it shows is what the layer computes.

use reformer_model::Kind;
use reformer_tensor::Cpu;
use reformer_testing::models::{fields, ids, model};

#[test]
fn weights_add_up_to_one_look_back_only_and_stay_within_buckets() {
    let (model, cpu) = (model(fields()), Cpu::new(2).unwrap());
    let kinds = model.config().attn_layers.clone();
    for len in [5, 40, 100] {
        let ids = ids(len, 2);
        for (layer, kind) in kinds.iter().enumerate() {
            for (head, query) in [(0, 0), (1, len / 2), (0, len - 1)] {
                let look = model.look(&cpu, &ids, layer, head, query).unwrap();
                assert_eq!(look.weights.len(), len);
                let sum: f32 = look.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-4, "{kind:?} {sum}");
                assert!(look.weights[query + 1..].iter().all(|&w| w == 0.0));
                assert_eq!(look.buckets.is_some(), *kind == Kind::Lsh);
                let Some(buckets) = look.buckets else { continue };
                assert_eq!((buckets.rounds(), buckets.len()), (2, len));
                for (key, _) in look.weights.iter().enumerate().filter(|(key, w)| **w > 0.0 && *key != query)
                {
                    let meets = |round: usize| buckets.round(round)[key] == buckets.round(round)[query];
                    assert!(meets(0) || meets(1), "{key} and {query} share no bucket");
                }
            }
        }
    }
}

#[test]
fn full_attention_is_the_softmax_of_all_that_came_before() {
    // With one token before it, a query's two weights are those of two numbers.
    let (model, cpu) = (model(fields()), Cpu::single());
    let look = model.look(&cpu, &ids(2, 1), 2, 0, 1).unwrap();
    assert!(look.weights.iter().all(|&w| w > 0.0 && w < 1.0), "{:?}", look.weights);
    let alone = model.look(&cpu, &ids(2, 1), 2, 0, 0).unwrap();
    assert_eq!(alone.weights[1], 0.0);
    assert!((alone.weights[0] - 1.0).abs() < 1e-6);
}
