//! One pass over one batch: the batch made fit (padded where foreign chunks need it), and the layers set up for it.

use std::borrow::Cow;

use reformer_lsh::Rotations;
use reformer_reversible::{Streams, sequence};
use reformer_tensor::{Cpu, Matrix, Precision};

use crate::batch::{Batch, Pass};
use crate::config::{Config, Kind};
use crate::embeddings::Embeddings;
use crate::error::{ModelError, Result};
use crate::head::Head;
use crate::parameters::Parameters;
use crate::sublayer::{Attention, FeedForward, ReformerBlock, Shape};

/// A batch on its way through a model. Holds no parameters: a group may change as soon as the pass is done with it.
pub(crate) struct Run<'a> {
    pub(crate) config: &'a Config,
    pub(crate) batch: Cow<'a, Batch>,
    pass: &'a Pass,
    rotations: Cow<'a, [Vec<Rotations>]>,
}

impl<'a> Run<'a> {
    /// Checks the batch and the pass against the model.
    pub(crate) fn new(
        config: &'a Config,
        rotations: &'a [Vec<Rotations>],
        batch: &'a Batch,
        pass: &'a Pass,
    ) -> Result<Self> {
        batch.check(config)?;
        Self::of(config, rotations, Cow::Borrowed(batch), pass)
    }

    /// Ids without targets, already checked.
    pub(crate) fn of_ids(
        config: &'a Config,
        rotations: &'a [Vec<Rotations>],
        ids: &[u32],
        rows: usize,
        len: usize,
        mask: Option<&[bool]>,
        pass: &'a Pass,
    ) -> Result<Self> {
        let batch = Batch {
            rows,
            len,
            inputs: ids.to_vec(),
            targets: vec![0; ids.len()],
            weights: vec![0.0; ids.len()],
            mask: mask.map(<[bool]>::to_vec),
        };
        Self::of(config, rotations, Cow::Owned(batch), pass)
    }

    /// For a batch already checked.
    fn of(
        config: &'a Config,
        own: &'a [Vec<Rotations>],
        batch: Cow<'a, Batch>,
        pass: &'a Pass,
    ) -> Result<Self> {
        let rotations: Cow<'a, [Vec<Rotations>]> = match (&pass.rotations, pass.num_hashes) {
            (Some(given), _) => {
                check_rotations(config, given)?;
                Cow::Borrowed(given.as_slice())
            }
            (None, Some(0)) => return Err(ModelError::config("num_hashes", 0, "at least 1")),
            (None, Some(rounds)) if rounds != config.num_hashes => Cow::Owned(draw_rotations(config, rounds)),
            (None, _) => Cow::Borrowed(own),
        };
        let padded = config.padded_length(batch.len);
        let batch = if padded == batch.len { batch } else { Cow::Owned(pad(config, &batch, padded)) };
        Ok(Self { config, batch, pass, rotations })
    }

    pub(crate) fn embeddings<'b>(&'b self, parameters: &'b Parameters) -> Embeddings<'b> {
        Embeddings::new(self.config, parameters.group(0), self.pass)
    }

    pub(crate) fn head<'b>(&'b self, parameters: &'b Parameters) -> Head<'b> {
        let last = parameters.group(self.config.layers() + 1);
        Head::new(self.config, last, parameters.group(0), self.pass)
    }

    pub(crate) fn gradient_streams(&self) -> Precision {
        self.pass.gradient_streams
    }

    /// Both streams before the first block.
    pub(crate) fn embed(&self, parameters: &Parameters, cpu: &Cpu) -> Streams<Matrix> {
        let first = self.embeddings(parameters).forward(cpu, &self.batch.inputs, self.batch.len, 0);
        Streams { second: first.clone(), first }
    }

    /// Block `layer`.
    pub(crate) fn block<'b>(&'b self, parameters: &'b Parameters, layer: usize) -> ReformerBlock<'b> {
        let config = self.config;
        let group = parameters.group(layer + 1);
        let shape = Shape { rows: self.batch.rows, len: self.batch.len, mask: self.batch.mask.as_deref() };
        let rotations = match config.attn_layers[layer] {
            Kind::Lsh => Cow::Borrowed(&self.rotations[config.lsh_index(layer)][..]),
            Kind::Local | Kind::Full => Cow::Borrowed(&[][..]),
        };
        ReformerBlock {
            f: Attention::new(config, group, layer, shape, rotations, self.pass),
            g: FeedForward::new(config, group, layer, self.pass),
        }
    }

    /// All blocks, each made when its turn comes.
    pub(crate) fn blocks<'b>(
        &'b self,
        parameters: &'b Parameters,
    ) -> impl Iterator<Item = ReformerBlock<'b>> {
        (0..self.config.layers()).map(move |layer| self.block(parameters, layer))
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

/// One set of rotations per LSH layer, one rotation per head, at the addresses (hash_seed, layer, head, round).
pub(crate) fn draw_rotations(config: &Config, rounds: usize) -> Vec<Vec<Rotations>> {
    let seed = config.hash_seed.unwrap_or(0) as u64;
    let layers = (0..config.layers()).filter(|&layer| config.attn_layers[layer] == Kind::Lsh);
    let draw = |layer: usize, head: usize| {
        Rotations::draw(seed, layer as u32, head as u32, config.attention_head_size, rounds, config.buckets())
            .expect("a checked config has dimensions and rounds")
    };
    layers.map(|layer| (0..config.num_attention_heads).map(|head| draw(layer, head)).collect()).collect()
}

pub(crate) fn check_rotations(config: &Config, given: &[Vec<Rotations>]) -> Result<()> {
    let layers = config.attn_layers.iter().filter(|&&kind| kind == Kind::Lsh).count();
    let heads = config.num_attention_heads;
    if given.len() == layers && given.iter().all(|layer| layer.len() == heads) {
        return Ok(());
    }
    let got = format!("{} layers of {:?} heads", given.len(), given.iter().map(Vec::len).collect::<Vec<_>>());
    let expected = format!("{layers} LSH layers of {heads} heads");
    Err(ModelError::Shape { what: "given rotations", got, expected })
}

fn pad(config: &Config, batch: &Batch, padded: usize) -> Batch {
    let (rows, len) = (batch.rows, batch.len);
    let token = config.pad_token_id.unwrap_or(0);
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
