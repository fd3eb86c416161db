//! One optimizer step on batches that are given: what a training loop, a benchmark and a test call alike.
//!
//! ```text
//! W = Σ weights of all batches              so several batches equal one big one
//! gradient = Σ ∂(Σ w·nll / W)               added up as the reverse pass walks back
//! clip by the global norm, then the optimizer
//! ```
//!
//! With `optimizer.in_backward` a group is updated as soon as its gradient is complete, and the gradients of a whole
//! model never exist. The global norm is known only at the end of such a pass: clipping by it takes a pass of its own
//! before, which doubles the step's time; `clip_by = "group"` limits each group's norm by itself and takes none.
//! After an error in the middle of such a pass the groups above the fault have been changed; otherwise the parameters
//! are as before.
//!
//! Knows no packing, schedule, files or clock.

use reformer_model::{Batch, Group, LossReport, Model, ModelError, Parameters, Part, Pass, Updates};
use reformer_tensor::Cpu;

use crate::error::TrainError;
use crate::optimizer::{Optimizer, StepScale, clip_factor, first_non_finite, global_norm, sum_of_squares};
use crate::recipe::{ClipBy, OptimizerRecipe};

/// A model with its optimizer.
#[derive(Debug)]
pub struct Learner {
    model: Model,
    optimizer: Optimizer,
    /// Kept between steps; none if the optimizer works in the reverse pass, or after an error.
    gradients: Option<Parameters>,
    clip: f64,
    clip_by: ClipBy,
    in_backward: bool,
    step: u64,
}

/// What one step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// Loss, weight and hits before the update.
    pub loss: LossReport,
    /// Global gradient norm before clipping.
    pub gradient_norm: f64,
}

impl Learner {
    /// A model with fresh optimizer state, at step 0.
    pub fn new(model: Model, recipe: &OptimizerRecipe) -> Self {
        Self {
            optimizer: Optimizer::new(recipe, model.parameters()),
            gradients: None,
            clip: recipe.clip,
            clip_by: recipe.clip_by,
            in_backward: recipe.in_backward,
            step: 0,
            model,
        }
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.step
    }

    /// Continues after `step` steps; the moments have to be put in by [`Learner::optimizer_mut`].
    pub fn continue_after(&mut self, step: u64) {
        self.step = step;
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The optimizer and its state.
    pub fn optimizer_mut(&mut self) -> &mut Optimizer {
        &mut self.optimizer
    }

    /// Both halves of what a checkpoint holds.
    pub(crate) fn model_and_optimizer(&mut self) -> (&Model, &mut Optimizer) {
        (&self.model, &mut self.optimizer)
    }

    /// Takes one step at a learning rate.
    ///
    /// # Panics
    /// If the optimizer works in the reverse pass and there is not exactly one batch.
    pub fn step(&mut self, cpu: &Cpu, batches: &[(Batch, Pass)], rate: f64) -> Result<Learned, TrainError> {
        let weight: f64 = batches.iter().map(|(batch, _)| batch.weight()).sum();
        // A step without a weighted token (all of them the user's) has a zero gradient.
        let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
        let learned = if self.in_backward {
            let [(batch, pass)] = batches else {
                panic!("one batch a step, or no update in the reverse pass")
            };
            self.update_on_the_way(cpu, batch, pass, scale, rate)?
        } else {
            self.update_at_the_end(cpu, batches, scale, rate)?
        };
        self.step += 1;
        Ok(learned)
    }

    fn update_at_the_end(
        &mut self,
        cpu: &Cpu,
        batches: &[(Batch, Pass)],
        scale: f32,
        rate: f64,
    ) -> Result<Learned, TrainError> {
        let mut gradients = self.gradients.take().unwrap_or_else(|| self.model.parameters().zeros_like());
        gradients.clear();
        let mut loss = LossReport::default();
        for (batch, pass) in batches {
            let report = self.model.accumulate(cpu, batch, pass, scale, &mut gradients);
            loss.add(&self.finite(cpu, batch, pass, report)?);
        }
        let norm = global_norm(cpu, &gradients);
        if !norm.is_finite() {
            let gradient = first_non_finite(&gradients);
            return Err(self.non_finite(cpu, "a gradient is not finite", batches.first(), gradient));
        }
        let scale = StepScale { rate, step: self.step + 1, gradient: clip_factor(norm, self.clip) };
        self.optimizer.step(cpu, self.model.parameters_mut(), &gradients, scale);
        self.gradients = Some(gradients);
        Ok(Learned { loss, gradient_norm: norm })
    }

    fn update_on_the_way(
        &mut self,
        cpu: &Cpu,
        batch: &Batch,
        pass: &Pass,
        scale: f32,
        rate: f64,
    ) -> Result<Learned, TrainError> {
        // Sums are noted by group and added in the groups' order, as the norm at the end of a pass is.
        let groups = self.model.parameters().groups().len();
        let norm = |squares: &[f64]| squares.iter().sum::<f64>().sqrt();
        let mut global = 1.0;
        if self.clip > 0.0 && self.clip_by == ClipBy::Global {
            let mut squares = vec![0.0; groups];
            let mut note = |index: usize, gradient: &Group| squares[index] = sum_of_squares(cpu, gradient);
            let report = self.model.forward_backward(cpu, batch, pass, scale, &mut note);
            self.finite(cpu, batch, pass, report)?;
            global = clip_factor(norm(&squares), self.clip);
        }
        let (clip, by_group) = (self.clip, self.clip_by == ClipBy::Group);
        let (model, optimizer, step) = (&mut self.model, &mut self.optimizer, self.step + 1);
        let (mut squares, mut fault) = (vec![0.0; groups], None);
        let report = model.forward_backward_update(
            cpu,
            batch,
            pass,
            scale,
            Updates {
                begin: &mut |report| if report.loss.is_finite() { Ok(()) } else { Err(ModelError::Refused) },
                group: &mut |index, group, gradient| {
                    let square = sum_of_squares(cpu, gradient);
                    if !square.is_finite() {
                        fault = Some(index);
                        return Err(ModelError::Refused);
                    }
                    squares[index] = square;
                    let factor = if by_group { clip_factor(square.sqrt(), clip) } else { global };
                    let scale = StepScale { rate, step, gradient: factor };
                    optimizer.step_group(cpu, index, group, gradient, scale);
                    Ok(())
                },
            },
        );
        if let Some(index) = fault {
            let place = format!(" ({})", self.part(index));
            let what = "a gradient is not finite".to_owned();
            return Err(TrainError::NonFinite { step, what, place, kept: None });
        }
        let loss = self.finite(cpu, batch, pass, report)?;
        Ok(Learned { loss, gradient_norm: norm(&squares) })
    }

    /// A pass's report, or the error that names what is not finite.
    fn finite(
        &self,
        cpu: &Cpu,
        batch: &Batch,
        pass: &Pass,
        report: Result<LossReport, ModelError>,
    ) -> Result<LossReport, TrainError> {
        let at = (batch.clone(), pass.clone());
        match report {
            // Attention notices before the loss does.
            Err(ModelError::NonFinite { .. }) => {
                Err(self.non_finite(cpu, "an activation is not finite", Some(&at), None))
            }
            Err(ModelError::Refused) => Err(self.non_finite(cpu, "the loss is not finite", Some(&at), None)),
            Ok(report) if !report.loss.is_finite() => {
                Err(self.non_finite(cpu, "the loss is not finite", Some(&at), None))
            }
            report => Ok(report?),
        }
    }

    /// Names the place: where the forward pass breaks, else the tensor whose gradient did, else the parameter.
    fn non_finite(
        &self,
        cpu: &Cpu,
        what: &str,
        at: Option<&(Batch, Pass)>,
        gradient: Option<String>,
    ) -> TrainError {
        let located = at.and_then(|(batch, pass)| self.model.locate_non_finite(cpu, batch, pass));
        let gradient = gradient.map(|name| format!(", gradient of {name}"));
        let place = match (located, gradient) {
            (Some(found), gradient) => {
                format!(" ({found}{})", gradient.unwrap_or_default())
            }
            (None, Some(gradient)) => format!(" ({})", gradient.trim_start_matches(", ")),
            (None, None) => String::new(),
        };
        TrainError::NonFinite { step: self.step + 1, what: what.to_owned(), place, kept: None }
    }

    fn part(&self, group: usize) -> Part {
        Part::of_group(group, self.model.config().layers())
    }
}
