//! A 3x3 convolution as one product, and the residual function `f(x) = conv(relu(x))` made of it.
//!
//! ```text
//! P = patches(u)            [images·h'·w', 9·c]: the neighbourhood of every pixel, zeros beyond the border
//! conv(u) = P·W + b
//! ```
//! Backward: `dW = Pᵀ dy`, `db = Σ dy`, `du = fold(dy Wᵀ)`, where `fold`, the transpose of `patches`, adds every
//! neighbourhood back to its pixels; and `dx = du·[x > 0]`.
//!
//! # Shapes
//! - images and activations: `[images·h·w, channels]`, a row per pixel

use std::convert::Infallible;

use reformer_reversible::Sublayer;
use reformer_tensor::{Address, Cpu, Matrix, View, Write, bias, matmul, matmul_nt, matmul_tn};

/// Height and width of a square image, its channels, and the step of the convolution's centre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) side: usize,
    pub(crate) channels: usize,
    pub(crate) stride: usize,
}

impl Window {
    pub(crate) fn out_side(self) -> usize {
        self.side.div_ceil(self.stride)
    }

    /// Calls `f(pixel of the image, tap 0..9, pixel of the output)` for every tap inside the image.
    fn for_each_tap(self, mut f: impl FnMut(usize, usize, usize)) {
        let (side, out) = (self.side as isize, self.out_side());
        for at in 0..out * out {
            let (row, col) = ((at / out * self.stride) as isize, (at % out * self.stride) as isize);
            for tap in 0..9 {
                let (r, c) = (row + tap / 3 - 1, col + tap % 3 - 1);
                if (0..side).contains(&r) && (0..side).contains(&c) {
                    f((r * side + c) as usize, tap as usize, at);
                }
            }
        }
    }

    /// The neighbourhood of every pixel, image by image in parallel.
    pub(crate) fn patches(self, cpu: &Cpu, x: View<'_>) -> Matrix {
        let (pixels, outputs, c) = (self.side * self.side, self.out_side() * self.out_side(), self.channels);
        let mut patches = Matrix::zeros(x.rows() / pixels * outputs, 9 * c);
        let images = x.row_panels(pixels).into_iter().zip(patches.view_mut().row_panels(outputs));
        cpu.threads.for_each(images.collect(), |(x, mut patches)| {
            self.for_each_tap(|pixel, tap, at| {
                patches.row_mut(at)[tap * c..(tap + 1) * c].copy_from_slice(x.row(pixel));
            });
        });
        patches
    }

    /// The transpose of [`Window::patches`].
    pub(crate) fn fold(self, cpu: &Cpu, patches: View<'_>) -> Matrix {
        let (pixels, outputs, c) = (self.side * self.side, self.out_side() * self.out_side(), self.channels);
        let mut x = Matrix::zeros(patches.rows() / outputs * pixels, c);
        let images = patches.row_panels(outputs).into_iter().zip(x.view_mut().row_panels(pixels));
        cpu.threads.for_each(images.collect(), |(patches, mut x)| {
            self.for_each_tap(|pixel, tap, at| {
                let from = &patches.row(at)[tap * c..(tap + 1) * c];
                x.row_mut(pixel).iter_mut().zip(from).for_each(|(x, p)| *x += p);
            });
        });
        x
    }
}

/// `P·W + b` over a [`Window`].
pub(crate) struct Convolution {
    pub(crate) window: Window,
    /// `[9·channels, outputs]`
    pub(crate) weight: Matrix,
    /// `[1, outputs]`
    pub(crate) bias: Matrix,
}

impl Convolution {
    /// Normal weights of deviation `gain·√(2/inputs)`: He's initialisation at gain 1.
    pub(crate) fn new(window: Window, outputs: usize, gain: f32, address: Address) -> Self {
        let inputs = 9 * window.channels;
        let mut weight = Matrix::zeros(inputs, outputs);
        address.fill_normal(weight.as_mut_slice());
        let scale = gain * (2.0 / inputs as f32).sqrt();
        weight.as_mut_slice().iter_mut().for_each(|w| *w *= scale);
        Self { window, weight, bias: Matrix::zeros(1, outputs) }
    }

    pub(crate) fn apply(&self, cpu: &Cpu, patches: &Matrix) -> Matrix {
        let mut y = Matrix::zeros(patches.rows(), self.weight.cols());
        matmul(cpu, patches.view(), self.weight.view(), Write::Overwrite, y.view_mut());
        bias::add_rows(cpu, y.view_mut(), self.bias.as_slice());
        y
    }
}

/// Gradients of a block: weight and bias of F, then of G.
pub(crate) type BlockGradient = [Matrix; 4];

/// `f(x) = conv(relu(x))`, as many channels out as in.
pub(crate) struct Residual {
    pub(crate) convolution: Convolution,
    /// Where its two gradients stand in the block's.
    pub(crate) at: usize,
}

fn relu(x: &Matrix) -> Matrix {
    Matrix::from_fn(x.rows(), x.cols(), |i, j| x.row(i)[j].max(0.0))
}

impl Sublayer<Cpu> for Residual {
    type Activations = Matrix;
    type Differentials = Matrix;
    type Saved = ();
    type Gradient = BlockGradient;
    type Error = Infallible;

    fn forward(&self, cpu: &Cpu, x: &Matrix, y: &mut Matrix) -> Result<(), Infallible> {
        let patches = self.convolution.window.patches(cpu, relu(x).view());
        matmul(cpu, patches.view(), self.convolution.weight.view(), Write::Add, y.view_mut());
        bias::add_rows(cpu, y.view_mut(), self.convolution.bias.as_slice());
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        (): &(),
        y: &mut Matrix,
        dy: &Matrix,
        dx: &mut Matrix,
        gradient: &mut BlockGradient,
    ) -> Result<(), Infallible> {
        let Convolution { window, weight, .. } = &self.convolution;
        let mut patches = window.patches(cpu, relu(x).view());
        let fx = self.convolution.apply(cpu, &patches);
        y.as_mut_slice().iter_mut().zip(fx.as_slice()).for_each(|(y, f)| *y -= f);
        matmul_tn(cpu, patches.view(), dy.view(), Write::Add, gradient[self.at].view_mut());
        bias::grad(cpu, dy.view(), gradient[self.at + 1].as_mut_slice());
        // The patches have served; their memory takes their gradient.
        matmul_nt(cpu, dy.view(), weight.view(), Write::Overwrite, patches.view_mut());
        let du = window.fold(cpu, patches.view());
        for ((dx, du), x) in dx.as_mut_slice().iter_mut().zip(du.as_slice()).zip(x.as_slice()) {
            *dx += if *x > 0.0 { *du } else { 0.0 };
        }
        Ok(())
    }
}
