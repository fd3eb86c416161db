//! A stack of reversible blocks, whose memory does not grow with its depth.
//!
//! The forward pass keeps the last pair of streams and each block's decisions. The reverse pass walks back: it
//! restores a block's input from its output, adds up the block's parameter gradients, and hands them out before it
//! goes on, so that an optimizer (or an all-reduce) can take them and only one block's gradients exist at a time.

use thiserror::Error;

use crate::{
    activations::{Activations, Streams},
    coupling::Coupling,
    sublayer::Sublayer,
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
    /// From the sink that took the block's gradient.
    #[error("block {block}, taking its gradient: {source}")]
    Sink {
        /// Index of the block, from 0.
        block: usize,
        /// The sink's error.
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

/// What the blocks of a sequence decided in a forward pass, in their order.
pub type SavedBlocks<C, F, G> = Vec<(<F as Sublayer<C>>::Saved, <G as Sublayer<C>>::Saved)>;

/// Reversible blocks, one after another. Blocks of different kinds: make `F` an enum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence<F, G> {
    blocks: Vec<Coupling<F, G>>,
}

impl<F, G> Sequence<F, G> {
    /// A stack of `blocks`, first to last.
    pub fn new(blocks: Vec<Coupling<F, G>>) -> Self {
        Self { blocks }
    }

    /// The blocks, first to last.
    pub fn blocks(&self) -> &[Coupling<F, G>] {
        &self.blocks
    }

    /// The blocks, to update their parameters.
    pub fn blocks_mut(&mut self) -> &mut [Coupling<F, G>] {
        &mut self.blocks
    }

    /// Runs all blocks on `streams` in place; returns their decisions for [`Sequence::reverse`].
    pub fn forward<C: ?Sized, A>(
        &self,
        context: &C,
        streams: &mut Streams<A>,
    ) -> Result<SavedBlocks<C, F, G>, SequenceError<F::Error>>
    where
        A: Activations,
        F: Sublayer<C, Activations = A>,
        G: Sublayer<C, Activations = A, Error = F::Error>,
    {
        let run = |(block, coupling): (usize, &Coupling<F, G>)| {
            coupling.forward(context, streams).map_err(|source| SequenceError::Forward { block, source })
        };
        self.blocks.iter().enumerate().map(run).collect()
    }

    /// Walks back from the last pair of `streams` and their gradients `grads` to the first, in place.
    ///
    /// For each block, last to first: `zeros(block)` makes its gradient, the block adds to it, `sink(block, gradient)`
    /// takes it, and its decisions are dropped.
    ///
    /// # Panics
    /// If `saved` is not of as many blocks.
    #[track_caller]
    pub fn reverse<C: ?Sized, A, D>(
        &self,
        context: &C,
        streams: &mut Streams<A>,
        grads: &mut Streams<D>,
        mut saved: SavedBlocks<C, F, G>,
        mut zeros: impl FnMut(usize) -> F::Gradient,
        mut sink: impl FnMut(usize, F::Gradient) -> Result<(), F::Error>,
    ) -> Result<(), SequenceError<F::Error>>
    where
        A: Activations,
        D: Activations,
        F: Sublayer<C, Activations = A, Differentials = D>,
        G: Sublayer<C, Activations = A, Differentials = D, Gradient = F::Gradient, Error = F::Error>,
    {
        assert_eq!(saved.len(), self.blocks.len(), "one saved decision per block");
        for (block, coupling) in self.blocks.iter().enumerate().rev() {
            let decided = saved.pop().expect("counted above");
            let gradient = step_back(context, (block, coupling), streams, &decided, grads, zeros(block))?;
            sink(block, gradient).map_err(|source| SequenceError::Sink { block, source })?;
        }
        Ok(())
    }

    /// [`Sequence::reverse`] for an optimizer that updates each block at once: a block whose gradient is complete is
    /// not needed again in this pass, so `update(block, coupling, gradient)` may change it.
    ///
    /// # Panics
    /// If `saved` is not of as many blocks.
    #[track_caller]
    pub fn reverse_and_update<C: ?Sized, A, D>(
        &mut self,
        context: &C,
        streams: &mut Streams<A>,
        grads: &mut Streams<D>,
        mut saved: SavedBlocks<C, F, G>,
        mut zeros: impl FnMut(usize) -> F::Gradient,
        mut update: impl FnMut(usize, &mut Coupling<F, G>, F::Gradient) -> Result<(), F::Error>,
    ) -> Result<(), SequenceError<F::Error>>
    where
        A: Activations,
        D: Activations,
        F: Sublayer<C, Activations = A, Differentials = D>,
        G: Sublayer<C, Activations = A, Differentials = D, Gradient = F::Gradient, Error = F::Error>,
    {
        assert_eq!(saved.len(), self.blocks.len(), "one saved decision per block");
        for (block, coupling) in self.blocks.iter_mut().enumerate().rev() {
            let decided = saved.pop().expect("counted above");
            let gradient = step_back(context, (block, coupling), streams, &decided, grads, zeros(block))?;
            update(block, coupling, gradient).map_err(|source| SequenceError::Sink { block, source })?;
        }
        Ok(())
    }

    /// Undoes [`Sequence::forward`] without gradients.
    pub fn inverse<C: ?Sized, A>(
        &self,
        context: &C,
        streams: &mut Streams<A>,
    ) -> Result<(), SequenceError<F::Error>>
    where
        A: Activations,
        F: Sublayer<C, Activations = A>,
        G: Sublayer<C, Activations = A, Error = F::Error>,
    {
        for (block, coupling) in self.blocks.iter().enumerate().rev() {
            coupling.inverse(context, streams).map_err(|source| SequenceError::Reverse { block, source })?;
        }
        Ok(())
    }
}

/// One block backwards; its gradient comes back filled.
fn step_back<C: ?Sized, A, D, F, G>(
    context: &C,
    (block, coupling): (usize, &Coupling<F, G>),
    streams: &mut Streams<A>,
    decided: &(F::Saved, G::Saved),
    grads: &mut Streams<D>,
    mut gradient: F::Gradient,
) -> Result<F::Gradient, SequenceError<F::Error>>
where
    A: Activations,
    D: Activations,
    F: Sublayer<C, Activations = A, Differentials = D>,
    G: Sublayer<C, Activations = A, Differentials = D, Gradient = F::Gradient, Error = F::Error>,
{
    coupling
        .reverse_and_grad(context, streams, decided, grads, &mut gradient)
        .map_err(|source| SequenceError::Reverse { block, source })?;
    Ok(gradient)
}
