//! From ids to the streams' first value, and back: word embedding plus position encoding.
//!
//! ```text
//! x[t] = dropout(E[id_t]) + dropout(e(t))          x1 = x2 = x
//! dE[id_t] += dropout(dx1[t] + dx2[t])             de(t) += the same
//! ```

use reformer_reversible::Streams;
use reformer_tensor::{Address, Cpu, Matrix, Purpose, View, ViewMut, dropout, embedding as table};

use crate::batch::{Batch, Pass};
use crate::config::Config;
use crate::gradient_stream::GradientStream;
use crate::parameters::{Group, embedding};
use crate::positions::{Dropout, Positions};

/// The embedding group under a pass.
pub(crate) struct Embeddings<'a> {
    config: &'a Config,
    group: &'a Group,
    words: Option<Dropout>,
    positions: Option<Dropout>,
}

impl<'a> Embeddings<'a> {
    pub(crate) fn new(config: &'a Config, group: &'a Group, pass: &Pass) -> Self {
        let rate = config.hidden_dropout_prob as f32;
        let drop = |purpose| {
            let address = Address { seed: pass.seed, step: pass.step, layer: 0, purpose };
            (pass.training && rate > 0.0).then_some(Dropout { rate, address })
        };
        let (words, positions) = (drop(Purpose::EmbeddingDropout), drop(Purpose::PositionDropout));
        Self { config, group, words, positions }
    }

    fn table(&self) -> View<'a> {
        View::new(self.group.tensor(embedding::WORDS), self.config.vocab_size, self.config.hidden_size)
    }

    /// The first value of both streams, for rows of `len` ids.
    pub(crate) fn forward(&self, cpu: &Cpu, ids: &[u32], len: usize) -> Matrix {
        let mut x = Matrix::zeros(ids.len(), self.config.hidden_size);
        table::gather(cpu, self.table(), ids, x.view_mut());
        if let Some(drop) = self.words {
            dropout::apply(cpu, x.view_mut(), drop.rate, drop.address);
        }
        Positions::new(self.config, self.group).add(cpu, len, 0, &mut x, self.positions);
        x
    }

    /// The same for single tokens, each at its own position; no dropout.
    pub(crate) fn step(&self, cpu: &Cpu, tokens: impl Iterator<Item = (u32, usize)>) -> Matrix {
        let (ids, places): (Vec<u32>, Vec<usize>) = tokens.unzip();
        let mut x = Matrix::zeros(ids.len(), self.config.hidden_size);
        table::gather(cpu, self.table(), &ids, x.view_mut());
        let positions = Positions::new(self.config, self.group);
        let mut code = vec![0.0; self.config.hidden_size];
        for (row, position) in places.into_iter().enumerate() {
            positions.write(position, &mut code);
            x.row_mut(row).iter_mut().zip(&code).for_each(|(x, e)| *x += e);
        }
        x
    }

    /// Adds the gradient of the tables, from the gradients of both streams.
    pub(crate) fn backward(
        &self,
        cpu: &Cpu,
        batch: &Batch,
        grads: Streams<GradientStream>,
        gradient: &mut Group,
    ) {
        // Both streams start as x, so x's gradient is the sum of theirs.
        let mut dx1 = grads.first.sum(cpu, grads.second);
        Positions::new(self.config, self.group).backward(batch.len, &dx1, self.positions, gradient);
        // After the positions have read it: their mask is another one.
        if let Some(drop) = self.words {
            dropout::apply(cpu, dx1.view_mut(), drop.rate, drop.address);
        }
        let (rows, width) = (self.config.vocab_size, self.config.hidden_size);
        let words = ViewMut::new(gradient.tensor_mut(embedding::WORDS), rows, width);
        table::scatter_add(cpu, &batch.inputs, dx1.view(), words);
    }
}
