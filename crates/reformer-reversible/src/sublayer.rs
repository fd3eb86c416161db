//! What a residual function must offer to stand in a reversible block: the seam that other devices implement.
//!
//! ```text
//! forward            y += f(x)                                       a whole sequence
//! reverse_and_grad   y −= f(x), dx += (∂f/∂x)ᵀ dy, dθ += (∂f/∂θ)ᵀ dy   the same, backwards
//! step               y += f(x)                                       new positions, the earlier ones from a state
//! ```

use crate::activations::Activations;

/// A residual function `f` with parameters.
///
/// `C` is the context that everything computing needs (threads, workspace, the pass's random address, a device).
/// Both methods work on the caller's buffers; the sublayer keeps nothing between them but what it returns as
/// [`Sublayer::Saved`].
///
/// `f` must be a pure function of `x`, `saved` and the context: dropout draws from an address, and a discrete
/// decision (hash buckets) is returned as `Saved` and reused, since recomputing it from an `x` that has round-off in
/// it could decide otherwise.
pub trait Sublayer<C: ?Sized> {
    /// The buffers it works on.
    type Activations: Activations;
    /// The buffers of gradients, usually of the same type: gradients may be kept in fewer bits, since nothing has to be
    /// restored from them.
    type Differentials: Activations;
    /// What the forward pass decided and the reverse pass must know; `()` if nothing.
    type Saved;
    /// Where parameter gradients are added up, for the whole block.
    type Gradient;
    /// What can go wrong.
    type Error;

    /// `y += f(x)`.
    fn forward(
        &self,
        context: &C,
        x: &Self::Activations,
        y: &mut Self::Activations,
    ) -> Result<Self::Saved, Self::Error>;

    /// `y −= f(x)`, `dx += (∂f/∂x)ᵀ dy`, `gradient += (∂f/∂θ)ᵀ dy`, in one pass: the recomputed `f(x)` both
    /// restores the input of the block and leaves behind what its vector-Jacobian product needs.
    #[allow(clippy::too_many_arguments, reason = "three pairs of buffers are what the equation has")]
    fn reverse_and_grad(
        &self,
        context: &C,
        x: &Self::Activations,
        saved: &Self::Saved,
        y: &mut Self::Activations,
        dy: &Self::Differentials,
        dx: &mut Self::Differentials,
        gradient: &mut Self::Gradient,
    ) -> Result<(), Self::Error>;
}

/// The third verb of a sublayer whose rows are positions of sequences that grow: what decoding needs.
///
/// `S` is what is remembered of the positions so far. Both functions of a block are given the same state, since one
/// of them usually remembers nothing: a feed-forward layer looks at every position by itself.
pub trait Stepwise<C: ?Sized, S: ?Sized>: Sublayer<C> {
    /// `y += f(x)` of new positions, which `state` remembers from now on.
    ///
    /// After an error `state` may hold some of them.
    fn step(
        &self,
        context: &C,
        x: &Self::Activations,
        state: &mut S,
        y: &mut Self::Activations,
    ) -> Result<(), Self::Error>;
}
