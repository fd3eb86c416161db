//! Activation memory does not grow with depth: every activation buffer counts itself while it lives.

#![allow(clippy::print_stdout, reason = "measured figures are shown with --no-capture")]

mod dense;

use std::{cell::Cell, convert::Infallible, rc::Rc};

use dense::{Dense, Gradients, Pair, add_into, forward, product, reverse, sub_from, zeros};
use reformer_reversible::{Activations, Coupling, Streams, Sublayer, naive};
use reformer_tensor::Matrix;
use reformer_testing::numbers::scaled_normal;

#[derive(Default)]
struct Meter {
    live: Cell<usize>,
    peak: Cell<usize>,
}

/// A matrix that adds its bytes to a meter while it lives.
struct Counted {
    matrix: Matrix<f64>,
    meter: Rc<Meter>,
}

impl Counted {
    fn new(matrix: Matrix<f64>, meter: &Rc<Meter>) -> Self {
        meter.live.set(meter.live.get() + matrix.bytes());
        meter.peak.set(meter.peak.get().max(meter.live.get()));
        Self { matrix, meter: meter.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.meter.live.set(self.meter.live.get() - self.matrix.bytes());
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.matrix.clone(), &self.meter)
    }
}

impl Activations for Counted {
    fn zeros_like(&self) -> Self {
        Self::new(self.matrix.zeros_like(), &self.meter)
    }
    fn add(&mut self, other: &Self) {
        self.matrix.add(&other.matrix);
    }
    fn sub(&mut self, other: &Self) {
        self.matrix.sub(&other.matrix);
    }
    fn clear(&mut self) {
        self.matrix.clear();
    }
    fn bytes(&self) -> usize {
        self.matrix.bytes()
    }
}

/// The dense function, its working set metered too.
struct Metered(Dense<f64>);

impl Sublayer<()> for Metered {
    type Activations = Counted;
    type Differentials = Counted;
    type Saved = ();
    type Gradient = Gradients<f64>;
    type Error = Infallible;

    fn forward(&self, (): &(), x: &Counted, y: &mut Counted) -> Result<(), Infallible> {
        let hidden = Counted::new(self.0.hidden(&x.matrix), &x.meter);
        add_into(&mut y.matrix, &product(&hidden.matrix, &self.0.b));
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        (): &(),
        x: &Counted,
        (): &(),
        y: &mut Counted,
        dy: &Counted,
        dx: &mut Counted,
        gradient: &mut Gradients<f64>,
    ) -> Result<(), Infallible> {
        let (fx, dfx) = self.0.vjp(&x.matrix, &dy.matrix, gradient);
        let (fx, dfx) = (Counted::new(fx, &x.meter), Counted::new(dfx, &x.meter));
        sub_from(&mut y.matrix, &fx.matrix);
        add_into(&mut dx.matrix, &dfx.matrix);
        Ok(())
    }
}

const ROWS: usize = 32;
const DIM: usize = 8;

fn metered(depth: usize) -> (Vec<Pair<Metered>>, Streams<Counted>, Rc<Meter>) {
    let dense =
        |at| Metered(Dense { a: scaled_normal(1, DIM, DIM, 0.1), b: scaled_normal(2, DIM, DIM, 0.1), at });
    let blocks = (0..depth).map(|_| Coupling { f: dense(0), g: dense(2) }).collect();
    let meter = Rc::new(Meter::default());
    let stream = || Counted::new(scaled_normal(3, ROWS, DIM, 1.0), &meter);
    let streams = Streams { first: stream(), second: stream() };
    (blocks, streams, meter)
}

fn peak_of_a_step(depth: usize) -> usize {
    let (blocks, mut x, meter) = metered(depth);
    let saved = forward(&blocks, &mut x).unwrap();
    let mut grads = x.clone();
    reverse(&blocks, &mut x, &mut grads, saved, |_| zeros(DIM, DIM), |_, _| Ok(())).unwrap();
    meter.peak.get()
}

fn peak_of_plain_backpropagation(depth: usize) -> usize {
    let (blocks, x, meter) = metered(depth);
    naive::backpropagate(&blocks, &(), x, Clone::clone, |_| zeros(DIM, DIM)).unwrap();
    meter.peak.get()
}

#[test]
fn a_step_needs_as_many_activations_at_64_blocks_as_at_4() {
    let stream = ROWS * DIM * size_of::<f64>();
    let (four, sixty_four) = (peak_of_a_step(4), peak_of_a_step(64));
    println!("peak activations: {} streams at 4 blocks, {} at 64", four / stream, sixty_four / stream);
    assert_eq!(four, sixty_four);
    assert_eq!(four, 6 * stream, "two streams, their gradients, f(x) and its vector-Jacobian product");
    let plain = (peak_of_plain_backpropagation(4), peak_of_plain_backpropagation(64));
    assert!(
        plain.1 >= plain.0 + 2 * 60 * stream,
        "plain backpropagation keeps two streams a block: {plain:?}"
    );
}
