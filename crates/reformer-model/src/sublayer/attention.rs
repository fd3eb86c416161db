//! The attention sublayer: layer norm, projections, one of the three attentions, output projection.
//!
//! ```text
//! n = LN(x)                                 [rows·len, h]
//! lsh:          qk = n·Wqkᵀ, v = n·Wvᵀ      [rows·len, heads·d], no biases
//! local, full:  q = n·Wqᵀ, k = n·Wkᵀ, v
//! f(x) = dropout(attend(…)·Woᵀ)             [rows·len, h]
//! ```
//!
//! Saved for the reverse pass: the buckets, nothing else. The projections, the output and `z` are computed again
//! (`y −= f(x)` needs them anyway) and serve the backward at once:
//! `do = dt·Wo`, attention's own backward, `dn = Σ dp·Wp` over the projections p, `dWp += dpᵀ·n`, `dWo += dtᵀ·o`.
//!
//! Batch rows are processed in groups of about 4,096 tokens, so that the working set is one group's and does not grow
//! with the batch.

use std::borrow::Cow;

use reformer_attention::{
    Gradients, Inputs, Layout, Upstream, full_backward, full_forward, local_backward, local_forward,
    lsh_backward, lsh_forward,
};
use reformer_lsh::{Buckets, Rotations, hash_vectors};
use reformer_reversible::Sublayer;
use reformer_tensor::{
    Address, Cpu, Lease, LeasedMatrix, Matrix, Purpose, View, ViewMut, Write, dropout, elementwise,
    layer_norm, matmul, matmul_nt, matmul_tn,
};

use crate::batch::Pass;
use crate::config::Config;
use crate::decode::Seen;
use crate::error::{ModelError, Result};
use crate::parameters::Group;
use crate::sublayer::kernel::Kernel;

const GAMMA: usize = 0;
const BETA: usize = 1;
/// The first projection; value and output are the last two.
const PROJECTIONS: usize = 2;

/// A block's attention under a pass.
#[derive(Debug)]
pub struct Attention<'a> {
    config: &'a Config,
    group: &'a Group,
    kernel: Kernel,
    rows: usize,
    len: usize,
    mask: Option<&'a [bool]>,
    /// One per head; empty if nothing hashes.
    rotations: Cow<'a, [Rotations]>,
    /// Masks of probabilities and of the output.
    drop: Option<(Address, Address)>,
}

/// Batch rows of a group.
pub(crate) fn group_rows(rows: usize, len: usize) -> usize {
    (4096 / len).clamp(1, rows)
}

/// A group's projections and attention output.
struct Attended {
    n: LeasedMatrix,
    /// q, (k,) v.
    projected: Vec<LeasedMatrix>,
    out: LeasedMatrix,
    z: Lease<f32>,
}

impl<'a> Attention<'a> {
    pub(crate) fn new(
        config: &'a Config,
        group: &'a Group,
        layer: usize,
        shape: super::Shape<'a>,
        rotations: Cow<'a, [Rotations]>,
        pass: &Pass,
    ) -> Self {
        let kernel = Kernel::new(config, layer, shape.len, pass.attention);
        let address = |purpose| Address { seed: pass.seed, step: pass.step, layer: layer as u32, purpose };
        let some = config.hidden_dropout_prob > 0.0 || kernel.drops();
        let drop = (pass.training && some)
            .then(|| (address(Purpose::AttentionDropout), address(Purpose::HiddenDropout)));
        let super::Shape { rows, len, mask } = shape;
        Self { config, group, kernel, rows, len, mask, rotations, drop }
    }

    /// Number of projections: query_key and value, or query, key and value.
    fn projections(&self) -> usize {
        // Two norms before, the output projection after; the feed-forward tensors are six.
        self.group.specs().len() - 6 - 3
    }

    fn matrix(&self, i: usize) -> View<'a> {
        let shape = &self.group.specs()[i].shape;
        View::new(self.group.tensor(i), shape[0], shape[1])
    }

    fn eps(&self) -> f32 {
        self.config.layer_norm_eps as f32
    }

    fn layout(&self, batch: usize) -> Layout {
        let (heads, head_dim) = (self.config.num_attention_heads, self.config.attention_head_size);
        Layout { batch, len: self.len, heads, head_dim }
    }

    /// The groups of batch rows: (index, first row, rows).
    fn groups(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (rows, size) = (self.rows, group_rows(self.rows, self.len));
        (0..rows).step_by(size).enumerate().map(move |(g, first)| (g, first, size.min(rows - first)))
    }

    fn mask_of(&self, first: usize, rows: usize) -> Option<&'a [bool]> {
        self.mask.map(|mask| &mask[first * self.len..(first + rows) * self.len])
    }

    pub(crate) fn norm(&self, cpu: &Cpu, x: View<'_>) -> LeasedMatrix {
        let mut n = cpu.workspace.take_matrix(x.rows(), x.cols());
        let (gamma, beta) = (self.group.tensor(GAMMA), self.group.tensor(BETA));
        layer_norm::forward(cpu, x, gamma, beta, self.eps(), n.view_mut());
        n
    }

    pub(crate) fn project(&self, cpu: &Cpu, n: View<'_>) -> Vec<LeasedMatrix> {
        let width = self.config.attention_width();
        (0..self.projections())
            .map(|i| {
                let mut p = cpu.workspace.take_matrix(n.rows(), width);
                matmul_nt(cpu, n, self.matrix(PROJECTIONS + i), Write::Overwrite, p.view_mut());
                p
            })
            .collect()
    }

    /// `y += out·Woᵀ`, for decoding; no dropout there.
    pub(crate) fn add_output(&self, cpu: &Cpu, out: View<'_>, y: &mut [f32]) {
        let mut t = cpu.workspace.take_matrix(out.rows(), self.config.hidden_size);
        self.output(cpu, out, t.view_mut());
        elementwise::add_assign(cpu, y, t.as_slice());
    }

    /// `y += f(x)` of a single row of tokens, shown on the way to `see`; buckets also where they are not needed yet, as
    /// later tokens will need them.
    pub(crate) fn forward_seen(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        y: &mut Matrix,
        see: &mut Seen<'_>,
    ) -> Result<()> {
        let (attended, hashed) = self.attend(cpu, x.view(), (0, 0, 1), None)?;
        if hashed.is_empty() && !self.rotations.is_empty() {
            see(&attended.projected, &self.hash(cpu, attended.projected[0].view(), 0, 1)?);
        } else {
            see(&attended.projected, &hashed);
        }
        self.add_output(cpu, attended.out.view(), y.as_mut_slice());
        Ok(())
    }

    /// `t = out·Woᵀ`, no dropout.
    fn output(&self, cpu: &Cpu, out: View<'_>, t: ViewMut<'_>) {
        matmul_nt(cpu, out, self.matrix(PROJECTIONS + self.projections()), Write::Overwrite, t);
    }

    /// Buckets of every (row, head) of a group of rows.
    fn hash(&self, cpu: &Cpu, qk: View<'_>, first: usize, rows: usize) -> Result<Vec<Buckets>> {
        let layout = self.layout(rows);
        (0..layout.bands())
            .map(|band| {
                let mask = self.mask_of(first + band / layout.heads, 1);
                Ok(hash_vectors(cpu, layout.band(qk, band), &self.rotations[band % layout.heads], mask)?)
            })
            .collect()
    }

    fn inputs<'b>(
        &'b self,
        g: usize,
        first: usize,
        rows: usize,
        projected: &'b [LeasedMatrix],
    ) -> Inputs<'b> {
        let (q, v) = (projected[0].view(), projected[projected.len() - 1].view());
        let inputs = match projected.len() {
            2 => Inputs::shared(q, v),
            _ => Inputs::separate(q, projected[1].view(), v),
        };
        let probabilities = self.drop.filter(|_| self.kernel.drops()).map(|(p, _)| p.sub(g as u64));
        inputs.with_tokens(self.mask_of(first, rows)).with_dropout(probabilities)
    }

    /// Projects, hashes unless `decided`, and attends a group of rows.
    fn attend(
        &self,
        cpu: &Cpu,
        x: View<'_>,
        (g, first, rows): (usize, usize, usize),
        decided: Option<&[Buckets]>,
    ) -> Result<(Attended, Vec<Buckets>)> {
        let n = self.norm(cpu, x);
        let projected = self.project(cpu, n.view());
        let hashed = match decided {
            Some(_) => Vec::new(),
            None if !self.kernel.needs_buckets(self.len) => Vec::new(),
            None => self.hash(cpu, projected[0].view(), first, rows)?,
        };
        let buckets = decided.unwrap_or(&hashed);
        let layout = self.layout(rows);
        let mut out = cpu.workspace.take_matrix(layout.rows(), layout.cols());
        let mut z = cpu.workspace.take(layout.bands() * layout.len);
        let inputs = self.inputs(g, first, rows, &projected);
        match &self.kernel {
            Kernel::Lsh(config) => {
                lsh_forward(cpu, config, layout, &inputs, buckets, out.view_mut(), &mut z)?;
            }
            Kernel::Local(config) => local_forward(cpu, config, layout, &inputs, out.view_mut(), &mut z)?,
            Kernel::Full(config) => full_forward(cpu, config, layout, &inputs, out.view_mut(), &mut z)?,
        }
        Ok((Attended { n, projected, out, z }, hashed))
    }

    fn drop_output(&self, cpu: &Cpu, g: usize, t: ViewMut<'_>) {
        let rate = self.config.hidden_dropout_prob as f32;
        if let Some((_, address)) = self.drop.filter(|_| rate > 0.0) {
            dropout::apply(cpu, t, rate, address.sub(g as u64));
        }
    }

    /// Elements of a gradient group's projection `i`.
    fn weight_gradient<'g>(&self, gradient: &'g mut Group, i: usize) -> ViewMut<'g> {
        let view = self.matrix(i);
        ViewMut::new(gradient.tensor_mut(i), view.rows(), view.cols())
    }
}

impl Sublayer<Cpu> for Attention<'_> {
    type Activations = Matrix;
    type Saved = Vec<Buckets>;
    type Gradient = Group;
    type Error = ModelError;

    fn forward(&self, cpu: &Cpu, x: &Matrix, y: &mut Matrix) -> Result<Vec<Buckets>> {
        let h = x.cols();
        let mut decided = Vec::new();
        for (g, first, rows) in self.groups() {
            let range = first * self.len..(first + rows) * self.len;
            let x = x.view().rows_range(range.clone());
            let (attended, hashed) = self.attend(cpu, x, (g, first, rows), None)?;
            decided.extend(hashed);
            let Attended { n: mut t, out, .. } = attended;
            self.output(cpu, out.view(), t.view_mut());
            self.drop_output(cpu, g, t.view_mut());
            elementwise::add_assign(cpu, &mut y.as_mut_slice()[range.start * h..range.end * h], t.as_slice());
        }
        Ok(decided)
    }

    fn reverse_and_grad(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        saved: &Vec<Buckets>,
        y: &mut Matrix,
        dy: &Matrix,
        dx: &mut Matrix,
        gradient: &mut Group,
    ) -> Result<()> {
        let h = x.cols();
        let (heads, width) = (self.config.num_attention_heads, self.config.attention_width());
        for (g, first, rows) in self.groups() {
            let range = first * self.len..(first + rows) * self.len;
            let x = x.view().rows_range(range.clone());
            let decided =
                if saved.is_empty() { &[][..] } else { &saved[first * heads..(first + rows) * heads] };
            let (attended, _) = self.attend(cpu, x, (g, first, rows), Some(decided))?;
            let Attended { n, projected, out, z } = attended;
            // t serves f(x), then the masked dy, then dn.
            let mut t = cpu.workspace.take_matrix(range.len(), h);
            self.output(cpu, out.view(), t.view_mut());
            self.drop_output(cpu, g, t.view_mut());
            elementwise::sub_assign(cpu, &mut y.as_mut_slice()[range.start * h..range.end * h], t.as_slice());

            let mut dt = dy.view().rows_range(range.clone());
            if self.drop.is_some() {
                t.view_mut().copy_from(dt);
                self.drop_output(cpu, g, t.view_mut());
                dt = t.view();
            }
            let last = PROJECTIONS + self.projections();
            matmul_tn(cpu, dt, out.view(), Write::Add, self.weight_gradient(gradient, last));
            let mut dout = cpu.workspace.take_matrix(range.len(), width);
            matmul(cpu, dt, self.matrix(last), Write::Overwrite, dout.view_mut());

            let mut dprojected: Vec<LeasedMatrix> =
                projected.iter().map(|p| cpu.workspace.take_matrix_zeroed(p.rows(), p.cols())).collect();
            {
                let layout = self.layout(rows);
                let inputs = self.inputs(g, first, rows, &projected);
                let upstream = Upstream { out: out.view(), z: &z, dout: dout.view() };
                let gradients = gradients(&mut dprojected);
                match &self.kernel {
                    Kernel::Lsh(config) => {
                        lsh_backward(cpu, config, layout, &inputs, decided, &upstream, gradients)?;
                    }
                    Kernel::Local(config) => {
                        local_backward(cpu, config, layout, &inputs, &upstream, gradients)?;
                    }
                    Kernel::Full(config) => {
                        full_backward(cpu, config, layout, &inputs, &upstream, gradients)?;
                    }
                }
            }
            drop((projected, out, z, dout));
            for (i, dp) in dprojected.iter().enumerate() {
                matmul_tn(
                    cpu,
                    dp.view(),
                    n.view(),
                    Write::Add,
                    self.weight_gradient(gradient, PROJECTIONS + i),
                );
                let write = if i == 0 { Write::Overwrite } else { Write::Add };
                matmul(cpu, dp.view(), self.matrix(PROJECTIONS + i), write, t.view_mut());
            }
            let places = [GAMMA, BETA].map(|i| self.group.specs()[i].range());
            let [dgamma, dbeta] =
                gradient.data_mut().get_disjoint_mut(places).expect("tensors do not overlap");
            let mut dx = dx.view_mut();
            let dx = dx.rows_range_mut(range);
            layer_norm::backward(cpu, x, self.group.tensor(GAMMA), self.eps(), t.view(), dx, dgamma, dbeta);
        }
        Ok(())
    }
}

/// Views of dq, (dk,) dv.
fn gradients(projected: &mut [LeasedMatrix]) -> Gradients<'_> {
    let (dv, rest) = projected.split_last_mut().expect("at least two projections");
    let (dq, rest) = rest.split_first_mut().expect("at least two projections");
    Gradients { dq: dq.view_mut(), dk: rest.first_mut().map(LeasedMatrix::view_mut), dv: dv.view_mut() }
}
