//! One reversible block: two half-residual couplings (paper, section 3; Gomez et al. 2017).
//!
//! ```text
//! forward   y1 = x1 + F(x2)        reverse   x2 = y2 − G(y1)      dy1 += (∂G/∂y1)ᵀ dy2
//!           y2 = x2 + G(y1)                  x1 = y1 − F(x2)      dy2 += (∂F/∂x2)ᵀ dy1
//! ```
//!
//! The gradients come out of the same two steps. With `L` a function of `(y1, y2)`, `y1` acts on `L` directly and
//! through `y2 = x2 + G(y1)`: its whole gradient is `dy1 + (∂G/∂y1)ᵀ dy2`, which is also `dx1`. And `x2` acts through
//! `y2` (identity) and through `y1`: `dx2 = dy2 + (∂F/∂x2)ᵀ dx1`. Everything is done in place: two streams and two
//! gradients, nothing more.
//!
//! Subtraction does not undo addition bit for bit. The restored `x2` differs from the one that `F` saw by one
//! rounding, and `F` is evaluated again at that point. 64 blocks of f32 come back to about 1e-6, which is far below
//! the noise of a gradient.

use crate::{
    activations::{Activations, Streams},
    block::Block,
    sublayer::{Stepwise, Sublayer},
};

/// A block `(x1, x2) → (y1, y2)` of two residual functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coupling<F, G> {
    /// Reads the second stream and writes to the first: attention, in a Reformer.
    pub f: F,
    /// Reads the first stream and writes to the second: feed-forward, in a Reformer.
    pub g: G,
}

impl<F, G> Coupling<F, G> {
    /// `(x1, x2) → (y1, y2)` in place, for new positions alone; nothing is kept for a way back.
    ///
    /// After an error the streams are of no use, and `state` may hold some of the new positions.
    pub fn step<C, S>(
        &self,
        context: &C,
        streams: &mut Streams<F::Activations>,
        state: &mut S,
    ) -> Result<(), F::Error>
    where
        C: ?Sized,
        S: ?Sized,
        F: Stepwise<C, S>,
        G: Stepwise<C, S, Activations = F::Activations, Error = F::Error>,
    {
        self.f.step(context, &streams.second, state, &mut streams.first)?;
        self.g.step(context, &streams.first, state, &mut streams.second)
    }
}

impl<C, F, G> Block<C> for Coupling<F, G>
where
    C: ?Sized,
    F: Sublayer<C>,
    G: Sublayer<
            C,
            Activations = F::Activations,
            Differentials = F::Differentials,
            Gradient = F::Gradient,
            Error = F::Error,
        >,
{
    type Activations = F::Activations;
    type Differentials = F::Differentials;
    type Saved = (F::Saved, G::Saved);
    // One gradient for both functions: an optimizer updates a block at a time, and one buffer is enough for any block.
    type Gradient = F::Gradient;
    type Error = F::Error;

    fn forward(
        &self,
        context: &C,
        streams: &mut Streams<F::Activations>,
    ) -> Result<(F::Saved, G::Saved), F::Error> {
        let f = self.f.forward(context, &streams.second, &mut streams.first)?;
        let g = self.g.forward(context, &streams.first, &mut streams.second)?;
        Ok((f, g))
    }

    fn reverse_and_grad(
        &self,
        context: &C,
        streams: &mut Streams<F::Activations>,
        saved: &(F::Saved, G::Saved),
        grads: &mut Streams<F::Differentials>,
        gradient: &mut F::Gradient,
    ) -> Result<(), F::Error> {
        let Streams { first, second } = streams;
        let Streams { first: d_first, second: d_second } = grads;
        // G goes first. Only y1 is known, and x2 = y2 − G(y1) is what F has to be evaluated at. It also completes dy1,
        // which is what F's vector-Jacobian product starts from.
        self.g.reverse_and_grad(context, first, &saved.1, second, d_second, d_first, gradient)?;
        self.f.reverse_and_grad(context, second, &saved.0, first, d_first, d_second, gradient)
    }

    fn inverse(&self, context: &C, streams: &mut Streams<F::Activations>) -> Result<(), F::Error> {
        // Sublayers can only add, so what is to be subtracted needs a third buffer. The reverse pass does not: its
        // sublayers subtract by themselves, because they compute f(x) anyway.
        let mut residual = streams.first.zeros_like();
        self.g.forward(context, &streams.first, &mut residual)?;
        streams.second.sub(&residual);
        residual.clear();
        self.f.forward(context, &streams.second, &mut residual)?;
        streams.first.sub(&residual);
        Ok(())
    }
}
