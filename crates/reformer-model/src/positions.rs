//! Position encodings: axial of any number of factors, learned, sinusoidal.
//!
//! ```text
//! axial        e(p) = [w₀[p₀] | w₁[p₁] | …]   digits of p in the mixed radix of axial_pos_shape, last one fastest
//!              e(p) = w₀[p₀] + w₁[p₁] + …     with axial_pos_combine = "sum"
//! learned      e(p) = w[p]
//! sinusoidal   e(p)[2i] = sin(p·10000^(−2i/h)),  e(p)[2i+1] = cos(same)
//! ```
//!
//! Any length up to the product works, in training too. Dropout on axial positions drops `e(p)` whole, one draw for all
//! positions of a row that share the last digit, as the other implementations do; on learned ones element-wise;
//! on sinusoidal ones not at all.
//!
//! Backward is the transpose: each table row sums the `de(p)` of the positions that read it, in order of position.

use reformer_tensor::{Address, Cpu, Matrix, dropout};

use crate::config::{AxialCombine, Config, PositionKind};
use crate::parameters::{Group, embedding};

/// Tokens handled by one task.
const POSITIONS_PER_PANEL: usize = 256;

/// A dropout rate and the address of its masks.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Share of elements set to zero.
    pub rate: f32,
    /// Where the masks are.
    pub address: Address,
}

/// The encodings of a model, borrowed from its embedding group.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a> {
    config: &'a Config,
    group: &'a Group,
    /// Positions past this one, which only padding has, read its row.
    last: usize,
}

impl<'a> Positions<'a> {
    /// The encodings that `config` names, with the tables of its embedding group.
    pub fn new(config: &'a Config, group: &'a Group) -> Self {
        let last = config.position_limit().unwrap_or(usize::MAX) - 1;
        Self { config, group, last }
    }

    /// `x[b·len + t] += e(start + t)`.
    pub fn add(&self, cpu: &Cpu, len: usize, start: usize, x: &mut Matrix, drop: Option<Dropout>) {
        let panels: Vec<_> = x.view_mut().row_panels(POSITIONS_PER_PANEL).into_iter().enumerate().collect();
        let h = self.config.hidden_size;
        cpu.threads.for_each(panels, |(p, mut panel)| {
            let mut code = vec![0.0; h];
            for i in 0..panel.rows() {
                let token = p * POSITIONS_PER_PANEL + i;
                let (row, position) = (token / len, start + token % len);
                self.write(position, &mut code);
                self.drop(row, position, &mut code, drop);
                panel.row_mut(i).iter_mut().zip(&code).for_each(|(x, e)| *x += e);
            }
        });
    }

    /// Gradient of the tables: `dx[b·len + t]` goes where `e(t)` came from.
    pub fn backward(&self, len: usize, dx: &Matrix, drop: Option<Dropout>, gradient: &mut Group) {
        if self.config.positions() == PositionKind::Sinusoidal {
            return;
        }
        let mut code = vec![0.0; self.config.hidden_size];
        // On one thread, in order of position: many tokens add to one row of a table, and their order is part of the
        // result.
        for token in 0..dx.rows() {
            let (row, position) = (token / len, token % len);
            code.copy_from_slice(dx.row(token));
            self.drop(row, position, &mut code, drop);
            self.scatter(position, &code, gradient);
        }
    }

    /// `code = e(position)`, without dropout.
    pub fn write(&self, position: usize, code: &mut [f32]) {
        // Foreign chunks pad rows beyond the last position. What they read does not matter, but it has to exist.
        let position = position.min(self.last);
        match self.config.positions() {
            PositionKind::Axial => {
                // Cleared and added to, since summed factors all fill the same columns.
                code.fill(0.0);
                for (i, from, to) in self.axial(position) {
                    add(&mut code[to], &self.group.tensor(embedding::POSITIONS + i)[from]);
                }
            }
            PositionKind::Learned => {
                let h = code.len();
                code.copy_from_slice(&self.group.tensor(embedding::POSITIONS)[position * h..][..h]);
            }
            PositionKind::Sinusoidal => {
                let h = code.len() as f64;
                for (i, pair) in code.chunks_exact_mut(2).enumerate() {
                    // In f64: at position 10⁶ an f32 angle is off by 0.06.
                    let angle = position as f64 * 10_000f64.powf(-2.0 * i as f64 / h);
                    (pair[0], pair[1]) = (angle.sin() as f32, angle.cos() as f32);
                }
            }
        }
    }

    fn scatter(&self, position: usize, dcode: &[f32], gradient: &mut Group) {
        let position = position.min(self.last);
        match self.config.positions() {
            PositionKind::Axial => {
                for (i, row, columns) in self.axial(position) {
                    add(&mut gradient.tensor_mut(embedding::POSITIONS + i)[row], &dcode[columns]);
                }
            }
            PositionKind::Learned => {
                let h = dcode.len();
                add(&mut gradient.tensor_mut(embedding::POSITIONS)[position * h..][..h], dcode);
            }
            PositionKind::Sinusoidal => {}
        }
    }

    /// Per factor: its number, the elements of its table row, the columns they fill.
    fn axial(
        &self,
        position: usize,
    ) -> impl Iterator<Item = (usize, std::ops::Range<usize>, std::ops::Range<usize>)> {
        let (shape, dims) = (&self.config.axial_pos_shape, &self.config.axial_pos_embds_dim);
        let mut stride: usize = shape.iter().product();
        let mut column = 0;
        shape.iter().zip(dims).enumerate().map(move |(i, (&size, &width))| {
            stride /= size;
            let row = position / stride % size;
            let columns = column..column + width;
            if self.config.axial_pos_combine == AxialCombine::Concat {
                column += width;
            }
            (i, row * width..(row + 1) * width, columns)
        })
    }

    fn drop(&self, row: usize, position: usize, code: &mut [f32], drop: Option<Dropout>) {
        let Some(Dropout { rate, address }) = drop else { return };
        let row = address.sub(row as u64);
        match self.config.positions() {
            PositionKind::Axial => {
                // One draw for e(p) as a whole, shared by the positions with one last digit: what Hugging Face's
                // `dropout2d` does to its transposed grid.
                let last = *self.config.axial_pos_shape.last().expect("a checked shape has factors");
                let mut factor = [1.0];
                dropout::row(row, (position % last) as u64, &mut factor, rate);
                for c in code {
                    *c *= factor[0];
                }
            }
            PositionKind::Learned => dropout::row(row, (position * code.len()) as u64, code, rate),
            PositionKind::Sinusoidal => {}
        }
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fields;
    use crate::parameters::Parameters;

    fn three_factors() -> (Config, Parameters) {
        let fields = Fields {
            hidden_size: 6,
            axial_pos_shape: vec![2, 3, 4],
            axial_pos_embds_dim: vec![1, 2, 3],
            ..Fields::paper()
        };
        let config = Config::check(fields).unwrap();
        let parameters = Parameters::fresh(&config, 3);
        (config, parameters)
    }

    #[test]
    fn three_axial_factors_read_their_digits() {
        let (config, parameters) = three_factors();
        let positions = Positions::new(&config, parameters.group(0));
        let mut code = [0.0; 6];
        // 17 = 1·12 + 1·4 + 1
        positions.write(17, &mut code);
        let table = |i: usize| parameters.group(0).tensor(1 + i);
        assert_eq!(code[..1], table(0)[1..2]);
        assert_eq!(code[1..3], table(1)[2..4]);
        assert_eq!(code[3..], table(2)[3..6]);
    }

    #[test]
    fn all_positions_of_a_shape_differ() {
        let (config, parameters) = three_factors();
        let positions = Positions::new(&config, parameters.group(0));
        let mut codes: Vec<Vec<u32>> = (0..24)
            .map(|p| {
                let mut code = [0.0; 6];
                positions.write(p, &mut code);
                code.iter().map(|c: &f32| c.to_bits()).collect()
            })
            .collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 24);
    }

    #[test]
    fn backward_is_the_transpose_of_forward_with_dropout_too() {
        let (config, parameters) = three_factors();
        let cpu = Cpu::single();
        let drop =
            Some(Dropout { rate: 0.3, address: Address::new(5, reformer_tensor::Purpose::PositionDropout) });
        // <dx, forward(w)> = <backward(dx), w> for a linear map; 2 rows of 23 tokens.
        let mut x = Matrix::zeros(46, 6);
        let positions = Positions::new(&config, parameters.group(0));
        positions.add(&cpu, 23, 0, &mut x, drop);
        let dx = Matrix::from_fn(46, 6, |i, j| ((i * 7 + j * 3) % 11) as f32 - 5.0);
        let mut gradient = parameters.group(0).zeros_like();
        positions.backward(23, &dx, drop, &mut gradient);
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let (left, right) =
            (dot(x.as_slice(), dx.as_slice()), dot(gradient.data(), parameters.group(0).data()));
        assert!((left - right).abs() < 1e-5 * left.abs().max(1.0), "{left} {right}");
        assert!(x.as_slice().contains(&0.0), "something was dropped");
    }
}
