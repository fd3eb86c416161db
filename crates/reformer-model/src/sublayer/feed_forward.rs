//! The feed-forward sublayer, a piece of the tokens at a time.
//!
//! ```text
//! 1. n = LN(x)                         [piece, h]
//! 2. u = dropout(n·W₁ᵀ + b₁)           [piece, f]
//! 3. a = act(u)                        [piece, f]
//! 4. f(x) = dropout(a·W₂ᵀ + b₂)        [piece, h]
//! ```
//!
//! No `[rows·len, f]` matrix exists. Tokens do not see each other, so the pieces change nothing but the order in which
//! weight gradients are summed, and that order is fixed.
//!
//! `reverse_and_grad` recomputes a piece once and uses it twice: for `y −= f(x)` and for
//! `da = dt·W₂`, `du = act′(u)·da`, `dn = du·W₁` with `dW₂ += dtᵀ·act(u)`, `dW₁ += duᵀ·n`.

use reformer_reversible::{Stepwise, Sublayer};
use reformer_tensor::{
    Address, Cpu, LeasedMatrix, Matrix, Purpose, View, ViewMut, Write, activation, bias, dropout,
    elementwise, layer_norm, matmul, matmul_nt, matmul_tn,
};

use crate::batch::Pass;
use crate::config::Config;
use crate::error::ModelError;
use crate::gradient_stream::GradientStream;
use crate::packed::BlockWeights;
use crate::parameters::Group;
use crate::sublayer::layer_state::Reading;

/// Tensors after those of attention.
const GAMMA: usize = 0;
const BETA: usize = 1;
const W1: usize = 2;
const B1: usize = 3;
const W2: usize = 4;
const B2: usize = 5;

/// A block's feed-forward layer under a pass.
#[derive(Debug)]
pub struct FeedForward<'a> {
    config: &'a Config,
    weights: BlockWeights<'a>,
    /// Inner and output masks.
    drop: Option<(Address, Address)>,
}

/// Tokens of a piece.
pub(crate) fn piece(config: &Config) -> usize {
    // 2,048 or 4,096 tokens were no faster in either precision, and take more memory.
    if config.chunk_size_feed_forward == 0 { 1024 } else { config.chunk_size_feed_forward }
}

impl<'a> FeedForward<'a> {
    pub(crate) fn new(config: &'a Config, weights: BlockWeights<'a>, pass: &Pass) -> Self {
        let layer = weights.layer as u32;
        let address = |purpose| Address { seed: pass.seed, step: pass.step, layer, purpose };
        let drop = (pass.training && config.hidden_dropout_prob > 0.0)
            // Attention's output mask has the same purpose and layer. The sub-stream keeps the two apart.
            .then(|| (address(Purpose::FeedForwardDropout), address(Purpose::HiddenDropout).sub(u64::MAX)));
        Self { config, weights, drop }
    }

    fn eps(&self) -> f32 {
        self.config.layer_norm_eps as f32
    }

    fn rate(&self) -> f32 {
        self.config.hidden_dropout_prob as f32
    }

    fn drop_inner(&self, cpu: &Cpu, piece: usize, u: ViewMut<'_>) {
        if let Some((inner, _)) = self.drop {
            dropout::apply(cpu, u, self.rate(), inner.sub(piece as u64));
        }
    }

    fn drop_output(&self, cpu: &Cpu, piece: usize, t: ViewMut<'_>) {
        if let Some((_, output)) = self.drop {
            dropout::apply(cpu, t, self.rate(), output.sub(piece as u64));
        }
    }

    fn norm(&self, cpu: &Cpu, x: View<'_>) -> LeasedMatrix {
        let mut n = cpu.workspace.take_matrix(x.rows(), x.cols());
        layer_norm::forward(
            cpu,
            x,
            self.weights.tensor(GAMMA),
            self.weights.tensor(BETA),
            self.eps(),
            n.view_mut(),
        );
        n
    }

    /// `n·W₁ᵀ`, without the bias.
    fn inner(&self, cpu: &Cpu, n: View<'_>) -> LeasedMatrix {
        let mut u = cpu.workspace.take_matrix(n.rows(), self.config.feed_forward_size);
        matmul_nt(cpu, n, self.weights.matrix(W1), Write::Overwrite, u.view_mut());
        u
    }

    /// `u ← dropout(u + b₁)`, `a = act(u)`.
    fn activate(&self, cpu: &Cpu, piece: usize, mut u: ViewMut<'_>, a: ViewMut<'_>) {
        let kind = self.config.activation();
        // Bias and activation in one visit of memory. Together with products that are added straight into the stream
        // this took the forward pass from 69 to 54 ms (bf16, 4k tokens). A mask lies between the two, so dropout pays
        // for three visits.
        if self.drop.is_none() {
            return activation::forward_biased(cpu, kind, self.weights.tensor(B1), u, a);
        }
        bias::add_rows(cpu, u.reborrow(), self.weights.tensor(B1));
        self.drop_inner(cpu, piece, u.reborrow());
        activation::forward(cpu, kind, u.as_view(), a);
    }

    /// The same without keeping `u`.
    fn activate_in_place(&self, cpu: &Cpu, piece: usize, mut u: ViewMut<'_>) {
        let kind = self.config.activation();
        if self.drop.is_none() {
            return activation::forward_biased_in_place(cpu, kind, self.weights.tensor(B1), u);
        }
        bias::add_rows(cpu, u.reborrow(), self.weights.tensor(B1));
        self.drop_inner(cpu, piece, u.reborrow());
        activation::forward_in_place(cpu, kind, u);
    }

    /// `da ← act′(u)·da` under the inner mask, and the gradient of `b₁`.
    fn activate_back(&self, cpu: &Cpu, piece: usize, u: View<'_>, mut da: ViewMut<'_>, db1: &mut [f32]) {
        let kind = self.config.activation();
        if self.drop.is_none() {
            return activation::backward_summed(cpu, kind, u, da, db1);
        }
        activation::backward(cpu, kind, u, da.reborrow());
        self.drop_inner(cpu, piece, da.reborrow());
        bias::grad(cpu, da.as_view(), db1);
    }

    fn output(&self, cpu: &Cpu, piece: usize, a: View<'_>, mut t: ViewMut<'_>) {
        matmul_nt(cpu, a, self.weights.matrix(W2), Write::Overwrite, t.reborrow());
        bias::add_rows(cpu, t.reborrow(), self.weights.tensor(B2));
        self.drop_output(cpu, piece, t);
    }
}

impl Sublayer<Cpu> for FeedForward<'_> {
    type Activations = Matrix;
    type Differentials = GradientStream;
    type Saved = ();
    type Gradient = Group;
    type Error = ModelError;

    fn forward(&self, cpu: &Cpu, x: &Matrix, y: &mut Matrix) -> Result<(), ModelError> {
        let h = x.cols();
        for (p, start) in (0..x.rows()).step_by(piece(self.config)).enumerate() {
            let end = x.rows().min(start + piece(self.config));
            // Steps 1, 2 and 3.
            let mut n = self.norm(cpu, x.view().rows_range(start..end));
            let mut u = self.inner(cpu, n.view());
            self.activate_in_place(cpu, p, u.view_mut());
            if self.drop.is_none() {
                // Step 4, added straight into the stream, as there is no mask to apply to f(x) first.
                let mut y = y.view_mut();
                let mut y = y.rows_range_mut(start..end);
                matmul_nt(cpu, u.view(), self.weights.matrix(W2), Write::Add, y.reborrow());
                bias::add_rows(cpu, y, self.weights.tensor(B2));
                continue;
            }
            // Step 4 by itself, so that its mask has something to be applied to.
            self.output(cpu, p, u.view(), n.view_mut());
            elementwise::add_assign(cpu, &mut y.as_mut_slice()[start * h..end * h], n.as_slice());
        }
        Ok(())
    }

    fn reverse_and_grad(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        (): &(),
        y: &mut Matrix,
        dy: &GradientStream,
        dx: &mut GradientStream,
        gradient: &mut Group,
    ) -> Result<(), ModelError> {
        let (h, f) = (x.cols(), self.config.feed_forward_size);
        for (p, start) in (0..x.rows()).step_by(piece(self.config)).enumerate() {
            let end = x.rows().min(start + piece(self.config));
            let x = x.view().rows_range(start..end);
            // Steps 1 to 4 again.
            let n = self.norm(cpu, x);
            let mut u = self.inner(cpu, n.view());
            let mut a = cpu.workspace.take_matrix(end - start, f);
            self.activate(cpu, p, u.view_mut(), a.view_mut());
            // t serves f(x), then the masked dy, then dn: whatever takes its place next, the last reader is done.
            let mut t = cpu.workspace.take_matrix(end - start, h);
            self.output(cpu, p, a.view(), t.view_mut());
            elementwise::sub_assign(cpu, &mut y.as_mut_slice()[start * h..end * h], t.as_slice());

            // Step 4 backwards: dW₂ += dtᵀ·a, da = dt·W₂.
            let dy = dy.read(cpu, start..end);
            let mut dt = dy.view();
            if self.drop.is_some() {
                t.view_mut().copy_from(dt);
                self.drop_output(cpu, p, t.view_mut());
                dt = t.view();
            }
            let gradient = gradient.data_mut();
            bias::grad(cpu, dt, &mut gradient[self.weights.place(B2)]);
            let dw2 = ViewMut::new(&mut gradient[self.weights.place(W2)], h, f);
            matmul_tn(cpu, dt, a.view(), Write::Add, dw2);
            // act(u) is not needed any more: its buffer takes da, then du.
            matmul(cpu, dt, self.weights.matrix(W2), Write::Overwrite, a.view_mut());
            // Steps 3 and 2 backwards: du = act′(u)·da, dW₁ += duᵀ·n, dn = du·W₁.
            self.activate_back(cpu, p, u.view(), a.view_mut(), &mut gradient[self.weights.place(B1)]);
            matmul_tn(
                cpu,
                a.view(),
                n.view(),
                Write::Add,
                ViewMut::new(&mut gradient[self.weights.place(W1)], f, h),
            );
            matmul(cpu, a.view(), self.weights.matrix(W1), Write::Overwrite, t.view_mut());

            // Step 1 backwards.
            let places = [self.weights.place(GAMMA), self.weights.place(BETA)];
            let [dgamma, dbeta] = gradient.get_disjoint_mut(places).expect("tensors do not overlap");
            dx.update(cpu, start..end, |dx| {
                layer_norm::backward(
                    cpu,
                    x,
                    self.weights.tensor(GAMMA),
                    self.eps(),
                    t.view(),
                    dx,
                    dgamma,
                    dbeta,
                );
            });
        }
        Ok(())
    }
}

impl Stepwise<Cpu, Reading<'_>> for FeedForward<'_> {
    /// Every position is by itself, so nothing is remembered.
    fn step(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        reading: &mut Reading<'_>,
        y: &mut Matrix,
    ) -> Result<(), ModelError> {
        reading.go_on()?;
        // A prompt goes through the products of many rows, as in training. Single rows would each pay for packing the
        // weights.
        let rows = match reading {
            Reading::Prompt { .. } => return self.forward(cpu, x, y),
            Reading::Steps { rows, .. } => *rows,
        };
        let mut n = self.norm(cpu, x.view());
        let mut u = self.weights.weight(W1).product(cpu, rows, n.view());
        self.activate_in_place(cpu, 0, u.view_mut());
        self.weights.weight(W2).multiply(cpu, rows, u.view(), n.view_mut());
        bias::add_rows(cpu, n.view_mut(), self.weights.tensor(B2));
        elementwise::add_assign(cpu, y.as_mut_slice(), n.as_slice());
        Ok(())
    }
}
