//! One optimizer step after another: batches in, parameters changed, a report out.
//!
//! ```text
//! batches i = t·a .. t·a + a        a = accumulate
//! W = Σ weights of all a batches                  so accumulation equals one big batch
//! gradient = Σ ∂(Σ w·nll / W)      added up group by group as the reverse pass hands it out
//! clip by the global norm, then the optimizer at the schedule's rate
//! ```
//!
//! Knows no files, clock or events: [`crate::run`] does. The state is the parameters, the moments and the step;
//! everything random is at an address made of the seed and the step.

use std::sync::Arc;

use reformer_lsh::Rotations;
use reformer_model::{Batch, Group, Kind, LossReport, Model, ModelError, Parameters, Pass};
use reformer_tensor::{Address, Cpu, Purpose, elementwise};

use crate::error::TrainError;
use crate::optimizer::{Optimizer, StepScale, clip_factor, first_non_finite, global_norm};
use crate::packing::Packer;
use crate::recipe::Recipe;
use crate::schedule::Schedule;

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    cpu: Cpu,
    model: Model,
    optimizer: Optimizer,
    gradients: Parameters,
    packer: Packer,
    schedule: Schedule,
    seed: u64,
    accumulate: usize,
    clip: f64,
    resample: bool,
    step: u64,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Loss, weight and hits before the update.
    pub loss: LossReport,
    /// The step's learning rate.
    pub learning_rate: f64,
    /// Global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Tokens of the step, padding not counted.
    pub tokens: usize,
}

impl Trainer {
    /// A trainer at step 0 with fresh moments.
    pub fn new(cpu: Cpu, model: Model, packer: Packer, recipe: &Recipe) -> Self {
        Self {
            optimizer: Optimizer::new(&recipe.optimizer, model.parameters()),
            gradients: model.parameters().zeros_like(),
            schedule: Schedule::new(recipe),
            seed: recipe.seed,
            accumulate: recipe.accumulate,
            clip: recipe.optimizer.clip,
            resample: recipe.model.resample_rotations,
            step: 0,
            cpu,
            model,
            packer,
        }
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.step
    }

    /// Continues after `step` steps; the moments have to be put in by [`Trainer::optimizer_mut`].
    pub fn continue_after(&mut self, step: u64) {
        self.step = step;
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The engine.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// The batches' source.
    pub fn packer(&self) -> &Packer {
        &self.packer
    }

    /// The optimizer and its state.
    pub fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// Both halves of what a checkpoint holds.
    pub(crate) fn model_and_optimizer(&mut self) -> (&Model, &mut Optimizer) {
        (&self.model, &mut self.optimizer)
    }

    /// Takes one step. A non-finite loss or gradient is an error that leaves the parameters as they were.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        let first = self.step * self.accumulate as u64;
        let numbers = first..first + self.accumulate as u64;
        let batches: Vec<(u64, Batch)> = numbers.map(|number| (number, self.packer.batch(number))).collect();
        let weight: f64 = batches.iter().map(|(_, batch)| batch.weight()).sum();
        // A step without a weighted token (all of them the user's) has a zero gradient.
        let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };

        self.gradients.clear();
        let mut loss = LossReport::default();
        let mut tokens = 0;
        for (number, batch) in &batches {
            let pass = self.pass(*number);
            let (cpu, gradients) = (&self.cpu, &mut self.gradients);
            let mut sink = |index: usize, group: &Group| {
                elementwise::add_assign(cpu, gradients.groups_mut()[index].data_mut(), group.data());
            };
            let report = match self.model.forward_backward(cpu, batch, &pass, scale, &mut sink) {
                // Attention notices before the loss does.
                Err(ModelError::NonFinite { .. }) => {
                    return Err(self.non_finite("an activation is not finite", Some((batch, &pass))));
                }
                report => report?,
            };
            if !report.loss.is_finite() {
                return Err(self.non_finite("the loss is not finite", Some((batch, &pass))));
            }
            loss.add(&report);
            tokens +=
                batch.mask.as_ref().map_or(batch.inputs.len(), |mask| mask.iter().filter(|&&m| m).count());
        }

        let norm = global_norm(&self.cpu, &self.gradients);
        if !norm.is_finite() {
            let place = batches.first().map(|(number, batch)| (batch, self.pass(*number)));
            return Err(self.non_finite("a gradient is not finite", place.as_ref().map(|(b, p)| (*b, p))));
        }
        let learning_rate = self.schedule.rate(self.step + 1);
        let scale =
            StepScale { rate: learning_rate, step: self.step + 1, gradient: clip_factor(norm, self.clip) };
        self.optimizer.step(&self.cpu, self.model.parameters_mut(), &self.gradients, scale);
        self.step += 1;
        Ok(StepReport { loss, learning_rate, gradient_norm: norm, tokens })
    }

    fn pass(&self, number: u64) -> Pass {
        // Batches of one step must not share their dropout masks, so the address is the batch's.
        let pass = Pass::training(self.seed, number);
        if self.resample { Pass { rotations: Some(self.rotations(number)), ..pass } } else { pass }
    }

    /// Rotations of a batch of its own, for `resample_rotations`: per LSH layer in forward order, per head.
    fn rotations(&self, number: u64) -> Arc<Vec<Vec<Rotations>>> {
        let config = self.model.config();
        let address = Address { step: number, ..Address::new(self.seed, Purpose::Rotation) };
        let seed = (u64::from(address.bits(0)) << 32) | u64::from(address.bits(1));
        let layers = (0..config.layers()).filter(|&layer| config.attn_layers[layer] == Kind::Lsh);
        let draw = |layer: usize, head: usize| {
            let (dim, rounds) = (config.attention_head_size, config.num_hashes);
            Rotations::draw(seed, layer as u32, head as u32, dim, rounds, config.buckets())
                .expect("a checked config has dimensions and rounds")
        };
        let heads = |layer: usize| (0..config.num_attention_heads).map(|head| draw(layer, head)).collect();
        Arc::new(layers.map(heads).collect())
    }

    /// Names the place: where the forward pass breaks, else the tensor whose gradient did, else the parameter.
    fn non_finite(&self, what: &str, at: Option<(&Batch, &Pass)>) -> TrainError {
        let located = at.and_then(|(batch, pass)| self.model.locate_non_finite(&self.cpu, batch, pass));
        let gradient = first_non_finite(&self.gradients).map(|name| format!(", gradient of {name}"));
        let place = match (located, gradient) {
            (Some(found), gradient) => {
                format!(
                    " (layer {}: {}{})",
                    self.layer_name(found.layer),
                    found.tensor,
                    gradient.unwrap_or_default()
                )
            }
            (None, Some(gradient)) => format!(" ({})", gradient.trim_start_matches(", ")),
            (None, None) => String::new(),
        };
        TrainError::NonFinite { step: self.step + 1, what: what.to_owned(), place, kept: None }
    }

    fn layer_name(&self, group: usize) -> String {
        let layers = self.model.config().layers();
        match group {
            0 => "embeddings".to_owned(),
            group if group > layers => "head".to_owned(),
            group => format!("{}", group - 1),
        }
    }

    /// An error if a parameter is not finite: such a model must not become the last good checkpoint.
    pub fn check_parameters(&self) -> Result<(), TrainError> {
        match first_non_finite(self.model.parameters()) {
            None => Ok(()),
            Some(name) => Err(TrainError::NonFinite {
                step: self.step,
                what: "a parameter is not finite".to_owned(),
                place: format!(" ({name})"),
                kept: None,
            }),
        }
    }
}
