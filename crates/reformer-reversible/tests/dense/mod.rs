//! A residual function for tests: `f(x) = tanh(x·A)·B`, in f32 or f64, with its vector-Jacobian product.

#![allow(dead_code, reason = "each test file uses a part")]

use std::convert::Infallible;

use reformer_reversible::{Activations, Coupling, SequenceError, Streams, Sublayer, sequence};
use reformer_tensor::{Matrix, Real};
use reformer_testing::compare;
use reformer_testing::numbers::scaled_normal;

/// `a·b`, with either operand transposed on the way in by [`transposed`].
pub(crate) fn product<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    assert_eq!(a.cols(), b.rows());
    Matrix::from_fn(a.rows(), b.cols(), |i, j| (0..a.cols()).map(|k| a.row(i)[k] * b.row(k)[j]).sum())
}

pub(crate) fn transposed<T: Real>(a: &Matrix<T>) -> Matrix<T> {
    Matrix::from_fn(a.cols(), a.rows(), |i, j| a.row(j)[i])
}

pub(crate) fn add_into<T: Real>(to: &mut Matrix<T>, from: &Matrix<T>) {
    to.as_mut_slice().iter_mut().zip(from.as_slice()).for_each(|(t, &f)| *t += f);
}

pub(crate) fn sub_from<T: Real>(to: &mut Matrix<T>, from: &Matrix<T>) {
    to.as_mut_slice().iter_mut().zip(from.as_slice()).for_each(|(t, &f)| *t -= f);
}

/// A block of two functions of one kind.
pub(crate) type Pair<F> = Coupling<F, F>;

/// Gradients of one block: those of F at 0 and 1, those of G at 2 and 3.
pub(crate) type Gradients<T> = Vec<Matrix<T>>;

#[derive(Debug, Clone)]
pub(crate) struct Dense<T: Real> {
    pub(crate) a: Matrix<T>,
    pub(crate) b: Matrix<T>,
    /// Where its two gradients stand in the block's.
    pub(crate) at: usize,
}

impl<T: Real> Dense<T> {
    pub(crate) fn hidden(&self, x: &Matrix<T>) -> Matrix<T> {
        let mut h = product(x, &self.a);
        h.as_mut_slice().iter_mut().for_each(|v| *v = v.tanh());
        h
    }

    /// `(f(x), Jᵀdy)`; parameter gradients are added up.
    pub(crate) fn vjp(
        &self,
        x: &Matrix<T>,
        dy: &Matrix<T>,
        gradient: &mut Gradients<T>,
    ) -> (Matrix<T>, Matrix<T>) {
        let h = self.hidden(x);
        let mut dh = product(dy, &transposed(&self.b));
        dh.as_mut_slice().iter_mut().zip(h.as_slice()).for_each(|(d, &h)| *d *= T::one() - h * h);
        add_into(&mut gradient[self.at], &product(&transposed(x), &dh));
        add_into(&mut gradient[self.at + 1], &product(&transposed(&h), dy));
        (product(&h, &self.b), product(&dh, &transposed(&self.a)))
    }
}

impl<T: Real> Sublayer<()> for Dense<T> {
    type Activations = Matrix<T>;
    type Differentials = Matrix<T>;
    type Saved = ();
    type Gradient = Gradients<T>;
    type Error = Infallible;

    fn forward(&self, (): &(), x: &Matrix<T>, y: &mut Matrix<T>) -> Result<(), Infallible> {
        add_into(y, &product(&self.hidden(x), &self.b));
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        (): &(),
        x: &Matrix<T>,
        (): &(),
        y: &mut Matrix<T>,
        dy: &Matrix<T>,
        dx: &mut Matrix<T>,
        gradient: &mut Gradients<T>,
    ) -> Result<(), Infallible> {
        let (fx, dfx) = self.vjp(x, dy, gradient);
        sub_from(y, &fx);
        add_into(dx, &dfx);
        Ok(())
    }
}

/// `depth` blocks of width `dim`; the size of the residuals falls with the depth, so that streams stay of order one.
pub(crate) fn stack<T: Real>(depth: usize, dim: usize, hidden: usize, seed: u64) -> Vec<Pair<Dense<T>>> {
    let scale = 1.0 / (dim * hidden * depth) as f64;
    let dense = |at, n: usize| {
        let seed = seed.wrapping_add(2 * n as u64);
        Dense {
            a: scaled_normal(seed, dim, hidden, (dim as f64).sqrt().recip()),
            b: scaled_normal(seed + 1, hidden, dim, (scale * dim as f64).sqrt()),
            at,
        }
    };
    let block = |i| Coupling { f: dense(0, 2 * i), g: dense(2, 2 * i + 1) };
    (0..depth).map(block).collect()
}

/// What the blocks of a stack decided.
pub(crate) type Decisions<F> = Vec<(<F as Sublayer<()>>::Saved, <F as Sublayer<()>>::Saved)>;

/// Forward through owned blocks; their decisions.
pub(crate) fn forward<A, F>(
    blocks: &[Pair<F>],
    x: &mut Streams<A>,
) -> Result<Decisions<F>, SequenceError<F::Error>>
where
    A: Activations,
    F: Sublayer<(), Activations = A>,
{
    let mut saved = Vec::new();
    sequence::forward(&(), x, blocks, |_, decided| {
        saved.push(decided);
        Ok(())
    })?;
    Ok(saved)
}

/// Back through owned blocks, which stay as they are.
pub(crate) fn reverse<A, F>(
    blocks: &[Pair<F>],
    x: &mut Streams<A>,
    grads: &mut Streams<A>,
    saved: Decisions<F>,
    zeros: impl Fn(usize) -> F::Gradient,
    mut sink: impl FnMut(usize, F::Gradient) -> Result<(), F::Error>,
) -> Result<(), SequenceError<F::Error>>
where
    A: Activations,
    F: Sublayer<(), Activations = A, Differentials = A>,
{
    sequence::reverse(&(), x, grads, saved, |block, step| {
        let mut gradient = zeros(block);
        let done = step.through(&blocks[block], &mut gradient)?;
        sink(block, gradient)?;
        Ok(done)
    })
}

pub(crate) fn zeros<T: Real>(dim: usize, hidden: usize) -> Gradients<T> {
    [(dim, hidden), (hidden, dim), (dim, hidden), (hidden, dim)].map(|(r, c)| Matrix::zeros(r, c)).to_vec()
}

pub(crate) fn streams<T: Real>(rows: usize, dim: usize, seed: u64) -> Streams<Matrix<T>> {
    Streams { first: scaled_normal(seed, rows, dim, 1.0), second: scaled_normal(seed + 1, rows, dim, 1.0) }
}

/// Largest difference relative to the largest entry of `b`; NaN if there is one.
pub(crate) fn distance<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> f64 {
    let wide = |x: &Matrix<T>| x.as_slice().iter().map(|x| x.to_f64_lossless()).collect::<Vec<f64>>();
    compare::distance(&wide(a), &wide(b))
}
