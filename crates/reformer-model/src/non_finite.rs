//! Where a number stopped being finite: what a training run names when it stops.
//!
//! Parameters are looked at first, because they are the cause of all the rest. Then the model is walked as in
//! training, with sublayers that look at what they have written. Gradients come last, in the order of the reverse pass.

use reformer_reversible::{Coupling, Sublayer, sequence};
use reformer_tensor::{Cpu, Matrix, elementwise::all_finite};

use crate::error::{ModelError, NonFinite, Part};
use crate::parameters::{Group, Parameters};
use crate::run::Run;
use crate::training::{self, Handed};

/// The first place, or `None` if all is well.
pub(crate) fn locate(parameters: &Parameters, run: &Run<'_>, cpu: &Cpu) -> Option<NonFinite> {
    let layers = run.layers.config.layers();
    let mut groups = parameters.groups().iter().enumerate();
    let parameter = groups.find_map(|(i, group)| in_group(Part::of_group(i, layers), group, "parameter"));
    parameter.or_else(|| forward(parameters, run, cpu)).or_else(|| gradients(parameters, run, cpu))
}

/// A sublayer that fails as soon as what it has written is not finite. Its error is what was found.
struct Watched<S> {
    sublayer: S,
    /// What it is called if it refuses its input, and if its output is wrong.
    names: [&'static str; 2],
}

impl<S: Sublayer<Cpu, Activations = Matrix>> Sublayer<Cpu> for Watched<S> {
    type Activations = Matrix;
    type Differentials = S::Differentials;
    type Saved = S::Saved;
    type Gradient = S::Gradient;
    type Error = &'static str;

    fn forward(&self, cpu: &Cpu, x: &Matrix, y: &mut Matrix) -> Result<S::Saved, &'static str> {
        let saved = self.sublayer.forward(cpu, x, y).map_err(|_| self.names[0])?;
        if all_finite(y.as_slice()) { Ok(saved) } else { Err(self.names[1]) }
    }

    fn reverse_and_grad(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        saved: &S::Saved,
        y: &mut Matrix,
        dy: &S::Differentials,
        dx: &mut S::Differentials,
        gradient: &mut S::Gradient,
    ) -> Result<(), &'static str> {
        self.sublayer.reverse_and_grad(cpu, x, saved, y, dy, dx, gradient).map_err(|_| self.names[0])
    }
}

fn forward(parameters: &Parameters, run: &Run<'_>, cpu: &Cpu) -> Option<NonFinite> {
    let found = |part: Part, tensor: &str| Some(NonFinite { part, tensor: tensor.into() });
    let mut streams = run.embed(parameters, cpu);
    if !all_finite(streams.first.as_slice()) {
        return found(Part::Embeddings, "sum of embeddings");
    }
    let blocks = run.blocks(parameters).map(|Coupling { f, g }| Coupling {
        // Attention looks at its operands before it computes, so its refusal points at the projections.
        f: Watched { sublayer: f, names: ["projections of attention", "output of attention"] },
        g: Watched {
            sublayer: g,
            names: ["input of the feed-forward layer", "output of the feed-forward layer"],
        },
    });
    if let Err(error) = sequence::forward(cpu, &mut streams, blocks, |_, _| Ok(())) {
        return found(Part::Block(error.block()), error.into_source());
    }
    let report = run.layers.head(parameters).loss(cpu, &streams, &run.batch);
    if report.loss.is_finite() { None } else { found(Part::Head, "loss") }
}

fn gradients(parameters: &Parameters, run: &Run<'_>, cpu: &Cpu) -> Option<NonFinite> {
    let (mut found, layers) = (None, run.layers.config.layers());
    // The pass runs to its end: a sink cannot stop it without an error, and this happens once in a run's life.
    let mut sink = |index: usize, gradient: &Group| {
        found = found.take().or_else(|| in_group(Part::of_group(index, layers), gradient, "gradient"));
    };
    let mut handed = Handed { parameters, sink: &mut sink, spare: None };
    match training::forward_and_reverse(cpu, run, 1.0, &mut handed) {
        Err(ModelError::NonFinite { place }) => found.or(Some(place)),
        _ => found,
    }
}

fn in_group(part: Part, group: &Group, what: &str) -> Option<NonFinite> {
    let wrong = (0..group.specs().len()).find(|&i| !all_finite(group.tensor(i)))?;
    Some(NonFinite { part, tensor: format!("{what} {}", group.specs()[wrong].name) })
}
