//! The model: forward, evaluation, and the training pass that hands out gradients as it reverses.
//!
//! ```text
//! forward    x1 = x2 = embed(ids);  per block: keep only the buckets;  keep the last pair
//! head       loss and d(pair), a piece at a time                      → sink(N + 1)
//! reverse    per block: recompute, take the input pair back, gradient → sink(N) … sink(1)
//! embed      d(x1) + d(x2) scattered                                  → sink(0)
//! ```
//!
//! # Shapes
//! - streams: `[rows·len, hidden_size]`; row `b·len + t` is token t of batch row b
//!
//! Any length works. Only the circular chunks of foreign semantics need whole chunks: then the rows are padded inside,
//! masked, and cut again ([`Config::padded_length`]).

use std::path::Path;

use reformer_lsh::Rotations;
use reformer_reversible::{Block as _, Streams};
use reformer_tensor::{Cpu, Matrix};

use crate::batch::{Batch, LossReport, Pass, check_tokens};
use crate::config::{Config, Fields};
use crate::embeddings::Embeddings;
use crate::error::{NonFinite, Result};
use crate::hf;
use crate::layers::{self, Layers, draw_rotations};
use crate::non_finite;
use crate::packed::Packed;
use crate::parameters::{Group, Parameters};
use crate::run::Run;
use crate::sublayer::{Look, ReformerBlock, Shape};
use crate::training::{self, Added, Handed, Updated, Updates};

/// A configuration with parameters and the rotations that its layers hash with.
#[derive(Clone, Debug)]
pub struct Model {
    config: Config,
    parameters: Parameters,
    /// Per LSH layer in forward order, per head.
    rotations: Vec<Vec<Rotations>>,
}

impl Model {
    /// A fresh model.
    pub fn new(config: Config, seed: u64) -> Self {
        let parameters = Parameters::fresh(&config, seed);
        Self::from_parts(config, parameters)
    }

    pub(crate) fn from_parts(config: Config, parameters: Parameters) -> Self {
        let rotations = draw_rotations(&config, config.num_hashes);
        Self { config, parameters, rotations }
    }

    /// Reads a checkpoint directory: `config.json` and `model.safetensors`.
    pub fn load(dir: &Path) -> Result<Self> {
        let (config, parameters) = hf::load(dir)?;
        Ok(Self::from_parts(config, parameters))
    }

    /// Hashes in another number of rounds from now on, at least 1; the rotations are those of a model that was made
    /// with it.
    pub fn set_num_hashes(&mut self, rounds: usize) -> Result<()> {
        if rounds != self.config.num_hashes {
            self.config = Config::check(Fields { num_hashes: rounds, ..(*self.config).clone() })?;
            self.rotations = draw_rotations(&self.config, rounds);
        }
        Ok(())
    }

    /// Writes `config.json` and `model.safetensors` into a directory, made if it is not there.
    pub fn save(&self, dir: &Path) -> Result<()> {
        hf::save(dir, &self.config, &self.parameters)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The parameters, to update.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// The rotations of layer `layer` (one per head), empty if it does not hash.
    pub fn rotations(&self, layer: usize) -> &[Rotations] {
        self.config.lsh_index(layer).map_or(&[], |lsh| &self.rotations[lsh])
    }

    pub(crate) fn all_rotations(&self) -> &[Vec<Rotations>] {
        &self.rotations
    }

    /// Loss, weight and hits of a batch; no gradients.
    pub fn evaluate(&self, cpu: &Cpu, batch: &Batch, pass: &Pass) -> Result<LossReport> {
        let run = Run::new(&self.config, &self.rotations, batch, pass)?;
        let streams = run.streams(&self.parameters, cpu)?;
        Ok(run.layers.head(&self.parameters).loss(cpu, &streams, &run.batch))
    }

    /// `nll` of every target in nats, `[rows·len]`; 0 where the weight is 0.
    pub fn token_losses(&self, cpu: &Cpu, batch: &Batch, pass: &Pass) -> Result<Vec<f32>> {
        let run = Run::new(&self.config, &self.rotations, batch, pass)?;
        let streams = run.streams(&self.parameters, cpu)?;
        let losses = run.layers.head(&self.parameters).token_losses(cpu, &streams, &run.batch);
        Ok(run.cut(&losses, 1, batch.len))
    }

    /// Logits `[rows·len, vocab_size]` of a whole input. For looking at: training and evaluation never make them.
    pub fn logits(
        &self,
        cpu: &Cpu,
        ids: &[u32],
        rows: usize,
        len: usize,
        mask: Option<&[bool]>,
        pass: &Pass,
    ) -> Result<Matrix> {
        let (run, streams) = self.run_ids(cpu, ids, rows, len, mask, pass)?;
        let vocab = self.config.vocab_size;
        let mut logits = Matrix::zeros(rows * run.batch.len, vocab);
        run.layers.head(&self.parameters).logits(cpu, &streams, logits.view_mut());
        if run.batch.len == len {
            return Ok(logits);
        }
        Ok(Matrix::from_vec(rows * len, vocab, run.cut(logits.as_slice(), vocab, len)))
    }

    /// Both streams before the first block: word embeddings plus positions, `[rows·len, hidden_size]`, no dropout.
    pub fn embed(&self, cpu: &Cpu, ids: &[u32], rows: usize, len: usize) -> Result<Matrix> {
        check_tokens(&self.config, ids, rows, len, None)?;
        let embeddings = Embeddings::new(&self.config, self.parameters.group(0), &Pass::evaluation());
        Ok(embeddings.forward(cpu, ids, len))
    }

    /// The two streams after the last block, `[rows·len, hidden_size]` each: first y1, then y2.
    pub fn streams(
        &self,
        cpu: &Cpu,
        ids: &[u32],
        rows: usize,
        len: usize,
        mask: Option<&[bool]>,
        pass: &Pass,
    ) -> Result<(Matrix, Matrix)> {
        let (run, streams) = self.run_ids(cpu, ids, rows, len, mask, pass)?;
        if run.batch.len == len {
            return Ok((streams.first, streams.second));
        }
        let h = self.config.hidden_size;
        let cut = |y: &Matrix| Matrix::from_vec(rows * len, h, run.cut(y.as_slice(), h, len));
        Ok((cut(&streams.first), cut(&streams.second)))
    }

    /// One vector for a text: the mean of its last hidden states, the head's norm included (Hugging Face's
    /// `last_hidden_state`), of length 1: `[2·hidden_size]`. All zeros if the mean is.
    pub fn embedding(&self, cpu: &Cpu, ids: &[u32]) -> Result<Vec<f32>> {
        let pass = Pass::evaluation();
        // The padding of foreign chunks is cut off before the mean.
        let (first, second) = self.streams(cpu, ids, 1, ids.len(), None, &pass)?;
        let layers = Layers::new(&self.config, &self.rotations, &pass)?;
        let sum = layers.head(&self.parameters).sum(cpu, &Streams { first, second });
        let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        let scale = if length > 0.0 { length.recip() } else { 0.0 };
        Ok(sum.into_iter().map(|x| (x * scale) as f32).collect())
    }

    fn run_ids<'a>(
        &'a self,
        cpu: &Cpu,
        ids: &[u32],
        rows: usize,
        len: usize,
        mask: Option<&[bool]>,
        pass: &'a Pass,
    ) -> Result<(Run<'a>, Streams<Matrix>)> {
        check_tokens(&self.config, ids, rows, len, mask)?;
        let layers = Layers::new(&self.config, &self.rotations, pass)?;
        let run = Run::of_ids(layers, ids, rows, len, mask);
        let streams = run.streams(&self.parameters, cpu)?;
        Ok((run, streams))
    }

    /// One training pass: the loss of `batch`, and the gradient of `scale · Σ w·nll` handed to `sink` a group at a
    /// time, in the order head (N + 1), blocks N..1, embeddings (0). The gradient is borrowed only for the call.
    pub fn forward_backward(
        &self,
        cpu: &Cpu,
        batch: &Batch,
        pass: &Pass,
        scale: f32,
        sink: &mut dyn FnMut(usize, &Group),
    ) -> Result<LossReport> {
        let run = Run::new(&self.config, &self.rotations, batch, pass)?;
        let mut ledger = Handed { parameters: &self.parameters, sink, spare: None };
        training::forward_and_reverse(cpu, &run, scale, &mut ledger)
    }

    /// The same pass, its gradient added to `gradients`, which has the parameters' layout. Nothing is copied.
    pub fn accumulate(
        &self,
        cpu: &Cpu,
        batch: &Batch,
        pass: &Pass,
        scale: f32,
        gradients: &mut Parameters,
    ) -> Result<LossReport> {
        let run = Run::new(&self.config, &self.rotations, batch, pass)?;
        let mut ledger = Added { parameters: &self.parameters, gradients };
        training::forward_and_reverse(cpu, &run, scale, &mut ledger)
    }

    /// The same pass for an optimizer that works on the way: `update(group, parameters, gradient)` may change a group
    /// as soon as its gradient is complete, in the order above, and only the largest group's gradient (and the
    /// embeddings') exist at a time. `begin` sees the loss before the first update. What either refuses ends the pass.
    pub fn forward_backward_update(
        &mut self,
        cpu: &Cpu,
        batch: &Batch,
        pass: &Pass,
        scale: f32,
        update: Updates<'_>,
    ) -> Result<LossReport> {
        let run = Run::new(&self.config, &self.rotations, batch, pass)?;
        let mut ledger = Updated { parameters: &mut self.parameters, update, spare: None };
        training::forward_and_reverse(cpu, &run, scale, &mut ledger)
    }

    /// Block `layer`, set up for rows of one shape: attention and feed-forward as a reversible coupling.
    pub fn block<'a>(&'a self, layer: usize, shape: Shape<'a>, pass: &'a Pass) -> Result<ReformerBlock<'a>> {
        layers::single_block(&self.config, &self.parameters, &self.rotations, layer, shape, pass)
    }

    /// Looks at one head while the model reads `ids`: its buckets, and whom the token `query` attends to. The blocks
    /// before it compute what they compute for a prompt.
    ///
    /// # Panics
    /// If there is no such layer, head or token.
    pub fn look(&self, cpu: &Cpu, ids: &[u32], layer: usize, head: usize, query: usize) -> Result<Look> {
        let pass = Pass::evaluation();
        let len = self.config.padded_length(ids.len());
        // Foreign chunks need whole ones; what is filled up is masked, and nobody sees it.
        let mut padded = ids.to_vec();
        padded.resize(len, self.config.pad_token_id.unwrap_or(0));
        let real: Vec<bool> = (0..len).map(|i| i < ids.len()).collect();
        let mask = (len > ids.len()).then_some(&real[..]);
        let shape = Shape { rows: 1, len, mask };
        let x = self.embed(cpu, &padded, 1, len)?;
        let mut streams = Streams { first: x.clone(), second: x };
        for before in 0..layer {
            self.block(before, shape, &pass)?.forward(cpu, &mut streams)?;
        }
        let mut look = self.block(layer, shape, &pass)?.f.look(cpu, &streams.second, head, query)?;
        look.weights.truncate(ids.len());
        Ok(look)
    }

    /// Rounds every matrix that a step multiplies by to `bf16`, and returns them packed.
    pub fn pack_bf16(&mut self) -> Packed {
        Packed::round(&self.config, &mut self.parameters)
    }

    /// Where the first number of this pass is that is not finite: a parameter, then forward in order, then gradients in
    /// the order of the reverse pass. `None` if all is well (or the batch does not fit the model).
    pub fn locate_non_finite(&self, cpu: &Cpu, batch: &Batch, pass: &Pass) -> Option<NonFinite> {
        let run = Run::new(&self.config, &self.rotations, batch, pass).ok()?;
        non_finite::locate(&self.parameters, &run, cpu)
    }
}
