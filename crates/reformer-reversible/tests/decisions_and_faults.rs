//! What a sublayer decided in the forward pass reaches its reverse pass, and its faults reach the caller with their
//! place.

mod dense;

use dense::{Pair, forward, reverse};
use reformer_reversible::{Coupling, SequenceError, Streams, Sublayer};
use reformer_tensor::Matrix;

/// `f(x) = w·x` where `x >= 0`, else 0: a decision per entry, taken once. Fails on request.
struct Gate {
    w: f64,
    fails: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("gate broken in {0}")]
struct Broken(&'static str);

impl Gate {
    fn check(&self, pass: &'static str) -> Result<(), Broken> {
        if self.fails == Some(pass) { Err(Broken(pass)) } else { Ok(()) }
    }
}

impl Sublayer<()> for Gate {
    type Activations = Matrix<f64>;
    type Differentials = Matrix<f64>;
    type Saved = Vec<bool>;
    type Gradient = f64;
    type Error = Broken;

    fn forward(&self, (): &(), x: &Matrix<f64>, y: &mut Matrix<f64>) -> Result<Vec<bool>, Broken> {
        self.check("forward")?;
        let open: Vec<bool> = x.as_slice().iter().map(|&v| v >= 0.0).collect();
        for ((y, x), &open) in y.as_mut_slice().iter_mut().zip(x.as_slice()).zip(&open) {
            *y += if open { self.w * x } else { 0.0 };
        }
        Ok(open)
    }

    fn reverse_and_grad(
        &self,
        (): &(),
        x: &Matrix<f64>,
        open: &Vec<bool>,
        y: &mut Matrix<f64>,
        dy: &Matrix<f64>,
        dx: &mut Matrix<f64>,
        gradient: &mut f64,
    ) -> Result<(), Broken> {
        self.check("reverse")?;
        for (i, &open) in open.iter().enumerate() {
            let (x, dy) = (x.as_slice()[i], dy.as_slice()[i]);
            if open {
                y.as_mut_slice()[i] -= self.w * x;
                dx.as_mut_slice()[i] += self.w * dy;
                *gradient += x * dy;
            }
        }
        Ok(())
    }
}

fn gates(depth: usize) -> Vec<Pair<Gate>> {
    let gate = |w| Gate { w, fails: None };
    (0..depth).map(|i| Coupling { f: gate(0.1 + i as f64), g: gate(-0.3) }).collect()
}

fn row(values: &[f64]) -> Matrix<f64> {
    Matrix::from_vec(1, values.len(), values.to_vec())
}

fn pair() -> Streams<Matrix<f64>> {
    Streams { first: row(&[0.3, -1.0, 2.0]), second: row(&[0.1, 0.7, -0.2]) }
}

fn ones() -> Streams<Matrix<f64>> {
    Streams { first: row(&[1.0; 3]), second: row(&[1.0; 3]) }
}

/// The streams given to the reverse pass lie on the other side of every gate than in the forward pass: only the
/// saved decisions can give the forward pass's gradient.
#[test]
fn the_reverse_pass_uses_the_decisions_of_the_forward_pass() {
    let blocks = gates(1);
    let mut x = Streams { first: row(&[0.0]), second: row(&[0.0]) };
    let saved = forward(&blocks, &mut x).unwrap();
    assert_eq!(saved, [(vec![true], vec![true])]);
    let mut restored = Streams { first: row(&[-1e-17]), second: row(&[-1e-17]) };
    let mut grads = Streams { first: row(&[1.0]), second: row(&[1.0]) };
    reverse(&blocks, &mut restored, &mut grads, saved, |_| 0.0, |_, _| Ok(())).unwrap();
    assert_eq!(grads.first.as_slice(), [1.0 - 0.3], "dx1 = dy1 + g·dy2");
    assert_eq!(grads.second.as_slice(), [1.0 + 0.1 * (1.0 - 0.3)], "dx2 = dy2 + f·dx1");
}

#[test]
fn a_fault_in_the_forward_pass_names_its_block() {
    let mut blocks = gates(3);
    blocks[1].g.fails = Some("forward");
    let error = forward(&blocks, &mut pair()).unwrap_err();
    assert_eq!(error, SequenceError::Forward { block: 1, source: Broken("forward") });
    assert_eq!(error.to_string(), "block 1, forward: gate broken in forward");
    assert_eq!((error.block(), error.into_source()), (1, Broken("forward")));
}

#[test]
fn a_fault_in_the_reverse_pass_stops_there() {
    let mut blocks = gates(4);
    blocks[1].f.fails = Some("reverse");
    let mut x = pair();
    let saved = forward(&blocks, &mut x).unwrap();
    let mut taken = Vec::new();
    let sink = |block, _| {
        taken.push(block);
        Ok(())
    };
    let error = reverse(&blocks, &mut x, &mut ones(), saved, |_| 0.0, sink).unwrap_err();
    assert_eq!(error, SequenceError::Reverse { block: 1, source: Broken("reverse") });
    assert_eq!(taken, [3, 2]);
}

#[test]
fn a_fault_of_the_sink_stops_the_reverse_pass() {
    let blocks = gates(3);
    let mut x = pair();
    let saved = forward(&blocks, &mut x).unwrap();
    let sink = |block, _| if block == 2 { Err(Broken("optimizer")) } else { panic!("went on to {block}") };
    let error = reverse(&blocks, &mut x, &mut ones(), saved, |_| 0.0, sink).unwrap_err();
    assert_eq!(error, SequenceError::Sink { block: 2, source: Broken("optimizer") });
}
