//! A sequence of reversible blocks, whose memory does not grow with its depth.
//!
//! ```text
//! forward    for each block, first to last:   streams → streams; keep(block, what it decided)
//! reverse    for each block, last to first:   make the block and room for its gradient
//!                                             streams and gradients → those of the block's input
//!                                             hand the gradient on; the block may change now
//! ```
//!
//! The forward pass keeps the last pair of streams and each block's decisions. The reverse pass restores a block's
//! input from its output, adds up the block's parameter gradients, and hands them out before it goes on, so that an
//! optimizer (or an all-reduce) can take them and only one block's gradients exist at a time.
//!
//! Where this departs from a list of layers with a `backward` method:
//!
//! 1. **Blocks are handed in, not owned.** A block borrows parameters which an optimizer changes as soon as the block
//!    is done. A sequence that owned its blocks would hold those borrows for the whole pass.
//! 2. **Making a block and taking its gradient are one function**, not two. Both need the parameters, one to read and
//!    one to change them, and two closures cannot hold them at once. [`StepBack::through`] stands between the two, and
//!    the type of what it returns makes sure that nobody forgets it.
//! 3. **Decisions are dropped block by block**, so the buckets of a deep model shrink while the reverse pass runs.

use thiserror::Error;

use crate::{
    activations::{Activations, Streams},
    block::Block,
};

/// A fault of one block, with the place where it happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SequenceError<E> {
    /// In the forward pass.
    #[error("block {block}, forward: {source}")]
    Forward {
        /// Index of the block, from 0.
        block: usize,
        /// The sublayer's own error.
        source: E,
    },
    /// In the reverse pass.
    #[error("block {block}, reverse: {source}")]
    Reverse {
        /// Index of the block, from 0.
        block: usize,
        /// The sublayer's own error.
        source: E,
    },
    /// From what took the block's gradient.
    #[error("block {block}, taking its gradient: {source}")]
    Sink {
        /// Index of the block, from 0.
        block: usize,
        /// The error of what took it.
        source: E,
    },
}

impl<E> SequenceError<E> {
    /// The block that failed.
    pub fn block(&self) -> usize {
        match self {
            Self::Forward { block, .. } | Self::Reverse { block, .. } | Self::Sink { block, .. } => *block,
        }
    }

    /// The error without its place.
    pub fn into_source(self) -> E {
        match self {
            Self::Forward { source, .. } | Self::Reverse { source, .. } | Self::Sink { source, .. } => source,
        }
    }
}

/// Runs `blocks` on `streams` in place, first to last. `keep(block, decided)` gets what each block decided; what
/// [`reverse`] needs is the list of these.
///
/// After an error the streams are of no use.
pub fn forward<C: ?Sized, B: Block<C>>(
    context: &C,
    streams: &mut Streams<B::Activations>,
    blocks: impl IntoIterator<Item = B>,
    mut keep: impl FnMut(usize, B::Saved) -> Result<(), B::Error>,
) -> Result<(), SequenceError<B::Error>> {
    // Blocks come one at a time: one that borrows parameters, or lives on a device, need not exist before its turn.
    for (block, made) in blocks.into_iter().enumerate() {
        made.forward(context, streams)
            .and_then(|decided| keep(block, decided))
            .map_err(|source| SequenceError::Forward { block, source })?;
    }
    Ok(())
}

/// Undoes [`forward`] without gradients. `blocks` are the forward pass's, first to last.
pub fn inverse<C: ?Sized, B: Block<C>>(
    context: &C,
    streams: &mut Streams<B::Activations>,
    blocks: impl IntoIterator<Item = B, IntoIter: DoubleEndedIterator + ExactSizeIterator>,
) -> Result<(), SequenceError<B::Error>> {
    for (block, made) in blocks.into_iter().enumerate().rev() {
        made.inverse(context, streams).map_err(|source| SequenceError::Reverse { block, source })?;
    }
    Ok(())
}

/// Walks back from the last pair of `streams` and their gradients `grads` to the first, in place.
///
/// `saved` is what the blocks decided in the forward pass, first to last. For each block, last to first,
/// `visit(block, step)` makes the block and room for its gradient, sends both [`StepBack::through`], and then does with
/// the gradient what it wants: the block is not needed again in this pass, so its parameters may change at once.
///
/// After an error streams and gradients are of no use.
///
/// ```
/// # use reformer_reversible::{Block, Streams, SequenceError, sequence};
/// fn descend<B: Block<()>>(
///     blocks: &mut [B],
///     streams: &mut Streams<B::Activations>,
///     grads: &mut Streams<B::Differentials>,
///     saved: Vec<B::Saved>,
///     zeros: impl Fn() -> B::Gradient,
///     update: impl Fn(&mut B, B::Gradient) -> Result<(), B::Error>,
/// ) -> Result<(), SequenceError<B::Error>> {
///     sequence::reverse(&(), streams, grads, saved, |block, step| {
///         let mut gradient = zeros();
///         let done = step.through(&blocks[block], &mut gradient)?;
///         update(&mut blocks[block], gradient)?;
///         Ok(done)
///     })
/// }
/// ```
pub fn reverse<C: ?Sized, A, D, S, E>(
    context: &C,
    streams: &mut Streams<A>,
    grads: &mut Streams<D>,
    mut saved: Vec<S>,
    mut visit: impl FnMut(usize, StepBack<'_, C, A, D, S>) -> Result<Restored, E>,
) -> Result<(), SequenceError<E>> {
    // There are as many blocks as decisions, so a count that does not fit the forward pass cannot be given.
    while let Some(decided) = saved.pop() {
        let (block, mut restored) = (saved.len(), false);
        // One flag tells an error of the block from an error of whoever took its gradient, though both come out of
        // `visit`.
        let step = StepBack { context, streams, grads, decided, restored: &mut restored };
        match visit(block, step) {
            Ok(Restored(())) => {}
            Err(source) if restored => return Err(SequenceError::Sink { block, source }),
            Err(source) => return Err(SequenceError::Reverse { block, source }),
        }
    }
    Ok(())
}

/// One block's turn in [`reverse`].
#[must_use = "the reverse pass needs every block"]
#[derive(Debug)]
pub struct StepBack<'w, C: ?Sized, A, D, S> {
    context: &'w C,
    streams: &'w mut Streams<A>,
    grads: &'w mut Streams<D>,
    decided: S,
    restored: &'w mut bool,
}

/// Says that a block was gone back through. Only [`StepBack::through`] makes it.
#[derive(Debug)]
pub struct Restored(());

impl<C: ?Sized, A: Activations, D: Activations, S> StepBack<'_, C, A, D, S> {
    /// Restores the block's input, turns the streams' gradients into those of the input, and adds the parameters' to
    /// `gradient`.
    pub fn through<B>(self, block: &B, gradient: &mut B::Gradient) -> Result<Restored, B::Error>
    where
        B: Block<C, Activations = A, Differentials = D, Saved = S>,
    {
        // Takes itself by value: a second time through a block would subtract its residual twice.
        block.reverse_and_grad(self.context, self.streams, &self.decided, self.grads, gradient)?;
        *self.restored = true;
        Ok(Restored(()))
    }
}
