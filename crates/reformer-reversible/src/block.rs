//! What a sequence asks of a block: forward, back with gradients, back without.

use crate::activations::{Activations, Streams};

/// A reversible block `(x1, x2) → (y1, y2)`, on the engine's own buffers. [`crate::Coupling`] makes one of two residual
/// functions.
///
/// `C` is the context that everything computing needs: see [`crate::Sublayer`].
pub trait Block<C: ?Sized> {
    /// The buffers of the two streams.
    type Activations: Activations;
    /// The buffers of their gradients.
    type Differentials: Activations;
    /// What the forward pass decided and the reverse pass must know.
    type Saved;
    /// Where parameter gradients are added up.
    type Gradient;
    /// What can go wrong.
    type Error;

    /// `(x1, x2) → (y1, y2)` in place; returns what was decided.
    ///
    /// After an error the streams are of no use.
    fn forward(
        &self,
        context: &C,
        streams: &mut Streams<Self::Activations>,
    ) -> Result<Self::Saved, Self::Error>;

    /// `(y1, y2) → (x1, x2)` and `(dy1, dy2) → (dx1, dx2)` in place; parameter gradients are added to `gradient`.
    ///
    /// After an error streams and gradients are of no use.
    fn reverse_and_grad(
        &self,
        context: &C,
        streams: &mut Streams<Self::Activations>,
        saved: &Self::Saved,
        grads: &mut Streams<Self::Differentials>,
        gradient: &mut Self::Gradient,
    ) -> Result<(), Self::Error>;

    /// `(y1, y2) → (x1, x2)` without gradients. What the forward pass decided (buckets) is decided anew.
    fn inverse(&self, context: &C, streams: &mut Streams<Self::Activations>) -> Result<(), Self::Error>;
}

/// A sequence may own its blocks or borrow them.
impl<C: ?Sized, B: Block<C> + ?Sized> Block<C> for &B {
    type Activations = B::Activations;
    type Differentials = B::Differentials;
    type Saved = B::Saved;
    type Gradient = B::Gradient;
    type Error = B::Error;

    fn forward(
        &self,
        context: &C,
        streams: &mut Streams<Self::Activations>,
    ) -> Result<Self::Saved, Self::Error> {
        (**self).forward(context, streams)
    }

    fn reverse_and_grad(
        &self,
        context: &C,
        streams: &mut Streams<Self::Activations>,
        saved: &Self::Saved,
        grads: &mut Streams<Self::Differentials>,
        gradient: &mut Self::Gradient,
    ) -> Result<(), Self::Error> {
        (**self).reverse_and_grad(context, streams, saved, grads, gradient)
    }

    fn inverse(&self, context: &C, streams: &mut Streams<Self::Activations>) -> Result<(), Self::Error> {
        (**self).inverse(context, streams)
    }
}
