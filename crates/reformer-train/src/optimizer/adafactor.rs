//! Adafactor (Shazeer & Stern 2018, algorithms 4 to 6, without momentum).
//!
//! ```text
//! β̂ = 1 − t^−0.8
//! R_i ← β̂ R_i + (1 − β̂) mean_j(g²_ij + ε)        C_j ← β̂ C_j + (1 − β̂) mean_i(g²_ij + ε)
//! V_ij = R_i C_j / mean(R)                       U = g / √V,  divided by max(1, RMS(U))
//! x ← x − lr · s · U − lr · λ x                  s = 1, or max(10⁻³, RMS(x)) with `scale_parameter`
//! ```
//!
//! A matrix of r × c elements keeps r + c numbers. A tensor of one row or column, and a vector, keep V in full. Three
//! passes over a tensor, because the update's RMS is known only after the moments and the division only after
//! the RMS; each pass runs over fixed panels of rows and adds their sums in order.
//!
//! # Shapes
//! - gradient of a tensor: `[rows, cols]`, rows being all leading axes   - R: `[rows]`   - C: `[cols]`

use std::ops::Range;

use reformer_model::{Group, Parameters};
use reformer_tensor::Cpu;

use super::step::{PANEL_ELEMENTS, StepScale};
use crate::recipe::OptimizerRecipe;

/// Exponent of the second moment's decay (the paper's §7.2).
const DECAY: f64 = 0.8;
/// Smallest size a parameter counts as (the paper's ε₂).
const SMALLEST: f64 = 1e-3;

/// Adafactor with its factored moments.
#[derive(Debug)]
pub struct Adafactor {
    eps: f64,
    weight_decay: f64,
    scale_parameter: bool,
    tensors: Vec<Vec<Second>>,
}

/// The second moment of one tensor.
#[derive(Debug)]
struct Second {
    name: String,
    range: Range<usize>,
    cols: usize,
    decay: bool,
    moments: Moments,
}

#[derive(Debug)]
enum Moments {
    Factored { rows: Vec<f32>, cols: Vec<f32> },
    Full(Vec<f32>),
}

impl Second {
    /// Elements of a panel: whole rows, so a panel's column sums are one row long.
    fn panel(&self) -> usize {
        (PANEL_ELEMENTS / self.cols).max(1) * self.cols
    }
}

impl Adafactor {
    /// Zero moments for these parameters.
    pub fn new(recipe: &OptimizerRecipe, parameters: &Parameters) -> Self {
        let tensors = parameters.groups().iter().map(|group| {
            let seconds = group.specs().iter().map(|spec| {
                let len = spec.len();
                let cols = spec.shape.last().copied().unwrap_or(1).max(1);
                let rows = len / cols;
                let moments = if rows > 1 && cols > 1 {
                    Moments::Factored { rows: vec![0.0; rows], cols: vec![0.0; cols] }
                } else {
                    Moments::Full(vec![0.0; len])
                };
                Second { name: spec.name.clone(), range: spec.range(), cols, decay: spec.decay, moments }
            });
            seconds.collect()
        });
        Self {
            eps: recipe.eps,
            weight_decay: recipe.weight_decay,
            scale_parameter: recipe.scale_parameter,
            tensors: tensors.collect(),
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
        for second in &mut self.tensors[index] {
            let range = second.range.clone();
            let (x, g) = (&mut group.data_mut()[range.clone()], &gradient.data()[range]);
            let beta = 1.0 - (scale.step as f64).powf(-DECAY);
            second.accumulate(cpu, g, scale.gradient, beta, self.eps);
            let inverse = second.inverse_roots();
            let (update, size) = second.measure(cpu, x, g, &inverse, scale.gradient);
            let n = x.len().max(1) as f64;
            let clip = (update / n).sqrt().max(1.0);
            let relative = if self.scale_parameter { (size / n).sqrt().max(SMALLEST) } else { 1.0 };
            let factor = (scale.rate * relative / clip) as f32 * scale.gradient;
            let keep = if second.decay { (1.0 - scale.rate * self.weight_decay) as f32 } else { 1.0 };
            second.apply(cpu, x, g, &inverse, factor, keep);
        }
    }

    pub(super) fn state(&mut self) -> Vec<(String, &mut [f32])> {
        let mut arrays = Vec::new();
        for second in self.tensors.iter_mut().flatten() {
            match &mut second.moments {
                Moments::Factored { rows, cols } => {
                    arrays.push((format!("adafactor.rows.{}", second.name), &mut rows[..]));
                    arrays.push((format!("adafactor.cols.{}", second.name), &mut cols[..]));
                }
                Moments::Full(all) => arrays.push((format!("adafactor.full.{}", second.name), &mut all[..])),
            }
        }
        arrays
    }
}

/// 1/√V as its factors: the element (i, j) is `rows[i] · cols[j]`, or `full[i]`.
enum Inverse {
    Factored { rows: Vec<f32>, cols: Vec<f32> },
    Full(Vec<f32>),
}

impl Inverse {
    /// Calls `f` with each element of a panel's row-major slice and its 1/√V.
    fn for_panel(&self, start: usize, len: usize, mut f: impl FnMut(usize, f32)) {
        match self {
            Self::Factored { rows, cols } => {
                for (row, at) in (0..len).step_by(cols.len()).enumerate() {
                    let scale = rows[start / cols.len() + row];
                    for (j, &col) in cols.iter().enumerate() {
                        f(at + j, scale * col);
                    }
                }
            }
            Self::Full(all) => {
                for (i, &inverse) in all[start..start + len].iter().enumerate() {
                    f(i, inverse);
                }
            }
        }
    }
}

impl Second {
    fn accumulate(&mut self, cpu: &Cpu, g: &[f32], gradient: f32, beta: f64, eps: f64) {
        let (cols, panel) = (self.cols, self.panel());
        let blend = |old: f32, new: f64| (beta * f64::from(old) + (1.0 - beta) * new) as f32;
        match &mut self.moments {
            Moments::Full(all) => {
                for (v, &g) in all.iter_mut().zip(g) {
                    *v = blend(*v, f64::from(g * gradient).powi(2) + eps);
                }
            }
            Moments::Factored { rows: row_moments, cols: col_moments } => {
                let sums = cpu.threads.map(g.chunks(panel).collect(), |panel: &[f32]| {
                    let mut rows = Vec::with_capacity(panel.len() / cols);
                    let mut columns = vec![0.0f64; cols];
                    for row in panel.chunks_exact(cols) {
                        let mut sum = 0.0;
                        for (&g, column) in row.iter().zip(&mut columns) {
                            let square = f64::from(g * gradient).powi(2) + eps;
                            sum += square;
                            *column += square;
                        }
                        rows.push(sum);
                    }
                    (rows, columns)
                });
                let count = row_moments.len() as f64;
                let mut columns = vec![0.0; cols];
                let mut row_moments = row_moments.iter_mut();
                for (rows, part) in sums {
                    // The sums first: a zip that runs dry on its second side has already taken from its first.
                    for (sum, moment) in rows.into_iter().zip(row_moments.by_ref()) {
                        *moment = blend(*moment, sum / cols as f64);
                    }
                    columns.iter_mut().zip(part).for_each(|(all, part): (&mut f64, f64)| *all += part);
                }
                for (moment, sum) in col_moments.iter_mut().zip(columns) {
                    *moment = blend(*moment, sum / count);
                }
            }
        }
    }

    fn inverse_roots(&self) -> Inverse {
        let root = |x: f64| (1.0 / x.sqrt()) as f32;
        match &self.moments {
            Moments::Full(all) => Inverse::Full(all.iter().map(|&v| root(f64::from(v))).collect()),
            Moments::Factored { rows, cols } => {
                // The mean goes with the rows, in f64: ε alone, 10⁻³⁰, would underflow in a product of two f32.
                let mean = rows.iter().map(|&r| f64::from(r)).sum::<f64>() / rows.len() as f64;
                Inverse::Factored {
                    rows: rows.iter().map(|&r| root(f64::from(r) / mean)).collect(),
                    cols: cols.iter().map(|&c| root(f64::from(c))).collect(),
                }
            }
        }
    }

    /// Σ U² before clipping, and Σ x².
    fn measure(&self, cpu: &Cpu, x: &[f32], g: &[f32], inverse: &Inverse, gradient: f32) -> (f64, f64) {
        let panel = self.panel();
        let items = x.chunks(panel).zip(g.chunks(panel)).enumerate().collect();
        let sums = cpu.threads.map(items, |(index, (x, g)): (usize, (&[f32], &[f32]))| {
            let (mut update, mut size) = (0.0, 0.0);
            inverse.for_panel(index * panel, x.len(), |i, inverse| {
                update += f64::from(g[i] * gradient * inverse).powi(2);
                size += f64::from(x[i]).powi(2);
            });
            (update, size)
        });
        sums.into_iter().fold((0.0, 0.0), |all, part| (all.0 + part.0, all.1 + part.1))
    }

    fn apply(&self, cpu: &Cpu, x: &mut [f32], g: &[f32], inverse: &Inverse, factor: f32, keep: f32) {
        let panel = self.panel();
        let items = x.chunks_mut(panel).zip(g.chunks(panel)).enumerate().collect();
        cpu.threads.for_each(items, |(index, (x, g)): (usize, (&mut [f32], &[f32]))| {
            inverse.for_panel(index * panel, g.len(), |i, inverse| {
                x[i] = x[i] * keep - factor * g[i] * inverse;
            });
        });
    }
}
