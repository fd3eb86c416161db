//! Contracts of the reversible stack: it comes back to its input, and its gradients are those of plain
//! backpropagation, handed out last block first.

#![allow(clippy::print_stdout, reason = "measured figures are shown with --no-capture")]

mod dense;

use std::convert::Infallible;

use dense::{Dense, Pair, distance, forward, reverse, stack, streams, zeros};
use proptest::prelude::*;
use reformer_reversible::{Streams, naive, sequence};
use reformer_tensor::{Matrix, Real};
use reformer_testing::compare::worse;

/// Worst relative error of the restored input after `depth` blocks there and back.
fn round_trip<T: Real>(depth: usize) -> f64 {
    let (dim, hidden) = (16, 32);
    let blocks = stack::<T>(depth, dim, hidden, 1);
    let start = streams::<T>(20, dim, 1000);
    let mut x = start.clone();
    let saved = forward(&blocks, &mut x).unwrap();
    assert!(distance(&x.first, &start.first) > 0.1, "the blocks do something");
    let mut grads = streams::<T>(20, dim, 2000);
    reverse(&blocks, &mut x, &mut grads, saved, |_| zeros(dim, hidden), |_, _| Ok(())).unwrap();
    worse(distance(&x.first, &start.first), distance(&x.second, &start.second))
}

#[test]
fn sixty_four_blocks_come_back_to_their_input_within_round_off() {
    let (single, double) = (round_trip::<f32>(64), round_trip::<f64>(64));
    println!("64 blocks there and back: f32 {single:.1e}, f64 {double:.1e} of the largest entry");
    assert!(single < 2e-6, "f32: {single:e}");
    assert!(double < 4e-15, "f64: {double:e}");
}

#[test]
fn inverse_restores_the_input_without_gradients() {
    let blocks = stack::<f64>(8, 6, 10, 2);
    let start = streams::<f64>(5, 6, 3);
    let mut x = start.clone();
    forward(&blocks, &mut x).unwrap();
    sequence::inverse(&(), &mut x, &blocks).unwrap();
    assert!(distance(&x.first, &start.first) < 1e-14 && distance(&x.second, &start.second) < 1e-14);
}

/// The gradient of `Σ ½y²`.
fn half_square(y: &Streams<Matrix<f64>>) -> Streams<Matrix<f64>> {
    y.clone()
}

fn compare_with_plain(depth: usize, rows: usize, dim: usize, hidden: usize, seed: u64) -> f64 {
    let blocks = stack::<f64>(depth, dim, hidden, seed);
    let start = streams::<f64>(rows, dim, seed + 1_000);
    let plain =
        naive::backpropagate(&blocks, &(), start.clone(), half_square, |_| zeros(dim, hidden)).unwrap();

    let mut x = start;
    let saved = forward(&blocks, &mut x).unwrap();
    assert_eq!(x, plain.output);
    let mut grads = half_square(&x);
    let mut worst = 0f64;
    let sink = |block: usize, gradient: Vec<Matrix<f64>>| {
        for (g, p) in gradient.iter().zip(&plain.gradients[block]) {
            worst = worse(worst, distance(g, p));
        }
        Ok(())
    };
    reverse(&blocks, &mut x, &mut grads, saved, |_| zeros(dim, hidden), sink).unwrap();
    let of_inputs = worse(
        distance(&grads.first, &plain.input_grads.first),
        distance(&grads.second, &plain.input_grads.second),
    );
    worse(worst, of_inputs)
}

#[test]
fn gradients_equal_plain_backpropagation_at_64_blocks() {
    let worst = compare_with_plain(64, 12, 8, 12, 5);
    println!("64 blocks, gradients against plain backpropagation in f64: {worst:.1e}");
    assert!(worst < 1e-12, "{worst:e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gradients_equal_plain_backpropagation_at_any_shape(
        depth in 0usize..6, rows in 0usize..6, dim in 1usize..6, hidden in 1usize..6, seed in 0u64..1 << 40,
    ) {
        prop_assert!(compare_with_plain(depth, rows, dim, hidden, seed) < 1e-11);
    }
}

/// Plain backpropagation itself, against central differences of the loss.
#[test]
fn plain_gradients_equal_finite_differences() {
    let (dim, hidden) = (3, 4);
    let blocks = stack::<f64>(3, dim, hidden, 9);
    let start = streams::<f64>(2, dim, 10);
    let loss = |blocks: &[Pair<Dense<f64>>], start: &Streams<Matrix<f64>>| {
        let mut x = start.clone();
        forward(blocks, &mut x).unwrap();
        let square = |m: &Matrix<f64>| m.as_slice().iter().map(|v| 0.5 * v * v).sum::<f64>();
        square(&x.first) + square(&x.second)
    };
    let plain =
        naive::backpropagate(&blocks, &(), start.clone(), half_square, |_| zeros(dim, hidden)).unwrap();
    let h = 1e-5;
    let check = |numeric: f64, exact: f64, what: &str| {
        assert!((numeric - exact).abs() < 1e-8 * (1.0 + exact.abs()), "{what}: {numeric} against {exact}");
    };
    for block in 0..3 {
        for i in 0..dim * hidden {
            let shifted = |by: f64| {
                let mut blocks = blocks.clone();
                blocks[block].f.a.as_mut_slice()[i] += by;
                blocks[block].g.b.as_mut_slice()[i] += by;
                loss(&blocks, &start)
            };
            let exact = plain.gradients[block][0].as_slice()[i] + plain.gradients[block][3].as_slice()[i];
            check((shifted(h) - shifted(-h)) / (2.0 * h), exact, "parameter");
        }
    }
    for i in 0..2 * dim {
        let shifted = |by: f64| {
            let mut start = start.clone();
            start.second.as_mut_slice()[i] += by;
            loss(&blocks, &start)
        };
        let numeric = (shifted(h) - shifted(-h)) / (2.0 * h);
        check(numeric, plain.input_grads.second.as_slice()[i], "input");
    }
}

#[test]
fn gradients_are_handed_out_last_block_first_each_before_the_next_is_made() {
    let blocks = stack::<f64>(4, 2, 3, 11);
    let mut x = streams::<f64>(3, 2, 12);
    let saved = forward(&blocks, &mut x).unwrap();
    let mut grads = streams::<f64>(3, 2, 13);
    let log = std::cell::RefCell::new(Vec::new());
    let make = |block| {
        log.borrow_mut().push(format!("make {block}"));
        zeros(2, 3)
    };
    let take = |block, _| {
        log.borrow_mut().push(format!("take {block}"));
        Ok(())
    };
    reverse(&blocks, &mut x, &mut grads, saved, make, take).unwrap();
    let expected =
        ["make 3", "take 3", "make 2", "take 2", "make 1", "take 1", "make 0", "take 0"].map(String::from);
    assert_eq!(log.into_inner(), expected);
}

#[test]
fn updating_each_block_at_once_uses_the_same_gradients() {
    let mut blocks = stack::<f64>(5, 3, 4, 21);
    let before = blocks.clone();
    let start = streams::<f64>(6, 3, 22);
    let plain = naive::backpropagate(&before, &(), start.clone(), half_square, |_| zeros(3, 4)).unwrap();
    let mut x = start.clone();
    let saved = forward(&blocks, &mut x).unwrap();
    let mut grads = half_square(&x);
    sequence::reverse(&(), &mut x, &mut grads, saved, |i, step| {
        let mut gradient = zeros(3, 4);
        let done = step.through(&blocks[i], &mut gradient)?;
        dense::sub_from(&mut blocks[i].f.a, &gradient[0]);
        Ok::<_, Infallible>(done)
    })
    .unwrap();
    for (i, gradient) in plain.gradients.iter().enumerate() {
        let mut expected = before[i].f.a.clone();
        dense::sub_from(&mut expected, &gradient[0]);
        assert!(distance(&blocks[i].f.a, &expected) < 1e-12, "block {i}");
    }
    assert!(distance(&x.first, &start.first) < 1e-14);
}
