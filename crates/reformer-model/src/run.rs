//! One pass over one batch: the batch made fit (padded where foreign chunks need it), and the layers set up for it.

use std::borrow::Cow;

use reformer_reversible::{Streams, sequence};
use reformer_tensor::{Cpu, Matrix};

use crate::batch::{Batch, Pass};
use crate::config::Config;
use crate::error::Result;
use crate::layers::{AllRotations, Layers};
use crate::parameters::Parameters;
use crate::sublayer::{ReformerBlock, Shape};

/// A batch on its way through a model. Holds no parameters: a group may change as soon as the pass is done with it.
pub(crate) struct Run<'a> {
    pub(crate) layers: Layers<'a>,
    pub(crate) batch: Cow<'a, Batch>,
}

impl<'a> Run<'a> {
    /// Checks the batch and the pass against the model.
    pub(crate) fn new(
        config: &'a Config,
        rotations: &'a AllRotations,
        batch: &'a Batch,
        pass: &'a Pass,
    ) -> Result<Self> {
        batch.check(config)?;
        Ok(Self::of(Layers::new(config, rotations, pass)?, Cow::Borrowed(batch)))
    }

    /// Ids without targets, already checked.
    pub(crate) fn of_ids(
        layers: Layers<'a>,
        ids: &[u32],
        rows: usize,
        len: usize,
        mask: Option<&[bool]>,
    ) -> Self {
        let batch = Batch {
            rows,
            len,
            inputs: ids.to_vec(),
            targets: vec![0; ids.len()],
            weights: vec![0.0; ids.len()],
            mask: mask.map(<[bool]>::to_vec),
        };
        Self::of(layers, Cow::Owned(batch))
    }

    fn of(layers: Layers<'a>, batch: Cow<'a, Batch>) -> Self {
        let padded = layers.config.padded_length(batch.len);
        let batch = if padded == batch.len { batch } else { Cow::Owned(pad(layers.config, &batch, padded)) };
        Self { layers, batch }
    }

    /// Both streams before the first block.
    pub(crate) fn embed(&self, parameters: &Parameters, cpu: &Cpu) -> Streams<Matrix> {
        let first = self.layers.embeddings(parameters).forward(cpu, &self.batch.inputs, self.batch.len);
        Streams { second: first.clone(), first }
    }

    /// Block `layer`.
    pub(crate) fn block<'b>(&'b self, parameters: &'b Parameters, layer: usize) -> ReformerBlock<'b> {
        let shape = Shape { rows: self.batch.rows, len: self.batch.len, mask: self.batch.mask.as_deref() };
        self.layers.block(parameters, layer, shape)
    }

    /// All blocks, each made when its turn comes.
    pub(crate) fn blocks<'b>(
        &'b self,
        parameters: &'b Parameters,
    ) -> impl Iterator<Item = ReformerBlock<'b>> {
        (0..self.layers.config.layers()).map(move |layer| self.block(parameters, layer))
    }

    /// Both streams after the last block.
    pub(crate) fn streams(&self, parameters: &Parameters, cpu: &Cpu) -> Result<Streams<Matrix>> {
        let mut streams = self.embed(parameters, cpu);
        // Nobody will come back this way: each block's buckets go as soon as it is done.
        sequence::forward(cpu, &mut streams, self.blocks(parameters), |_, _| Ok(()))?;
        Ok(streams)
    }

    /// `[rows·padded, width]` values cut to `[rows·len, width]`.
    pub(crate) fn cut(&self, values: &[f32], width: usize, len: usize) -> Vec<f32> {
        if len == self.batch.len {
            return values.to_vec();
        }
        values.chunks_exact(self.batch.len * width).flat_map(|row| &row[..len * width]).copied().collect()
    }
}

fn pad(config: &Config, batch: &Batch, padded: usize) -> Batch {
    let (rows, len) = (batch.rows, batch.len);
    let token = config.pad_token_id.unwrap_or(0);
    // Padding is masked, so that no real token sees it, and has weight 0, so that the head skips it.
    let mask = batch.mask.clone().unwrap_or_else(|| vec![true; rows * len]);
    Batch {
        rows,
        len: padded,
        inputs: widen(&batch.inputs, len, padded, token),
        targets: widen(&batch.targets, len, padded, 0),
        weights: widen(&batch.weights, len, padded, 0.0),
        mask: Some(widen(&mask, len, padded, false)),
    }
}

fn widen<T: Copy>(values: &[T], len: usize, padded: usize, fill: T) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len() / len * padded);
    for row in values.chunks_exact(len) {
        out.extend_from_slice(row);
        out.resize(out.len() + padded - len, fill);
    }
    out
}
