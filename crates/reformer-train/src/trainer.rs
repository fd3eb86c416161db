//! One optimizer step after another: batches i = t·a .. t·a + a of the packer (a = accumulate), the schedule's rate.
//!
//! Knows no files, clock or events: [`crate::run`] does. The state is the parameters, the moments and the step;
//! everything random is at an address made of the seed and the step. What a step does is [`crate::learner`].

use std::sync::Arc;

use reformer_lsh::Rotations;
use reformer_model::{Batch, Kind, LossReport, Model, Pass};
use reformer_tensor::{Address, Cpu, Precision, Purpose};

use crate::error::TrainError;
use crate::learner::Learner;
use crate::optimizer::{Optimizer, first_non_finite};
use crate::packing::Packer;
use crate::recipe::Recipe;
use crate::schedule::Schedule;

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    cpu: Cpu,
    learner: Learner,
    packer: Packer,
    schedule: Schedule,
    seed: u64,
    accumulate: usize,
    gradient_streams: Precision,
    resample: bool,
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
            learner: Learner::new(model, &recipe.optimizer),
            schedule: Schedule::new(recipe),
            seed: recipe.seed,
            accumulate: recipe.accumulate,
            gradient_streams: recipe.gradient_streams,
            resample: recipe.model.resample_rotations,
            cpu,
            packer,
        }
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.learner.done()
    }

    /// Continues after `step` steps; the moments have to be put in by [`Trainer::optimizer_mut`].
    pub fn continue_after(&mut self, step: u64) {
        self.learner.continue_after(step);
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.learner.model()
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
        self.learner.optimizer_mut()
    }

    /// Both halves of what a checkpoint holds.
    pub(crate) fn model_and_optimizer(&mut self) -> (&Model, &mut Optimizer) {
        self.learner.model_and_optimizer()
    }

    /// Takes one step. A non-finite loss or gradient is an error that leaves the parameters as they were (unless the
    /// optimizer works in the reverse pass: see [`crate::learner`]).
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        let first = self.done() * self.accumulate as u64;
        let numbers = first..first + self.accumulate as u64;
        let batches: Vec<(Batch, Pass)> =
            numbers.map(|number| (self.packer.batch(number), self.pass(number))).collect();
        let held = |batch: &Batch| {
            batch.mask.as_ref().map_or(batch.inputs.len(), |mask| mask.iter().filter(|&&m| m).count())
        };
        let tokens = batches.iter().map(|(batch, _)| held(batch)).sum();
        let learning_rate = self.schedule.rate(self.done() + 1);
        let learned = self.learner.step(&self.cpu, &batches, learning_rate)?;
        Ok(StepReport { loss: learned.loss, learning_rate, gradient_norm: learned.gradient_norm, tokens })
    }

    fn pass(&self, number: u64) -> Pass {
        // Batches of one step must not share their dropout masks, so the address is the batch's.
        let pass = Pass { gradient_streams: self.gradient_streams, ..Pass::training(self.seed, number) };
        if self.resample { Pass { rotations: Some(self.rotations(number)), ..pass } } else { pass }
    }

    /// Rotations of a batch of its own, for `resample_rotations`: per LSH layer in forward order, per head.
    fn rotations(&self, number: u64) -> Arc<Vec<Vec<Rotations>>> {
        let config = self.model().config();
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

    /// An error if a parameter is not finite: such a model must not become the last good checkpoint.
    pub fn check_parameters(&self) -> Result<(), TrainError> {
        match first_non_finite(self.model().parameters()) {
            None => Ok(()),
            Some(name) => Err(TrainError::NonFinite {
                step: self.done(),
                what: "a parameter is not finite".to_owned(),
                place: format!(" ({name})"),
                kept: None,
            }),
        }
    }
}
