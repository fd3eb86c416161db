//! The third verb: new positions one after another give what a forward pass over all of them gives.

use std::convert::Infallible;

use reformer_reversible::{Block, Coupling, Stepwise, Streams, Sublayer};
use reformer_tensor::Matrix;

/// `f(x)[t] = weight · Σ_{s ≤ t} x[s]`: looks back, as attention does.
struct Past(f64);

/// The sum of the positions so far.
type Memory = Vec<f64>;

impl Past {
    fn add(&self, x: &Matrix<f64>, sum: &mut Memory, y: &mut Matrix<f64>) {
        for t in 0..x.rows() {
            for (j, sum) in sum.iter_mut().enumerate() {
                *sum += x.row(t)[j];
                y.row_mut(t)[j] += self.0 * *sum;
            }
        }
    }
}

impl Sublayer<()> for Past {
    type Activations = Matrix<f64>;
    type Differentials = Matrix<f64>;
    type Saved = ();
    type Gradient = ();
    type Error = Infallible;

    fn forward(&self, (): &(), x: &Matrix<f64>, y: &mut Matrix<f64>) -> Result<(), Infallible> {
        self.add(x, &mut vec![0.0; x.cols()], y);
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        (): &(),
        _: &Matrix<f64>,
        (): &(),
        _: &mut Matrix<f64>,
        _: &Matrix<f64>,
        _: &mut Matrix<f64>,
        (): &mut (),
    ) -> Result<(), Infallible> {
        unreachable!("steps are not gone back")
    }
}

impl Stepwise<(), [Memory; 2]> for Past {
    fn step(
        &self,
        (): &(),
        x: &Matrix<f64>,
        memory: &mut [Memory; 2],
        y: &mut Matrix<f64>,
    ) -> Result<(), Infallible> {
        self.add(x, &mut memory[usize::from(self.0 < 0.0)], y);
        Ok(())
    }
}

#[test]
fn steps_of_a_block_give_what_its_forward_pass_gives() {
    let block = Coupling { f: Past(0.5), g: Past(-0.25) };
    let stream = |seed: usize| Matrix::from_fn(7, 3, |i, j| ((i * 5 + j * 3 + seed) % 7) as f64 - 3.0);
    let mut whole = Streams { first: stream(0), second: stream(4) };
    let rows = |m: &Matrix<f64>, from: usize, n: usize| Matrix::from_fn(n, 3, |i, j| m.row(from + i)[j]);
    let mut memory = [vec![0.0; 3], vec![0.0; 3]];
    let mut stepped = Vec::new();
    for (from, n) in [(0, 3), (3, 1), (4, 1), (5, 2)] {
        let mut streams =
            Streams { first: rows(&whole.first, from, n), second: rows(&whole.second, from, n) };
        let Ok(()) = block.step(&(), &mut streams, &mut memory);
        stepped.push((from, n, streams));
    }
    let Ok(_) = block.forward(&(), &mut whole);
    for (from, n, streams) in stepped {
        assert_eq!(streams.first, rows(&whole.first, from, n));
        assert_eq!(streams.second, rows(&whole.second, from, n));
    }
}
