//! The network of the example `revnet_fashion_mnist`, on synthetic images.

#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../examples/revnet/mod.rs"]
mod revnet;

use std::convert::Infallible;

use reformer_reversible::{Activations, Coupling, Streams, naive, sequence};
use reformer_tensor::{Address, Cpu, Matrix, Purpose};
use reformer_testing::numbers::normal;
use revnet::{
    convolution::{Convolution, Residual, Window},
    images::{PIXELS, SIDE, Set},
    network::RevNet,
};

fn dot(a: &Matrix, b: &Matrix) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// Ten kinds of pattern with noise, for a test without data: stripes of ten slopes.
fn synthetic(images: usize) -> Set {
    let mut noise = vec![0.0; images * PIXELS];
    Address { seed: 1, step: 0, layer: 0, purpose: Purpose::Test }.fill_normal(&mut noise);
    let labels: Vec<u32> = (0..images as u32).map(|i| i % 10).collect();
    let pixels = Matrix::from_fn(images * PIXELS, 1, |row, _| {
        let (image, pixel) = (row / PIXELS, row % PIXELS);
        let angle = labels[image] as f32 * std::f32::consts::PI / 10.0;
        let along = (pixel / SIDE) as f32 * angle.sin() + (pixel % SIDE) as f32 * angle.cos();
        along.sin() + 0.3 * noise[row]
    });
    Set { pixels, labels }
}

#[test]
fn a_few_steps_on_one_batch_lower_the_loss_and_the_blocks_stay_invertible() {
    let cpu = Cpu::new(2).unwrap();
    let batch = synthetic(20);
    let mut net = RevNet::new(2, 4, 3);
    let first = net.train(&cpu, &batch, 0.01);
    assert!((first.loss - 10f64.ln()).abs() < 1e-6, "a zero head guesses evenly: {}", first.loss);
    for _ in 0..20 {
        net.train(&cpu, &batch, 0.01);
    }
    let last = net.evaluate(&cpu, &batch);
    assert!(last.loss < 0.8 * first.loss, "{last:?}");
    let error = net.round_trip_error(&cpu, &batch);
    assert!(error < 2e-6, "{error:e}");
}

#[test]
fn training_gives_the_same_bits_on_any_number_of_threads() {
    let batch = synthetic(10);
    let run = |threads| {
        let cpu = Cpu::new(threads).unwrap();
        let mut net = RevNet::new(2, 4, 3);
        (0..3).map(|_| net.train(&cpu, &batch, 0.01).loss).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn fold_is_the_transpose_of_patches() {
    let cpu = Cpu::new(1).unwrap();
    for stride in [1, 2] {
        let window = Window { side: 5, channels: 3, stride };
        let x = normal(1, 2 * 25, 3);
        let patches = window.patches(&cpu, x.view());
        let p = normal(2, patches.rows(), patches.cols());
        let difference = dot(&patches, &p) - dot(&x, &window.fold(&cpu, p.view()));
        assert!(difference.abs() < 1e-4, "stride {stride}: {difference}");
    }
}

#[test]
fn gradients_of_convolutional_blocks_equal_plain_backpropagation_and_differences() {
    let cpu = Cpu::new(1).unwrap();
    let window = Window { side: 4, channels: 2, stride: 1 };
    let residual = |at, seed| Residual {
        convolution: Convolution::new(
            window,
            2,
            0.5,
            Address { seed, step: 0, layer: 0, purpose: Purpose::Test },
        ),
        at,
    };
    let blocks: Vec<_> =
        (0..3).map(|i| Coupling { f: residual(0, 2 * i), g: residual(2, 2 * i + 1) }).collect();
    let zeros = |_| [(18, 2), (1, 2), (18, 2), (1, 2)].map(|(r, c)| Matrix::zeros(r, c));
    let start = Streams { first: normal(8, 32, 2), second: normal(9, 32, 2) };
    // The loss is Σ y·weights, so that its gradient is exactly the weights.
    let weights = Streams { first: normal(10, 32, 2), second: normal(11, 32, 2) };
    let Ok(plain) = naive::backpropagate(&blocks, &cpu, start.clone(), |_| weights.clone(), zeros);

    let mut x = start.clone();
    let mut saved = Vec::new();
    let keep = |_, decided| {
        saved.push(decided);
        Ok(())
    };
    let Ok(()) = sequence::forward(&cpu, &mut x, &blocks, keep);
    let mut grads = weights.clone();
    let check = |block: usize, gradient: [Matrix; 4]| {
        for (mut got, expected) in gradient.into_iter().zip(&plain.gradients[block]) {
            got.sub(expected);
            assert!(dot(&got, &got) < 1e-9 * (1.0 + dot(expected, expected)), "block {block}");
        }
    };
    let Ok(()) = sequence::reverse(&cpu, &mut x, &mut grads, saved, |block, step| {
        let mut gradient = zeros(block);
        let done = step.through(&blocks[block], &mut gradient)?;
        check(block, gradient);
        Ok::<_, Infallible>(done)
    });

    let loss = |start: &Streams<Matrix>| {
        let mut x = start.clone();
        let Ok(()) = sequence::forward(&cpu, &mut x, &blocks, |_, _| Ok(()));
        dot(&x.first, &weights.first) + dot(&x.second, &weights.second)
    };
    let direction = normal(12, 32, 2);
    let shifted = |by: f32| {
        let mut x = start.clone();
        x.second.as_mut_slice().iter_mut().zip(direction.as_slice()).for_each(|(x, d)| *x += by * d);
        loss(&x)
    };
    let numeric = (shifted(1e-3) - shifted(-1e-3)) / 2e-3;
    let exact = dot(&grads.second, &direction);
    assert!((numeric - exact).abs() < 0.01 * (1.0 + exact.abs()), "{numeric} against {exact}");
}
