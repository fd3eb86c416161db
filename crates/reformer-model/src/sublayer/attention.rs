//! The attention sublayer: layer norm, projections, one of the three attentions, output projection.
//!
//! ```text
//! n = LN(x)                                 [rows·len, h]
//! lsh:          qk = n·Wqkᵀ, v = n·Wvᵀ      [rows·len, heads·d], no biases
//! local, full:  q = n·Wqᵀ, k = n·Wkᵀ, v
//! f(x) = dropout(attend(…)·Woᵀ)             [rows·len, h]
//! ```
//!
//! Saved for the reverse pass: the buckets, nothing else. Forward and reverse are in [`passes`], steps in [`step`];
//! here is what they share.

mod look;
mod passes;
mod portions;
mod step;

use std::borrow::Cow;
use std::ops::Range;

use reformer_attention::{Inputs, Layout};
use reformer_lsh::{Buckets, Rotations, hash_vectors};
use reformer_tensor::{Address, Cpu, Lease, LeasedMatrix, Purpose, View, Write, layer_norm, matmul_nt};

use crate::batch::Pass;
use crate::config::Config;
use crate::error::Result;
use crate::packed::BlockWeights;
use crate::sublayer::semantics;

pub use look::Look;
pub(crate) use portions::{Portion, TOKENS_PER_PRODUCT, of_a_portion, portions};

const GAMMA: usize = 0;
const BETA: usize = 1;
/// The first projection; value and output are the last two.
const PROJECTIONS: usize = 2;

/// A block's attention under a pass.
#[derive(Debug)]
pub struct AttentionLayer<'a> {
    config: &'a Config,
    weights: BlockWeights<'a>,
    attention: reformer_attention::Attention,
    rows: usize,
    len: usize,
    mask: Option<&'a [bool]>,
    /// One per head; empty if nothing hashes.
    rotations: Cow<'a, [Rotations]>,
    /// Masks of probabilities and of the output.
    drop: Option<(Address, Address)>,
}

/// A portion's projections and attention output.
struct Attended {
    /// q, (k,) v.
    projected: Vec<LeasedMatrix>,
    out: LeasedMatrix,
    z: Lease<f32>,
}

impl<'a> AttentionLayer<'a> {
    pub(crate) fn new(
        config: &'a Config,
        weights: BlockWeights<'a>,
        shape: super::Shape<'a>,
        rotations: Cow<'a, [Rotations]>,
        pass: &Pass,
    ) -> Self {
        let layer = weights.layer;
        let attention = semantics::attention(config, layer, shape.len, pass.attention);
        let address = |purpose| Address { seed: pass.seed, step: pass.step, layer: layer as u32, purpose };
        let some = config.hidden_dropout_prob > 0.0 || attention.dropout() > 0.0;
        let drop = (pass.training && some)
            .then(|| (address(Purpose::AttentionDropout), address(Purpose::HiddenDropout)));
        let super::Shape { rows, len, mask } = shape;
        Self { config, weights, attention, rows, len, mask, rotations, drop }
    }

    /// Number of projections: query_key and value, or query, key and value.
    fn projections(&self) -> usize {
        semantics::projections(&self.attention)
    }

    fn eps(&self) -> f32 {
        self.config.layer_norm_eps as f32
    }

    /// Columns of some heads in the projections.
    fn columns(&self, heads: &Range<usize>) -> Range<usize> {
        let d = self.config.attention_head_size;
        heads.start * d..heads.end * d
    }

    fn layout(&self, portion: &Portion) -> Layout {
        let (heads, head_dim) = (portion.heads.len(), self.config.attention_head_size);
        Layout { batch: portion.rows.len(), len: self.len, heads, head_dim }
    }

    fn mask_of(&self, rows: Range<usize>) -> Option<&'a [bool]> {
        self.mask.map(|mask| &mask[rows.start * self.len..rows.end * self.len])
    }

    fn norm(&self, cpu: &Cpu, x: View<'_>) -> LeasedMatrix {
        let mut n = cpu.workspace.take_matrix(x.rows(), x.cols());
        // Computed again for every group of heads, and in the reverse pass twice: under 1 % of a step at 16k tokens
        // and 3 % at a million, for a matrix of the streams' size that nobody holds.
        let (gamma, beta) = (self.weights.tensor(GAMMA), self.weights.tensor(BETA));
        layer_norm::forward(cpu, x, gamma, beta, self.eps(), n.view_mut());
        n
    }

    /// The projections of some heads from the layer's input, a piece of the tokens at a time: `n` is never whole.
    fn project_heads(&self, cpu: &Cpu, x: View<'_>, heads: &Range<usize>) -> Vec<LeasedMatrix> {
        let columns = self.columns(heads);
        let mut projected: Vec<LeasedMatrix> =
            (0..self.projections()).map(|_| cpu.workspace.take_matrix(x.rows(), columns.len())).collect();
        for piece in pieces(x.rows()) {
            let n = self.norm(cpu, x.rows_range(piece.clone()));
            for (i, p) in projected.iter_mut().enumerate() {
                let weight = self.weights.matrix(PROJECTIONS + i).rows_range(columns.clone());
                let mut p = p.view_mut();
                matmul_nt(cpu, n.view(), weight, Write::Overwrite, p.rows_range_mut(piece.clone()));
            }
        }
        projected
    }

    /// The output projection's columns that some heads' outputs meet, `[h, heads·d]`.
    fn output_weight(&self, heads: &Range<usize>) -> View<'a> {
        self.weights.matrix(PROJECTIONS + self.projections()).columns(self.columns(heads))
    }

    /// Buckets of every (row, head) of a portion.
    fn hash(&self, cpu: &Cpu, qk: View<'_>, portion: &Portion) -> Result<Vec<Buckets>> {
        let layout = self.layout(portion);
        (0..layout.head_count())
            .map(|band| {
                let row = portion.rows.start + band / layout.heads;
                let rotations = &self.rotations[portion.heads.start + band % layout.heads];
                Ok(hash_vectors(cpu, layout.head(qk, band), rotations, self.mask_of(row..row + 1))?)
            })
            .collect()
    }

    fn inputs<'b>(&'b self, portion: &Portion, projected: &'b [LeasedMatrix]) -> Inputs<'b> {
        let (q, v) = (projected[0].view(), projected[projected.len() - 1].view());
        let inputs = match projected.len() {
            2 => Inputs::shared(q, v),
            _ => Inputs::separate(q, projected[1].view(), v),
        };
        // The portion is part of the address: its mask must not be that of another portion, whose rows count from 0
        // too.
        let probabilities =
            self.drop.filter(|_| self.attention.dropout() > 0.0).map(|(p, _)| p.sub(portion.index as u64));
        inputs.with_tokens(self.mask_of(portion.rows.clone())).with_dropout(probabilities)
    }

    /// Projects, hashes unless `decided`, and attends the tokens `x` of a portion's rows.
    fn attend(
        &self,
        cpu: &Cpu,
        x: View<'_>,
        portion: &Portion,
        decided: Option<&[Buckets]>,
    ) -> Result<(Attended, Vec<Buckets>)> {
        let projected = self.project_heads(cpu, x, &portion.heads);
        let hashed = match decided {
            // Never hashed again: the input restored by subtraction differs by round-off, and a vector near the
            // border of two buckets would fall into the other one.
            Some(_) => Vec::new(),
            None if !self.attention.needs_buckets(self.len) => Vec::new(),
            None => self.hash(cpu, projected[0].view(), portion)?,
        };
        let buckets = decided.unwrap_or(&hashed);
        let layout = self.layout(portion);
        let mut out = cpu.workspace.take_matrix(layout.rows(), layout.cols());
        let mut z = cpu.workspace.take(layout.head_count() * layout.len);
        let inputs = self.inputs(portion, &projected);
        self.attention.forward(cpu, layout, &inputs, buckets, out.view_mut(), &mut z)?;
        Ok((Attended { projected, out, z }, hashed))
    }
}

/// The tokens of a portion in pieces.
fn pieces(tokens: usize) -> impl Iterator<Item = Range<usize>> {
    (0..tokens).step_by(TOKENS_PER_PRODUCT).map(move |start| start..tokens.min(start + TOKENS_PER_PRODUCT))
}
