//! Residual functions simple enough to follow by hand, with noise that is replayed or drawn anew.

use std::cell::Cell;
use std::convert::Infallible;

use reformer::reversible::{Block as _, Coupling, Streams, Sublayer};
use reformer::tensor::{Address, Matrix, Purpose};

/// `a·x`, or `tanh(a·x)`, plus noise.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) a: f32,
    pub(crate) bounded: bool,
    pub(crate) noise: Noise,
}

/// Where noise comes from.
#[derive(Clone, Debug)]
pub(crate) enum Noise {
    /// Nowhere.
    None,
    /// The same address at every call, as this project's dropout.
    Replayed(Address),
    /// An address that moves on with every call, as a generator's state does.
    Fresh(Cell<u64>),
}

impl Function {
    pub(crate) fn times(a: f32) -> Self {
        Self { a, bounded: false, noise: Noise::None }
    }

    fn of(&self, x: f32) -> f32 {
        let x = self.a * x;
        if self.bounded { x.tanh() } else { x }
    }
}

impl Sublayer<()> for Function {
    type Activations = Matrix;
    type Differentials = Matrix;
    type Saved = ();
    type Gradient = ();
    type Error = Infallible;

    fn forward(&self, (): &(), x: &Matrix, y: &mut Matrix) -> Result<(), Infallible> {
        let mut noise = vec![0.0; x.as_slice().len()];
        match &self.noise {
            Noise::None => {}
            Noise::Replayed(address) => address.fill_normal(&mut noise),
            Noise::Fresh(call) => {
                let here = Address { step: call.replace(call.get() + 1), ..Address::new(0, Purpose::Corpus) };
                here.fill_normal(&mut noise);
            }
        }
        for ((y, x), noise) in y.as_mut_slice().iter_mut().zip(x.as_slice()).zip(noise) {
            *y += self.of(*x) + 0.1 * noise;
        }
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        context: &(),
        x: &Matrix,
        (): &(),
        y: &mut Matrix,
        dy: &Matrix,
        dx: &mut Matrix,
        (): &mut (),
    ) -> Result<(), Infallible> {
        let mut residual = Matrix::zeros(x.rows(), x.cols());
        self.forward(context, x, &mut residual)?;
        for (i, &x) in x.as_slice().iter().enumerate() {
            let slope = if self.bounded { self.a * (1.0 - self.of(x).powi(2)) } else { self.a };
            y.as_mut_slice()[i] -= residual.as_slice()[i];
            dx.as_mut_slice()[i] += slope * dy.as_slice()[i];
        }
        Ok(())
    }
}

/// The largest distance between the input and what the inverse makes of the output, after 1, 2, … blocks.
pub(crate) fn round_trips(blocks: usize, x: &Streams<Matrix>, noise: &dyn Fn(usize) -> Noise) -> Vec<f64> {
    let stack: Vec<Coupling<Function, Function>> = (0..blocks)
        .map(|block| {
            let f = Function { a: 0.7, bounded: true, noise: noise(2 * block) };
            let g = Function { a: 1.3, bounded: true, noise: noise(2 * block + 1) };
            Coupling { f, g }
        })
        .collect();
    let trip = |depth: usize| {
        let mut streams = x.clone();
        let Ok(()) = stack[..depth].iter().try_for_each(|block| block.forward(&(), &mut streams).map(|_| ()));
        let Ok(()) = stack[..depth].iter().rev().try_for_each(|block| block.inverse(&(), &mut streams));
        distance(&streams, x)
    };
    (1..=blocks).map(trip).collect()
}

/// The largest difference between two pairs of streams.
pub(crate) fn distance(a: &Streams<Matrix>, b: &Streams<Matrix>) -> f64 {
    let of = |a: &Matrix, b: &Matrix| {
        let pairs = a.as_slice().iter().zip(b.as_slice());
        pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
    };
    of(&a.first, &b.first).max(of(&a.second, &b.second))
}
