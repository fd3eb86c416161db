//! Optimizers: gradients in, parameters changed in place, in parallel over fixed panels.
//!
//! A panel is a fixed number of elements (or rows) of one tensor, so what each thread computes, and the order in
//! which partial sums are added, do not depend on how many threads there are: results are bit-identical.
//! Weight decay is decoupled and touches only tensors whose [`TensorSpec`](reformer_model::TensorSpec) asks for it.
//!
//! - [`adamw`]: Loshchilov & Hutter 2019, two moments an element, one fused pass.
//! - [`adafactor`]: Shazeer & Stern 2018, a row and a column of second moments for each matrix.
//! - [`naive`]: both again in a few lines, for tests.

pub mod adafactor;
pub mod adamw;
pub mod naive;
mod step;

use reformer_model::{Group, Parameters};
use reformer_tensor::{Cpu, elementwise};

use crate::recipe::{OptimizerKind, OptimizerRecipe};
use adafactor::Adafactor;
use adamw::AdamW;
use step::PANEL_ELEMENTS;
pub use step::StepScale;

/// The recipe's optimizer with its state.
#[derive(Debug)]
pub enum Optimizer {
    /// See [`adamw`].
    AdamW(AdamW),
    /// See [`adafactor`].
    Adafactor(Adafactor),
}

impl Optimizer {
    /// A fresh optimizer for these parameters.
    pub fn new(recipe: &OptimizerRecipe, parameters: &Parameters) -> Self {
        match recipe.kind {
            OptimizerKind::Adamw => Self::AdamW(AdamW::new(recipe, parameters)),
            OptimizerKind::Adafactor => Self::Adafactor(Adafactor::new(recipe, parameters)),
        }
    }

    /// Changes the parameters by one step.
    pub fn step(&mut self, cpu: &Cpu, parameters: &mut Parameters, gradients: &Parameters, scale: StepScale) {
        for (index, (group, gradient)) in
            parameters.groups_mut().iter_mut().zip(gradients.groups()).enumerate()
        {
            self.step_group(cpu, index, group, gradient, scale);
        }
    }

    /// Changes one group by one step: groups know nothing of one another.
    pub fn step_group(
        &mut self,
        cpu: &Cpu,
        index: usize,
        group: &mut Group,
        gradient: &Group,
        scale: StepScale,
    ) {
        match self {
            Self::AdamW(adamw) => adamw.step(cpu, index, group, gradient, scale),
            Self::Adafactor(adafactor) => adafactor.step(cpu, index, group, gradient, scale),
        }
    }

    /// The state's arrays with unique names.
    pub fn state(&mut self) -> Vec<(String, &mut [f32])> {
        match self {
            Self::AdamW(adamw) => adamw.state(),
            Self::Adafactor(adafactor) => adafactor.state(),
        }
    }

    /// Bytes of state.
    pub fn bytes(&mut self) -> usize {
        self.state().iter().map(|(_, values)| 4 * values.len()).sum()
    }
}

/// √ of the sum of squares of all gradients, added in f64 in a fixed order.
pub fn global_norm(cpu: &Cpu, gradients: &Parameters) -> f64 {
    gradients.groups().iter().map(|group| sum_of_squares(cpu, group)).sum::<f64>().sqrt()
}

/// The sum of squares of one group's gradient.
pub fn sum_of_squares(cpu: &Cpu, gradient: &Group) -> f64 {
    let panels: Vec<&[f32]> = gradient.data().chunks(PANEL_ELEMENTS).collect();
    cpu.threads.map(panels, elementwise::sum_of_squares).into_iter().sum()
}

/// The factor that brings a gradient of this norm down to at most `clip` (0 = no clipping).
pub fn clip_factor(norm: f64, clip: f64) -> f32 {
    if clip > 0.0 && norm > clip { (clip / norm) as f32 } else { 1.0 }
}

/// The first tensor of the gradients that holds a NaN or an infinity.
pub fn first_non_finite(gradients: &Parameters) -> Option<String> {
    gradients
        .iter()
        .find(|(_, _, values)| !elementwise::all_finite(values))
        .map(|(name, _, _)| name.to_owned())
}

#[cfg(test)]
mod tests;
