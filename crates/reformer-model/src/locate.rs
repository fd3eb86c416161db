//! Where a number stopped being finite: what a training run names when it stops.

use std::fmt;

use reformer_reversible::Sublayer;
use reformer_tensor::{Cpu, elementwise::all_finite};

use crate::batch::{Batch, Pass};
use crate::error::ModelError;
use crate::model::Model;
use crate::parameters::{Group, Parameters};
use crate::run::Run;

/// A place in a model where something was NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// The group: 0 embeddings, 1..=N blocks, N + 1 head.
    pub layer: usize,
    /// A tensor's name, or what was computed, such as `output of attention`.
    pub tensor: String,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}: {}", self.layer, self.tensor)
    }
}

/// Parameters first, then the forward pass in its order, then the gradients in the order of the reverse pass.
pub(crate) fn locate(model: &Model, cpu: &Cpu, batch: &Batch, pass: &Pass) -> Option<NonFinite> {
    let groups = model.parameters().groups();
    let parameter = groups.iter().enumerate().find_map(|(layer, group)| in_group(layer, group, "parameter"));
    if parameter.is_some() {
        return parameter;
    }
    let run = Run::new(model.config(), model.all_rotations(), batch, pass).ok()?;
    forward(model.parameters(), &run, cpu).or_else(|| gradients(model, cpu, batch, pass))
}

fn forward(parameters: &Parameters, run: &Run<'_>, cpu: &Cpu) -> Option<NonFinite> {
    let layers = run.config.layers();
    let mut streams = run.embed(parameters, cpu);
    let found = |layer: usize, tensor: &str| Some(NonFinite { layer, tensor: tensor.into() });
    if !all_finite(streams.first.as_slice()) {
        return found(0, "sum of embeddings");
    }
    for layer in 0..layers {
        let block = run.block(parameters, layer);
        match block.f.forward(cpu, &streams.second, &mut streams.first) {
            Err(_) => return found(layer + 1, "projections of attention"),
            Ok(_) if !all_finite(streams.first.as_slice()) => return found(layer + 1, "output of attention"),
            Ok(_) => {}
        }
        block.g.forward(cpu, &streams.first, &mut streams.second).ok()?;
        if !all_finite(streams.second.as_slice()) {
            return found(layer + 1, "output of the feed-forward layer");
        }
    }
    let report = run.head(parameters).loss(cpu, &streams, &run.batch);
    if report.loss.is_finite() { None } else { found(layers + 1, "loss") }
}

fn gradients(model: &Model, cpu: &Cpu, batch: &Batch, pass: &Pass) -> Option<NonFinite> {
    let mut found = None;
    let mut look = |layer: usize, gradient: &Group| {
        found = found.take().or_else(|| in_group(layer, gradient, "gradient"));
    };
    match model.forward_backward(cpu, batch, pass, 1.0, &mut look) {
        Err(ModelError::NonFinite { place }) => found.or(Some(place)),
        _ => found,
    }
}

fn in_group(layer: usize, group: &Group, what: &str) -> Option<NonFinite> {
    let wrong = (0..group.specs().len()).find(|&i| !all_finite(group.tensor(i)))?;
    Some(NonFinite { layer, tensor: format!("{what} {}", group.specs()[wrong].name) })
}
