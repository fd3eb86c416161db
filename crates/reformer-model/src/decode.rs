//! Decoding: a state that remembers what each layer needs of the tokens so far, and steps that add to it.
//!
//! A prompt into an empty state runs through the forward kernels in parallel; everything later goes token by token
//! through attention (and all at once through everything else), reading the state:
//!
//! | layer | remembers | a step sees |
//! |---|---|---|
//! | local | k, v | its chunk so far and the chunks before, as the forward pass |
//! | full | k, v | everything so far, as the forward pass |
//! | LSH, same bucket only | qk, v, buckets | per round the latest `(before + 1)·m` positions of its bucket, each once |
//! | LSH, as Hugging Face | qk, v, buckets | per round the chunks around its rank; up to one chunk everything |
//!
//! For LSH layers a step equals the last row of a forward pass where that takes the exact path or no bucket is longer
//! than a chunk; beyond that the forward pass cuts a bucket where chunk borders fall, and its sorted order is another one
//! for every length, so no step can equal it. The hash is the model's own, the same for prompt and steps.
//!
//! One sequence, no dropout, the last token's logits. Causal models only.

use reformer_attention::{BucketMemory, StepInputs, full_step, local_step, lsh_step};
use reformer_lsh::{Buckets, hash_one};
use reformer_reversible::{Streams, Sublayer};
use reformer_tensor::{Cpu, Matrix, View};

use crate::batch::{Pass, check_tokens};
use crate::embeddings::Embeddings;
use crate::error::{ModelError, Result};
use crate::head::Head;
use crate::model::Model;
use crate::run::Run;
use crate::sublayer::{Attention, Kernel, Shape};

/// What a model remembers of one sequence.
#[derive(Clone, Debug, Default)]
pub struct DecodeState {
    len: usize,
    layers: Vec<LayerState>,
}

/// What one layer remembers.
#[derive(Clone, Debug)]
struct LayerState {
    /// Columns of `k` and `v`.
    width: usize,
    /// Keys, or the shared query-key vectors, `[len, width]`.
    k: Vec<f32>,
    /// Values, `[len, width]`.
    v: Vec<f32>,
    /// Per head; empty unless the layer hashes.
    memory: Vec<BucketMemory>,
}

impl LayerState {
    fn truncate(&mut self, len: usize) {
        self.k.truncate(len * self.width);
        self.v.truncate(len * self.width);
        self.memory.iter_mut().for_each(|memory| memory.truncate(len));
    }

    /// Rows `..len` of one head's keys and values.
    fn head(&self, len: usize, columns: std::ops::Range<usize>) -> (View<'_>, View<'_>) {
        let view = |data| View::new(data, len, self.width).columns(columns.clone());
        (view(&self.k[..len * self.width]), view(&self.v[..len * self.width]))
    }
}

impl DecodeState {
    /// Tokens seen.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        for layer in &mut self.layers {
            layer.truncate(len);
        }
    }

    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        let of = |layer: &LayerState| {
            let memory: usize = layer.memory.iter().map(BucketMemory::bytes).sum();
            (layer.k.capacity() + layer.v.capacity()) * size_of::<f32>() + memory
        };
        self.layers.iter().map(of).sum()
    }
}

impl Model {
    /// The state of an empty sequence.
    pub fn decode_state(&self) -> DecodeState {
        let config = self.config();
        let width = config.attention_width();
        let layer = |layer: usize| {
            let rotations = self.rotations(layer);
            let memory =
                rotations.iter().map(|_| BucketMemory::new(config.num_hashes, config.buckets().total()));
            LayerState { width, k: Vec::new(), v: Vec::new(), memory: memory.collect() }
        };
        DecodeState { len: 0, layers: (0..config.layers()).map(layer).collect() }
    }

    /// Reads tokens; the logits after the last. After an error the state is as before.
    pub fn prefill(&self, cpu: &Cpu, state: &mut DecodeState, ids: &[u32]) -> Result<Vec<f32>> {
        let before = state.len;
        let result = self.read(cpu, state, ids);
        match result {
            Ok(_) => state.len += ids.len(),
            Err(_) => state.truncate(before),
        }
        result
    }

    /// Reads one token; the logits after it. After an error the state is as before.
    pub fn step(&self, cpu: &Cpu, state: &mut DecodeState, id: u32) -> Result<Vec<f32>> {
        self.prefill(cpu, state, &[id])
    }

    fn read(&self, cpu: &Cpu, state: &mut DecodeState, ids: &[u32]) -> Result<Vec<f32>> {
        let config = self.config();
        if !config.is_decoder {
            return Err(ModelError::config("is_decoder", false, "true: only causal models decode"));
        }
        check_tokens(config, ids, 1, ids.len(), None)?;
        config.check_length(state.len + ids.len())?;
        let pass = Pass::evaluation();
        let streams = if state.is_empty() && ids.len() > 1 {
            self.read_prompt(cpu, state, ids, &pass)?
        } else {
            self.read_steps(cpu, state, ids, &pass)?
        };
        let h = config.hidden_size;
        let last = |m: &Matrix| Matrix::from_slice(1, h, m.row(ids.len() - 1));
        let streams = Streams { first: last(&streams.first), second: last(&streams.second) };
        let mut logits = Matrix::zeros(1, config.vocab_size);
        let parameters = self.parameters();
        let head = Head::new(config, parameters.group(config.layers() + 1), parameters.group(0), &pass);
        head.logits(cpu, &streams, logits.view_mut());
        Ok(logits.as_slice().to_vec())
    }

    /// A prompt in parallel.
    fn read_prompt(
        &self,
        cpu: &Cpu,
        state: &mut DecodeState,
        ids: &[u32],
        pass: &Pass,
    ) -> Result<Streams<Matrix>> {
        let run = Run::of_ids(self, ids, 1, ids.len(), None, pass)?;
        let mut streams = run.embed(self.parameters(), cpu);
        for (layer, remembered) in state.layers.iter_mut().enumerate() {
            let block = run.block(self.parameters(), layer);
            block.f.forward_seen(cpu, &streams.second, &mut streams.first, &mut |projected, buckets| {
                // Rows past the prompt are padding of foreign chunks.
                let rows = ids.len() * remembered.width;
                remembered.k.extend_from_slice(&projected[projected.len() - 2].as_slice()[..rows]);
                remembered.v.extend_from_slice(&projected[projected.len() - 1].as_slice()[..rows]);
                remembered.memory = buckets.iter().map(BucketMemory::of_prompt).collect();
                remembered.memory.iter_mut().for_each(|memory| memory.truncate(ids.len()));
            })?;
            block.g.forward(cpu, &streams.first, &mut streams.second)?;
        }
        Ok(streams)
    }

    /// Tokens after others: a layer at a time, and in it attention a token at a time.
    fn read_steps(
        &self,
        cpu: &Cpu,
        state: &mut DecodeState,
        ids: &[u32],
        pass: &Pass,
    ) -> Result<Streams<Matrix>> {
        let config = self.config();
        let embeddings = Embeddings::new(config, self.parameters().group(0), pass);
        let first = embeddings.forward(cpu, ids, ids.len(), state.len);
        let mut streams = Streams { second: first.clone(), first };
        for (layer, remembered) in state.layers.iter_mut().enumerate() {
            let block = self.block(layer, Shape { rows: 1, len: ids.len(), mask: None }, pass)?;
            self.attend_steps(cpu, layer, &block.f, remembered, state.len, &mut streams)?;
            block.g.forward(cpu, &streams.first, &mut streams.second)?;
        }
        Ok(streams)
    }

    /// `first += attention(second)` for rows that stand at positions `start..`.
    fn attend_steps(
        &self,
        cpu: &Cpu,
        layer: usize,
        attention: &Attention<'_>,
        remembered: &mut LayerState,
        start: usize,
        streams: &mut Streams<Matrix>,
    ) -> Result<()> {
        let config = self.config();
        // Length decides only whether a local layer has neighbours; a step finds that out by itself.
        let kernel = Kernel::new(config, layer, usize::MAX, None);
        let n = attention.norm(cpu, streams.second.view());
        let projected = attention.project(cpu, n.view());
        let (k, v) = (&projected[projected.len() - 2], &projected[projected.len() - 1]);
        remembered.k.extend_from_slice(k.as_slice());
        remembered.v.extend_from_slice(v.as_slice());
        let (heads, dim) = (config.num_attention_heads, config.attention_head_size);
        let rotations = self.rotations(layer);
        let mut ids = vec![0; config.num_hashes];
        let mut out = cpu.workspace.take_matrix(n.rows(), config.attention_width());
        for t in 0..n.rows() {
            for head in 0..heads {
                let columns = head * dim..(head + 1) * dim;
                let q = &projected[0].row(t)[columns.clone()];
                if let Some(rotations) = rotations.get(head) {
                    hash_one(q, rotations, &mut ids);
                    remembered.memory[head].push(&ids)?;
                }
                let (k, v) = remembered.head(start + t + 1, columns.clone());
                let inputs = StepInputs { q, k, v };
                let out = &mut out.row_mut(t)[columns];
                match &kernel {
                    Kernel::Lsh(lsh) => lsh_step(lsh, &inputs, &remembered.memory[head], out)?,
                    Kernel::Local(local) => local_step(local, &inputs, out)?,
                    Kernel::Full(full) => full_step(full, &inputs, out)?,
                }
            }
        }
        attention.add_output(cpu, out.view(), streams.first.as_mut_slice());
        Ok(())
    }
}

/// What a prompt's layer shows: its projections and its buckets (none unless it hashes).
pub(crate) type Seen<'s> = dyn FnMut(&[reformer_tensor::LeasedMatrix], &[Buckets]) + 's;
