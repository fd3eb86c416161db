//! AdamW (Loshchilov & Hutter 2019, algorithm 2).
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g                v ← β₂ v + (1 − β₂) g²
//! x ← x − lr · ( m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε) + λ x )
//! ```
//!
//! One fused pass: each element of x, g, m and v is read once and x, m, v written once.

use reformer_model::{Group, Parameters};
use reformer_tensor::{Buffer, Cpu};

use super::step::{PANEL_ELEMENTS, StepScale};
use crate::recipe::OptimizerRecipe;

/// AdamW with its two moments.
#[derive(Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    moments: Vec<Moments>,
}

#[derive(Debug)]
struct Moments {
    /// First tensor's name: unique among groups, whose tensors are laid out in a fixed order.
    name: String,
    first: Buffer,
    second: Buffer,
}

/// The numbers of one step's inner loop.
#[derive(Clone, Copy)]
struct Constants {
    gradient: f32,
    beta1: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    /// lr / (1 − β₁ᵗ)
    rate: f32,
    /// 1 / √(1 − β₂ᵗ)
    root: f32,
    eps: f32,
    /// 1 − lr·λ, or 1.
    keep: f32,
}

struct Panel<'a> {
    x: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    constants: Constants,
}

impl AdamW {
    /// Zero moments for these parameters.
    pub fn new(recipe: &OptimizerRecipe, parameters: &Parameters) -> Self {
        let moments = parameters.groups().iter().enumerate().map(|(index, group)| Moments {
            name: group.specs().first().map_or_else(|| format!("group{index}"), |spec| spec.name.clone()),
            first: Buffer::zeroed(group.data().len()),
            second: Buffer::zeroed(group.data().len()),
        });
        Self {
            beta1: recipe.beta1,
            beta2: recipe.beta2,
            eps: recipe.eps,
            weight_decay: recipe.weight_decay,
            moments: moments.collect(),
        }
    }

    pub(super) fn step(
        &mut self,
        cpu: &Cpu,
        index: usize,
        group: &mut Group,
        gradient: &Group,
        scale: StepScale,
    ) {
        let t = scale.step as f64;
        let constants = Constants {
            gradient: scale.gradient,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            rate: (scale.rate / (1.0 - self.beta1.powf(t))) as f32,
            root: (1.0 / (1.0 - self.beta2.powf(t)).sqrt()) as f32,
            eps: self.eps as f32,
            keep: 1.0,
        };
        let decayed = Constants { keep: (1.0 - scale.rate * self.weight_decay) as f32, ..constants };
        let moments = &mut self.moments[index];
        let ends: Vec<_> = group.specs().iter().map(|spec| (spec.range().end, spec.decay)).collect();
        let (mut x, mut g) = (group.data_mut(), gradient.data());
        let (mut m, mut v) = (&mut moments.first[..], &mut moments.second[..]);
        let mut panels = Vec::with_capacity(x.len() / PANEL_ELEMENTS + ends.len());
        let mut at = 0;
        for (end, decay) in ends {
            let constants = if decay { decayed } else { constants };
            while at < end {
                // The gap before an aligned tensor goes with it: zeros that stay zeros.
                let len = PANEL_ELEMENTS.min(end - at);
                panels.push(Panel {
                    x: x.split_off_mut(..len).expect("groups hold their tensors"),
                    g: g.split_off(..len).expect("gradients are laid out like parameters"),
                    m: m.split_off_mut(..len).expect("moments are laid out like parameters"),
                    v: v.split_off_mut(..len).expect("moments are laid out like parameters"),
                    constants,
                });
                at += len;
            }
        }
        cpu.threads.for_each(panels, update);
    }

    pub(super) fn state(&mut self) -> Vec<(String, &mut [f32])> {
        let arrays = self.moments.iter_mut().flat_map(|moments| {
            [
                (format!("adamw.first.{}", moments.name), &mut moments.first[..]),
                (format!("adamw.second.{}", moments.name), &mut moments.second[..]),
            ]
        });
        arrays.collect()
    }
}

fn update(panel: Panel<'_>) {
    let Panel { x, g, m, v, constants: c } = panel;
    for (((x, &g), m), v) in x.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * c.gradient;
        *m = c.beta1 * *m + c.one_minus_beta1 * g;
        *v = c.beta2 * *v + c.one_minus_beta2 * g * g;
        *x = *x * c.keep - c.rate * *m / (v.sqrt() * c.root + c.eps);
    }
}
