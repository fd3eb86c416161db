//! A look at one head: the buckets that its tokens fall into, and whom one of them attends to.
//!
//! The kernels put out `P·V` and never hold `P`. With the unit vectors for values the output *is* `P`: they are handed
//! over a head's width at a time, the same queries and keys in every head. What is shown is what the layer computes,
//! by the code that computes it.

use reformer_attention::{Inputs, Layout};
use reformer_lsh::{Buckets, hash_vectors};
use reformer_tensor::{Cpu, Matrix, View};

use super::{AttentionLayer, Portion};
use crate::error::Result;

/// What one head makes of a sequence.
#[derive(Debug, Clone)]
pub struct Look {
    /// The bucket of every token in every round; `None` in layers that do not hash.
    pub buckets: Option<Buckets>,
    /// The weight of every token's key for the query that was asked about; they add up to 1.
    pub weights: Vec<f32>,
}

impl AttentionLayer<'_> {
    /// Looks at `head` while it reads `x`, one row of tokens, and at the query of the token `query`.
    ///
    /// # Panics
    /// If there is no such head or token, or more than one row.
    pub fn look(&self, cpu: &Cpu, x: &Matrix, head: usize, query: usize) -> Result<Look> {
        assert!(self.rows == 1 && head < self.config.num_attention_heads && query < self.len);
        let portion = Portion { index: 0, rows: 0..1, heads: head..head + 1 };
        let projected = self.project_heads(cpu, x.view(), &portion.heads);
        let q = projected[0].view();
        let hashed = match self.rotations.get(head) {
            Some(rotations) => Some(hash_vectors(cpu, q, rotations, self.mask)?),
            None => None,
        };
        let weights = self.weights_of(cpu, q, projected[1].view(), hashed.as_ref(), query)?;
        Ok(Look { buckets: hashed, weights })
    }

    /// A row of `P`; `k` is not looked at where queries are their own keys.
    fn weights_of(
        &self,
        cpu: &Cpu,
        q: View<'_>,
        k: View<'_>,
        hashed: Option<&Buckets>,
        query: usize,
    ) -> Result<Vec<f32>> {
        let (len, head_dim) = (self.len, self.config.attention_head_size);
        let layout = Layout { batch: 1, len, heads: len.div_ceil(head_dim), head_dim };
        let repeated = |x: View<'_>| Matrix::from_fn(len, layout.cols(), |i, j| x.row(i)[j % head_dim]);
        let unit = Matrix::from_fn(len, layout.cols(), |i, j| f32::from(u8::from(i == j)));
        let (queries, keys) = (repeated(q), repeated(k));
        let inputs = if self.projections() == 2 {
            Inputs::shared(queries.view(), unit.view())
        } else {
            Inputs::separate(queries.view(), keys.view(), unit.view())
        };
        // Short sequences are attended exactly, whatever they hash to: buckets are shown all the same.
        let needed = hashed.filter(|_| self.attention.needs_buckets(len));
        let buckets: Vec<Buckets> =
            needed.into_iter().flat_map(|own| vec![own.clone(); layout.heads]).collect();
        let (mut out, mut z) = (Matrix::zeros(len, layout.cols()), vec![0.0; layout.heads * len]);
        let inputs = inputs.with_tokens(self.mask);
        self.attention.forward(cpu, layout, &inputs, &buckets, out.view_mut(), &mut z)?;
        Ok(out.row(query)[..len].to_vec())
    }
}
