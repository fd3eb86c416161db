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

use crate::{
    activations::{Activations, Streams},
    sublayer::Sublayer,
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
    /// `(x1, x2) → (y1, y2)` in place; returns what the two functions decided.
    ///
    /// After an error the streams are of no use.
    pub fn forward<C: ?Sized, A>(
        &self,
        context: &C,
        streams: &mut Streams<A>,
    ) -> Result<(F::Saved, G::Saved), F::Error>
    where
        A: Activations,
        F: Sublayer<C, Activations = A>,
        G: Sublayer<C, Activations = A, Error = F::Error>,
    {
        let f = self.f.forward(context, &streams.second, &mut streams.first)?;
        let g = self.g.forward(context, &streams.first, &mut streams.second)?;
        Ok((f, g))
    }

    /// `(y1, y2) → (x1, x2)` and `(dy1, dy2) → (dx1, dx2)` in place; parameter gradients are added to `gradient`.
    ///
    /// After an error streams and gradients are of no use.
    pub fn reverse_and_grad<C: ?Sized, A, D>(
        &self,
        context: &C,
        streams: &mut Streams<A>,
        saved: &(F::Saved, G::Saved),
        grads: &mut Streams<D>,
        gradient: &mut F::Gradient,
    ) -> Result<(), F::Error>
    where
        A: Activations,
        D: Activations,
        F: Sublayer<C, Activations = A, Differentials = D>,
        G: Sublayer<C, Activations = A, Differentials = D, Gradient = F::Gradient, Error = F::Error>,
    {
        let Streams { first, second } = streams;
        let Streams { first: d_first, second: d_second } = grads;
        self.g.reverse_and_grad(context, first, &saved.1, second, d_second, d_first, gradient)?;
        self.f.reverse_and_grad(context, second, &saved.0, first, d_first, d_second, gradient)
    }

    /// `(y1, y2) → (x1, x2)` without gradients, at the price of one more buffer.
    ///
    /// The functions decide anew whatever they decide (buckets): see [`Sublayer`].
    pub fn inverse<C: ?Sized, A>(&self, context: &C, streams: &mut Streams<A>) -> Result<(), F::Error>
    where
        A: Activations,
        F: Sublayer<C, Activations = A>,
        G: Sublayer<C, Activations = A, Error = F::Error>,
    {
        let mut residual = streams.first.zeros_like();
        self.g.forward(context, &streams.first, &mut residual)?;
        streams.second.sub(&residual);
        residual.clear();
        self.f.forward(context, &streams.second, &mut residual)?;
        streams.first.sub(&residual);
        Ok(())
    }
}
