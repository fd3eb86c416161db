//! The training pass, and where its gradients go.
//!
//! ```text
//! forward    x1 = x2 = embed(ids);  per block: keep only the buckets;  keep the last pair
//! head       loss and d(pair), a piece at a time                      → done(N + 1)
//! reverse    per block: recompute, take the input pair back, gradient → done(N) … done(1)
//! embed      d(x1) + d(x2) scattered                                  → done(0)
//! ```
//!
//! A group is read for the last time before its gradient is done, so a ledger may change it at once.

use reformer_reversible::{Streams, sequence};
use reformer_tensor::Cpu;

use crate::batch::LossReport;
use crate::error::Result;
use crate::gradient_stream::GradientStream;
use crate::parameters::{Group, Parameters};
use crate::run::Run;

/// Where a pass reads parameters, takes room for a group's gradient, and leaves it when it is complete.
pub(crate) trait Ledger {
    fn parameters(&self) -> &Parameters;
    /// The loss is known; nothing has been changed yet.
    fn begin(&mut self, _report: &LossReport) -> Result<()> {
        Ok(())
    }
    /// Room for the gradient of group `index`, to add to.
    fn room(&mut self, index: usize) -> Group;
    /// The gradient of group `index` is complete.
    fn done(&mut self, index: usize, gradient: Group) -> Result<()>;
}

/// Gradients are shown to a function, then forgotten.
pub(crate) struct Handed<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) sink: &'a mut dyn FnMut(usize, &Group),
    pub(crate) spare: Option<Group>,
}

/// Gradients are added to others.
pub(crate) struct Added<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) gradients: &'a mut Parameters,
}

/// What an optimizer does while a pass is under way.
pub struct Updates<'a> {
    /// Sees the loss before anything is changed.
    pub begin: &'a mut dyn FnMut(&LossReport) -> Result<()>,
    /// Changes a group, given its index, its parameters and its gradient.
    pub group: &'a mut dyn FnMut(usize, &mut Group, &Group) -> Result<()>,
}

/// Gradients change their parameters, then are forgotten.
pub(crate) struct Updated<'p, 'u> {
    pub(crate) parameters: &'p mut Parameters,
    pub(crate) update: Updates<'u>,
    pub(crate) spare: Option<Group>,
}

/// A gradient of zeros for `like`, in the memory of the last one if that is as large.
fn cleared(spare: &mut Option<Group>, like: &Group) -> Group {
    // Blocks have one size or two, so one buffer goes from block to block. A fresh one is memory that the system has
    // to clear first, page by page.
    spare.take().and_then(|spare| like.zeros_in(spare)).unwrap_or_else(|| like.zeros_like())
}

impl Ledger for Handed<'_> {
    fn parameters(&self) -> &Parameters {
        self.parameters
    }

    fn room(&mut self, index: usize) -> Group {
        cleared(&mut self.spare, self.parameters.group(index))
    }

    fn done(&mut self, index: usize, gradient: Group) -> Result<()> {
        (self.sink)(index, &gradient);
        self.spare = Some(gradient);
        Ok(())
    }
}

impl Ledger for Added<'_> {
    fn parameters(&self) -> &Parameters {
        self.parameters
    }

    fn room(&mut self, index: usize) -> Group {
        // Moved out and back, so that the pass adds where the sums are already: nothing is copied or added a second
        // time.
        self.gradients.groups_mut()[index].take()
    }

    fn done(&mut self, index: usize, gradient: Group) -> Result<()> {
        self.gradients.groups_mut()[index] = gradient;
        Ok(())
    }
}

impl Ledger for Updated<'_, '_> {
    fn parameters(&self) -> &Parameters {
        self.parameters
    }

    fn begin(&mut self, report: &LossReport) -> Result<()> {
        (self.update.begin)(report)
    }

    fn room(&mut self, index: usize) -> Group {
        cleared(&mut self.spare, self.parameters.group(index))
    }

    fn done(&mut self, index: usize, gradient: Group) -> Result<()> {
        (self.update.group)(index, &mut self.parameters.groups_mut()[index], &gradient)?;
        self.spare = Some(gradient);
        Ok(())
    }
}

/// Loss and gradients of a batch. After an error the ledger's gradients are of no use.
pub(crate) fn forward_and_reverse(
    cpu: &Cpu,
    run: &Run<'_>,
    scale: f32,
    ledger: &mut dyn Ledger,
) -> Result<LossReport> {
    let layers = run.layers.config.layers();
    let (mut streams, mut saved) = (run.embed(ledger.parameters(), cpu), Vec::with_capacity(layers));
    sequence::forward(cpu, &mut streams, run.blocks(ledger.parameters()), |_, decided| {
        saved.push(decided);
        Ok(())
    })?;

    let (tokens, width) = (streams.first.rows(), streams.first.cols());
    let zeros = || GradientStream::zeros(run.layers.pass.gradient_streams, tokens, width);
    let mut grads = Streams { first: zeros(), second: zeros() };
    // A tied decoder is the table of word embeddings, so that table's gradient is begun here and completed last.
    let mut words = ledger.room(0);
    let mut gradient = ledger.room(layers + 1);
    let head = run.layers.head(ledger.parameters());
    let report =
        head.loss_and_gradient(cpu, &streams, &run.batch, scale, &mut grads, &mut gradient, &mut words);
    // Before the first update: an optimizer that sees a loss which is not finite still has all parameters of the last
    // step.
    ledger.begin(&report)?;
    ledger.done(layers + 1, gradient)?;

    sequence::reverse(cpu, &mut streams, &mut grads, saved, |layer, step| {
        let mut gradient = ledger.room(layer + 1);
        // The block lives for this line only. It borrows parameters that the next one may change.
        let restored = step.through(&run.block(ledger.parameters(), layer), &mut gradient)?;
        ledger.done(layer + 1, gradient)?;
        Ok(restored)
    })?;
    // Before the embeddings ask for a matrix of the streams' size.
    drop(streams);

    run.layers.embeddings(ledger.parameters()).backward(cpu, &run.batch, grads, &mut words);
    ledger.done(0, words)?;
    Ok(report)
}
