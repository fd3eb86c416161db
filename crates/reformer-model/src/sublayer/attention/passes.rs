//! The sublayer forward and in reverse, a portion at a time (some rows, some heads).
//!
//! ```text
//! forward    1. p_h = LN(x)·Wp_hᵀ  of every projection p
//!            2. o_h = attention(p_h)
//!            3. y += mask ∘ o_h·Wo_hᵀ
//! reverse    1. and 2. again
//!            3. y −= mask ∘ o_h·Wo_hᵀ;  dt = mask ∘ dy;  do_h = dt·Wo_h;  dWo_h += dtᵀ·o_h
//!            2. dp_h by attention's own backward
//!            1. dn_h = Σ_p dp_h·Wp_h;  dWp_h += dp_hᵀ·n;  dx += (∂LN/∂x)ᵀ dn_h
//! ```
//!
//! The projections, the output and `z` are computed again (`y −= f(x)` needs them anyway). The layer norm's backward is
//! linear in `dn`, so it is applied to a portion's `dn_h` by itself; `n`, `dn` and `t` exist for a piece of the tokens.

use reformer_attention::{Gradients, Upstream};
use reformer_lsh::Buckets;
use reformer_reversible::Sublayer;
use reformer_tensor::{
    Address, Cpu, LeasedMatrix, Matrix, View, ViewMut, Write, dropout, elementwise, layer_norm, matmul,
    matmul_nt, matmul_tn,
};

use super::{Attended, AttentionLayer, BETA, GAMMA, PROJECTIONS, Portion, pieces, portions};
use crate::error::{ModelError, Result};
use crate::gradient_stream::GradientStream;
use crate::parameters::Group;

impl AttentionLayer<'_> {
    fn portions(&self) -> Vec<Portion> {
        portions(self.rows, self.len, self.config.num_attention_heads, self.config.attention_head_size)
    }

    /// The mask of the output's dropout, if any: the same for every head of a row.
    fn output_mask(&self) -> Option<(Address, f32)> {
        let rate = self.config.hidden_dropout_prob as f32;
        self.drop.filter(|_| rate > 0.0).map(|(_, address)| (address, rate))
    }

    /// Applies the output's mask to the tokens that begin at `token`.
    fn drop_output(&self, cpu: &Cpu, token: usize, mut t: ViewMut<'_>) {
        /// Rows that one thread takes at a time.
        const ROWS_PER_PANEL: usize = 64;
        let Some((address, rate)) = self.output_mask() else { return };
        let (key, h) = (address.key(), t.cols());
        let panels: Vec<_> = t.reborrow().row_panels(ROWS_PER_PANEL).into_iter().enumerate().collect();
        cpu.threads.for_each(panels, |(p, mut panel)| {
            for i in 0..panel.rows() {
                let first = (token + p * ROWS_PER_PANEL + i) * h;
                dropout::row(key, first as u64, panel.row_mut(i), rate);
            }
        });
    }

    /// Step 3: `y += out·Woᵀ` under the mask, for the tokens of a portion.
    fn add_heads(&self, cpu: &Cpu, portion: &Portion, out: View<'_>, mut y: ViewMut<'_>) {
        let weight = self.output_weight(&portion.heads);
        // Without dropout the product is added straight into the stream, which saves a pass over the activations. A
        // mask has to be applied to `f(x)` by itself, so it needs the piece in between.
        if self.output_mask().is_none() {
            return matmul_nt(cpu, out, weight, Write::Add, y);
        }
        for piece in pieces(out.rows()) {
            let mut t = cpu.workspace.take_matrix(piece.len(), self.config.hidden_size);
            matmul_nt(cpu, out.rows_range(piece.clone()), weight, Write::Overwrite, t.view_mut());
            self.drop_output(cpu, portion.rows.start * self.len + piece.start, t.view_mut());
            let mut y = y.rows_range_mut(piece);
            elementwise::add_assign(cpu, y.as_mut_slice(), t.as_slice());
        }
    }

    /// Step 3 backwards: `y −= out·Woᵀ`, and back through it: returns `do`, adds to `dWo`.
    fn take_heads_back(
        &self,
        cpu: &Cpu,
        portion: &Portion,
        out: View<'_>,
        (mut y, dy): (ViewMut<'_>, &GradientStream),
        gradient: &mut Group,
    ) -> LeasedMatrix {
        let weight = self.output_weight(&portion.heads);
        let mut dout = cpu.workspace.take_matrix(out.rows(), out.cols());
        for piece in pieces(out.rows()) {
            let out = out.rows_range(piece.clone());
            let token = portion.rows.start * self.len + piece.start;
            // t serves f(x), then the masked dy: one lease a piece.
            let mut t = cpu.workspace.take_matrix(piece.len(), self.config.hidden_size);
            matmul_nt(cpu, out, weight, Write::Overwrite, t.view_mut());
            self.drop_output(cpu, token, t.view_mut());
            elementwise::sub_assign(cpu, y.rows_range_mut(piece.clone()).as_mut_slice(), t.as_slice());

            let dy = dy.read(cpu, token..token + piece.len());
            let mut dt = dy.view();
            if self.output_mask().is_some() {
                t.view_mut().copy_from(dt);
                self.drop_output(cpu, token, t.view_mut());
                dt = t.view();
            }
            // A portion adds to its own columns. Portions run one after another, so the sums have one order.
            let mut dweight = self.weight_gradient(gradient, PROJECTIONS + self.projections());
            matmul_tn(cpu, dt, out, Write::Add, dweight.columns_mut(self.columns(&portion.heads)));
            matmul(cpu, dt, weight, Write::Overwrite, dout.view_mut().rows_range_mut(piece));
        }
        dout
    }

    /// Step 2 backwards, attention's own: the gradients of the projections.
    fn differentiate(
        &self,
        cpu: &Cpu,
        portion: &Portion,
        attended: &Attended,
        dout: View<'_>,
        decided: &[Buckets],
    ) -> Result<Vec<LeasedMatrix>> {
        let Attended { projected, out, z } = attended;
        // Zeros, because attention's backward adds: a key's gradient comes from several chunks and rounds.
        let mut dprojected: Vec<LeasedMatrix> =
            projected.iter().map(|p| cpu.workspace.take_matrix_zeroed(p.rows(), p.cols())).collect();
        let (layout, inputs) = (self.layout(portion), self.inputs(portion, projected));
        let upstream = Upstream { out: out.view(), z, dout };
        let into = gradients(&mut dprojected);
        self.attention.backward(cpu, layout, &inputs, decided, &upstream, into)?;
        Ok(dprojected)
    }

    /// Step 1 backwards: from the projections' gradients to `dx`, `dWp` and the norm's.
    fn project_back(
        &self,
        cpu: &Cpu,
        portion: &Portion,
        dprojected: &[LeasedMatrix],
        (x, dx): (View<'_>, &mut GradientStream),
        gradient: &mut Group,
    ) {
        let columns = self.columns(&portion.heads);
        for piece in pieces(x.rows()) {
            let x = x.rows_range(piece.clone());
            let n = self.norm(cpu, x);
            let mut dn = cpu.workspace.take_matrix(piece.len(), self.config.hidden_size);
            for (i, dp) in dprojected.iter().enumerate() {
                let dp = dp.view().rows_range(piece.clone());
                let mut dweight = self.weight_gradient(gradient, PROJECTIONS + i);
                matmul_tn(cpu, dp, n.view(), Write::Add, dweight.rows_range_mut(columns.clone()));
                let weight = self.weights.matrix(PROJECTIONS + i).rows_range(columns.clone());
                // Leased matrices hold old numbers. The first product overwrites them, which is cheaper than clearing.
                let write = if i == 0 { Write::Overwrite } else { Write::Add };
                matmul(cpu, dp, weight, write, dn.view_mut());
            }
            let places = [GAMMA, BETA].map(|i| self.weights.place(i));
            let [dgamma, dbeta] =
                gradient.data_mut().get_disjoint_mut(places).expect("tensors do not overlap");
            let (gamma, token) = (self.weights.tensor(GAMMA), portion.rows.start * self.len + piece.start);
            dx.update(cpu, token..token + piece.len(), |dx| {
                layer_norm::backward(cpu, x, gamma, self.eps(), dn.view(), dx, dgamma, dbeta);
            });
        }
    }

    /// Elements of a gradient group's tensor `i`.
    fn weight_gradient<'g>(&self, gradient: &'g mut Group, i: usize) -> ViewMut<'g> {
        let view = self.weights.matrix(i);
        ViewMut::new(gradient.tensor_mut(i), view.rows(), view.cols())
    }
}

impl Sublayer<Cpu> for AttentionLayer<'_> {
    type Activations = Matrix;
    type Differentials = GradientStream;
    /// One per row and head, in the portions' order.
    type Saved = Vec<Buckets>;
    type Gradient = Group;
    type Error = ModelError;

    fn forward(&self, cpu: &Cpu, x: &Matrix, y: &mut Matrix) -> Result<Vec<Buckets>> {
        let mut decided = Vec::new();
        for portion in self.portions() {
            let range = portion.rows.start * self.len..portion.rows.end * self.len;
            // Steps 1 and 2.
            let (attended, hashed) = self.attend(cpu, x.view().rows_range(range.clone()), &portion, None)?;
            decided.extend(hashed);
            let Attended { projected, out, z } = attended;
            // Given back before the output projection: the peak of a step is what is leased at one time.
            drop((projected, z));
            self.add_heads(cpu, &portion, out.view(), y.view_mut().rows_range_mut(range));
        }
        Ok(decided)
    }

    fn reverse_and_grad(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        saved: &Vec<Buckets>,
        y: &mut Matrix,
        dy: &GradientStream,
        dx: &mut GradientStream,
        gradient: &mut Group,
    ) -> Result<()> {
        let mut saved = &saved[..];
        for portion in self.portions() {
            let range = portion.rows.start * self.len..portion.rows.end * self.len;
            let x = x.view().rows_range(range.clone());
            let decided = if self.attention.needs_buckets(self.len) {
                let heads = self.layout(&portion).head_count();
                saved
                    .split_off(..heads)
                    .expect("the forward pass decided buckets for every head of every row")
            } else {
                &[]
            };
            // Steps 1 and 2 again, then 3, 2 and 1 backwards.
            let (attended, _) = self.attend(cpu, x, &portion, Some(decided))?;
            let mut y = y.view_mut();
            let pair = (y.rows_range_mut(range), dy);
            let dout = self.take_heads_back(cpu, &portion, attended.out.view(), pair, gradient);
            let dprojected = self.differentiate(cpu, &portion, &attended, dout.view(), decided)?;
            // Most of the working set goes here. The way back to dx needs the projections' gradients only.
            drop((attended, dout));
            self.project_back(cpu, &portion, &dprojected, (x, dx), gradient);
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
