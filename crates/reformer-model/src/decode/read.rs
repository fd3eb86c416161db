//! Reading tokens into states: prompts in parallel, further tokens of one sequence, one token each of many sequences.
//!
//! ```text
//! prompt into an empty state   the forward kernels, FIRST_PIECE tokens at most      exactly what training computes
//! further tokens               PIECE at a time: products of all rows, attention position by position
//! step of many sequences       products that read each weight once for all, attention of each with its own state
//! ```
//! Pieces are cut by position alone, so what a prompt becomes does not depend on who else is served meanwhile. Activations
//! are a piece's, however long the prompt. Circular chunks (foreign semantics) need a whole prompt at once.
//!
//! **Steps of several sequences are bit-identical to steps alone**: every product's row is summed in one order
//! ([`reformer_tensor::few_rows`]), and nothing else looks beyond its row.

use std::borrow::Cow;
use std::sync::Arc;

use reformer_attention::decode::{Scratch, Step};
use reformer_attention::{Attention, BucketTable};
use reformer_lsh::{Rotations, hash_one, hash_vectors};
use reformer_reversible::{Streams, Sublayer};
use reformer_tensor::{
    Cpu, LeasedMatrix, Matrix, Precision, View, ViewMut, activation, bias, elementwise, layer_norm,
};

use super::weights::{BlockWeights, HeadWeights, Packed};
use super::{DecodeOptions, DecodeState, attention};
use crate::batch::{Pass, check_tokens};
use crate::config::{ChunkWrap, Kind};
use crate::error::{ModelError, Result};
use crate::model::Model;
use crate::parameters::embedding;
use crate::positions::Positions;
use crate::run::{Run, check_rotations};

/// Tokens of a prompt that the forward kernels read at once.
pub const FIRST_PIECE: usize = 8192;
/// Tokens that are read at once after others.
pub const PIECE: usize = 1024;

/// Rotations per LSH layer, per head.
type AllRotations = Vec<Vec<Rotations>>;

/// A model set up to decode.
#[derive(Clone, Debug)]
pub struct Decoder<'m> {
    model: &'m Model,
    packed: Option<&'m Packed>,
    rotations: Option<Arc<AllRotations>>,
    options: DecodeOptions,
}

/// New tokens of one sequence.
struct Turn<'s> {
    state: &'s mut DecodeState,
    ids: &'s [u32],
}

impl<'m> Decoder<'m> {
    /// Decodes with the model's weights as they are.
    pub fn new(model: &'m Model) -> Self {
        Self { model, packed: None, rotations: None, options: DecodeOptions::default() }
    }

    /// Decodes with what [`Model::pack_bf16`] returned for this model, if anything.
    #[must_use]
    pub fn with_packed(mut self, packed: Option<&'m Packed>) -> Self {
        self.packed = packed;
        self
    }

    /// How the states that it makes remember.
    #[must_use]
    pub fn with_options(mut self, options: DecodeOptions) -> Self {
        self.options = options;
        self
    }

    /// How the states of new sequences remember.
    pub fn options(&self) -> &DecodeOptions {
        &self.options
    }

    /// Hashes with given rotations (per LSH layer in forward order, per head) instead of the model's.
    pub fn with_rotations(mut self, rotations: Arc<AllRotations>) -> Result<Self> {
        check_rotations(self.model.config(), &rotations)?;
        self.rotations = Some(rotations);
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// The state of an empty sequence.
    pub fn state(&self) -> DecodeState {
        self.model.decode_state_with(self.options)
    }

    /// Bytes of weights that a step reads, for however many sequences.
    pub fn weight_bytes(&self) -> usize {
        let blocks =
            (0..self.model.config().layers()).map(|l| BlockWeights::new(self.model, self.packed, l).bytes());
        blocks.sum::<usize>() + HeadWeights::new(self.model, self.packed).decoder.bytes()
    }

    /// How many of `left` further tokens [`Decoder::prefill`] reads at once.
    pub fn next_piece(&self, state: &DecodeState, left: usize) -> usize {
        let whole = self.model.config().lsh_chunk_wrap == ChunkWrap::Circular;
        match (state.is_empty(), whole) {
            (true, true) => left,
            (true, false) => left.min(FIRST_PIECE),
            (false, _) => left.min(PIECE),
        }
    }

    /// Reads tokens; the logits after the last.
    ///
    /// Bad tokens, too many of them or a foreign state are errors that leave the state as it was.
    pub fn prefill(&self, cpu: &Cpu, state: &mut DecodeState, ids: &[u32]) -> Result<Vec<f32>> {
        self.check(state, ids)?;
        let mut rest = ids;
        loop {
            let (piece, later) = rest.split_at(self.next_piece(state, rest.len()));
            let last = later.is_empty();
            let logits = self.read_piece(cpu, state, piece, last)?;
            if let Some(logits) = logits {
                return Ok(logits);
            }
            rest = later;
        }
    }

    /// Reads one piece of a prompt, as [`Decoder::next_piece`] cuts it; the logits after it if `last`.
    pub fn prefill_piece(
        &self,
        cpu: &Cpu,
        state: &mut DecodeState,
        piece: &[u32],
        last: bool,
    ) -> Result<Option<Vec<f32>>> {
        self.check(state, piece)?;
        self.read_piece(cpu, state, piece, last)
    }

    /// Reads one token; the logits after it.
    pub fn step(&self, cpu: &Cpu, state: &mut DecodeState, id: u32) -> Result<Vec<f32>> {
        Ok(self.step_many(cpu, &mut [state], &[id])?.as_slice().to_vec())
    }

    /// Reads one token into each state; the logits after them, `[states, vocab_size]`. Each row, and each state, is the
    /// same bits as of a step alone. After an error all states are as before.
    pub fn step_many(&self, cpu: &Cpu, states: &mut [&mut DecodeState], ids: &[u32]) -> Result<Matrix> {
        if states.len() != ids.len() || ids.is_empty() {
            let (got, expected) =
                (format!("{} ids", ids.len()), format!("one for each of {} states", states.len()));
            return Err(ModelError::Shape { what: "step", got, expected });
        }
        for (state, id) in states.iter().zip(ids) {
            self.check(state, std::slice::from_ref(id))?;
        }
        let turn = |(state, ids): (_, _)| Turn { state, ids };
        let turns = states.iter_mut().map(|s| &mut **s).zip(ids.chunks(1)).map(turn).collect();
        cpu.threads.run(|| self.read_turns(cpu, turns))
    }

    fn check(&self, state: &DecodeState, ids: &[u32]) -> Result<()> {
        let config = self.model.config();
        if !config.is_decoder {
            return Err(ModelError::config("is_decoder", false, "true: only causal models decode"));
        }
        check_tokens(config, ids, 1, ids.len(), None)?;
        config.check_length(state.len() + ids.len())?;
        state.check(config)
    }

    fn read_piece(
        &self,
        cpu: &Cpu,
        state: &mut DecodeState,
        ids: &[u32],
        last: bool,
    ) -> Result<Option<Vec<f32>>> {
        let cpu = &self.reading(cpu);
        cpu.threads.run(|| {
            if state.is_empty() && ids.len() > 1 {
                let streams = match self.read_prompt(cpu, state, ids) {
                    Ok(streams) => streams,
                    Err(error) => {
                        *state = DecodeState::new(self.model, *state.options());
                        return Err(error);
                    }
                };
                state.ids.extend_from_slice(ids);
                state.forget(self.model.config());
                let end = ids.len() - 1;
                return Ok(last.then(|| self.logits(cpu, &streams, &[end]).as_slice().to_vec()));
            }
            let streams = self.read_rows(cpu, &mut [Turn { state, ids }])?;
            Ok(last.then(|| self.logits(cpu, &streams, &[ids.len() - 1]).as_slice().to_vec()))
        })
    }

    /// Whoever packed the weights as `bf16` has prompts read in `bf16` products, twice as fast.
    fn reading(&self, cpu: &Cpu) -> Cpu {
        if self.packed.is_some() { cpu.with_precision(Precision::Bf16) } else { cpu.clone() }
    }

    fn read_turns(&self, cpu: &Cpu, mut turns: Vec<Turn<'_>>) -> Result<Matrix> {
        let streams = self.read_rows(cpu, &mut turns)?;
        let rows: Vec<usize> = (0..turns.len()).collect();
        Ok(self.logits(cpu, &streams, &rows))
    }

    fn rotations(&self, layer: usize) -> &[Rotations] {
        let config = self.model.config();
        match (&self.rotations, config.attn_layers[layer]) {
            (Some(given), Kind::Lsh) => &given[config.lsh_index(layer)],
            _ => self.model.rotations(layer),
        }
    }

    /// A prompt through the forward kernels.
    fn read_prompt(&self, cpu: &Cpu, state: &mut DecodeState, ids: &[u32]) -> Result<Streams<Matrix>> {
        let config = self.model.config();
        let pass = Pass {
            attention: state.options.attention,
            rotations: self.rotations.clone(),
            ..Pass::evaluation()
        };
        let run = Run::of_ids(config, self.model.all_rotations(), ids, 1, ids.len(), None, &pass)?;
        let parameters = self.model.parameters();
        let mut streams = run.embed(parameters, cpu);
        for (l, layer) in state.layers.iter_mut().enumerate() {
            let block = run.block(parameters, l);
            let keys = attention(config, l, &state.options).keys();
            let (mut told, mut padded) = (Ok(()), false);
            block.f.forward_seen(cpu, &streams.second, &mut streams.first, &mut |projected, buckets| {
                // Rows past the prompt are padding of foreign chunks.
                let rows = |m: &LeasedMatrix| m.rows().min(ids.len());
                let [.., k, v] = projected else { return };
                let (k, v) = (k.view().rows_range(0..rows(k)), v.view().rows_range(0..rows(v)));
                told = layer.rows.extend(k, v, keys);
                let total = config.buckets().total();
                for (table, buckets) in layer.tables.iter_mut().zip(buckets) {
                    match BucketTable::of_prompt(buckets, total, ids.len()) {
                        Ok(of_prompt) => *table = Arc::new(of_prompt),
                        Err(error) => told = Err(error),
                    }
                }
                padded = buckets.first().is_some_and(|b| b.num_buckets() > total);
            })?;
            told?;
            if padded {
                layer.lower(config.num_hashes, config.buckets().total())?;
            }
            block.g.forward(cpu, &streams.first, &mut streams.second)?;
        }
        Ok(streams)
    }

    /// New tokens of one or more sequences, a layer at a time.
    fn read_rows(&self, cpu: &Cpu, turns: &mut [Turn<'_>]) -> Result<Streams<Matrix>> {
        let config = self.model.config();
        let first = self.embed(turns);
        let mut streams = Streams { second: first.clone(), first };
        // Several rows of one sequence have nobody to be identical with.
        let together = turns.iter().all(|turn| turn.ids.len() == 1);
        for layer in 0..config.layers() {
            let weights = BlockWeights::new(self.model, self.packed, layer);
            self.attend(cpu, layer, &weights, turns, together, &mut streams)?;
            self.feed_forward(cpu, &weights, together, &mut streams);
        }
        for turn in turns {
            turn.state.ids.extend_from_slice(turn.ids);
            turn.state.forget(config);
        }
        Ok(streams)
    }

    /// Word embeddings plus positions, a row for every new token.
    fn embed(&self, turns: &[Turn<'_>]) -> Matrix {
        let (config, group) = (self.model.config(), self.model.parameters().group(0));
        let (words, positions) = (group.tensor(embedding::WORDS), Positions::new(config, group));
        let h = config.hidden_size;
        let tokens = turns.iter().flat_map(|t| t.ids.iter().zip(t.state.len()..));
        let mut x = Matrix::zeros(turns.iter().map(|t| t.ids.len()).sum(), h);
        let mut code = vec![0.0; h];
        for (row, (&id, position)) in tokens.enumerate() {
            positions.write(position, &mut code);
            let word = &words[id as usize * h..][..h];
            x.row_mut(row).iter_mut().zip(word.iter().zip(&code)).for_each(|(x, (w, p))| *x = w + p);
        }
        x
    }

    fn norm(&self, cpu: &Cpu, x: View<'_>, (gamma, beta): (&[f32], &[f32])) -> LeasedMatrix {
        let mut n = cpu.workspace.take_matrix(x.rows(), x.cols());
        layer_norm::forward(cpu, x, gamma, beta, self.model.config().layer_norm_eps as f32, n.view_mut());
        n
    }

    /// `first += attention(second)`.
    fn attend(
        &self,
        cpu: &Cpu,
        layer: usize,
        weights: &BlockWeights<'_>,
        turns: &mut [Turn<'_>],
        together: bool,
        streams: &mut Streams<Matrix>,
    ) -> Result<()> {
        let n = self.norm(cpu, streams.second.view(), weights.norm);
        let product = |w: &super::weights::Weight<'_>, a: View<'_>| {
            let mut c = cpu.workspace.take_matrix(a.rows(), w.outputs());
            if together {
                w.few(cpu, a, c.view_mut());
            } else {
                w.many(cpu, a, c.view_mut());
            }
            c
        };
        let projected: Vec<LeasedMatrix> = weights.projections.iter().map(|w| product(w, n.view())).collect();
        let mut out = cpu.workspace.take_matrix(n.rows(), self.model.config().attention_width());
        self.remember_and_attend(cpu, layer, turns, &projected, out.view_mut())?;
        let t = product(&weights.output, out.view());
        elementwise::add_assign(cpu, streams.first.as_mut_slice(), t.as_slice());
        Ok(())
    }

    /// Adds the new rows to the states, then attends, a head of a sequence at a time.
    fn remember_and_attend(
        &self,
        cpu: &Cpu,
        layer: usize,
        turns: &mut [Turn<'_>],
        projected: &[LeasedMatrix],
        out: ViewMut<'_>,
    ) -> Result<()> {
        let config = self.model.config();
        let dim = config.attention_head_size;
        let rotations = self.rotations(layer);
        let (mut jobs, mut rest, mut at) = (Vec::new(), out, 0);
        for turn in turns {
            let rows = at..at + turn.ids.len();
            at = rows.end;
            let DecodeState { ids, layers, options } = &mut *turn.state;
            let state = &mut layers[layer];
            let attention = attention(config, layer, options);
            let view = |i: usize| projected[i].view().rows_range(rows.clone());
            state.rows.extend(view(projected.len() - 2), view(projected.len() - 1), attention.keys())?;
            let (own, later) = rest.split_rows(rows.len());
            rest = later;
            let mut tables = state.tables.iter_mut();
            for (head, out) in own.split_columns(dim).into_iter().enumerate() {
                let q = view(0).columns(head * dim..(head + 1) * dim);
                let lowered = state.lowered;
                let table = tables.next().map(|t| Hashing {
                    table: Arc::make_mut(t),
                    rotations: &rotations[head],
                    lowered,
                });
                jobs.push(Job { cpu, attention, head, start: ids.len(), q, rows: &state.rows, table, out });
            }
        }
        cpu.threads.map(jobs, Job::run).into_iter().collect()
    }

    /// `second += feed_forward(first)`.
    fn feed_forward(
        &self,
        cpu: &Cpu,
        weights: &BlockWeights<'_>,
        together: bool,
        streams: &mut Streams<Matrix>,
    ) {
        let mut n = self.norm(cpu, streams.first.view(), weights.hidden_norm);
        let mut u = cpu.workspace.take_matrix(n.rows(), weights.hidden.outputs());
        if together {
            weights.hidden.few(cpu, n.view(), u.view_mut());
        } else {
            weights.hidden.many(cpu, n.view(), u.view_mut());
        }
        bias::add_rows(cpu, u.view_mut(), weights.hidden_bias);
        activation::forward_in_place(cpu, self.model.config().activation(), u.view_mut());
        if together {
            weights.back.few(cpu, u.view(), n.view_mut());
        } else {
            weights.back.many(cpu, u.view(), n.view_mut());
        }
        bias::add_rows(cpu, n.view_mut(), weights.back_bias);
        elementwise::add_assign(cpu, streams.second.as_mut_slice(), n.as_slice());
    }

    /// Logits after some of the rows.
    fn logits(&self, cpu: &Cpu, streams: &Streams<Matrix>, rows: &[usize]) -> Matrix {
        let (config, weights) = (self.model.config(), HeadWeights::new(self.model, self.packed));
        let h = config.hidden_size;
        let mut pair = cpu.workspace.take_matrix(rows.len(), 2 * h);
        for (i, &row) in rows.iter().enumerate() {
            let (first, second) = pair.row_mut(i).split_at_mut(h);
            first.copy_from_slice(streams.first.row(row));
            second.copy_from_slice(streams.second.row(row));
        }
        let normed = self.norm(cpu, pair.view(), weights.norm);
        let normed: Cow<'_, Matrix> = if weights.tied {
            let half = |i: usize, j: usize| normed.row(i)[j] + normed.row(i)[h + j];
            Cow::Owned(Matrix::from_fn(rows.len(), h, half))
        } else {
            Cow::Owned(Matrix::from_slice(rows.len(), 2 * h, normed.as_slice()))
        };
        let mut logits = Matrix::zeros(rows.len(), config.vocab_size);
        weights.decoder.few(cpu, normed.view(), logits.view_mut());
        if let Some(bias) = weights.bias {
            bias::add_rows(cpu, logits.view_mut(), bias);
        }
        logits
    }
}

/// Where a head's new tokens are hashed to.
struct Hashing<'a> {
    table: &'a mut BucketTable,
    rotations: &'a Rotations,
    lowered: bool,
}

/// One head of one sequence's new tokens.
struct Job<'a> {
    cpu: &'a Cpu,
    attention: Attention,
    head: usize,
    /// Position of the first new token.
    start: usize,
    q: View<'a>,
    rows: &'a reformer_attention::KeyValues,
    table: Option<Hashing<'a>>,
    out: ViewMut<'a>,
}

impl Job<'_> {
    fn run(mut self) -> Result<()> {
        let mut scratch = Scratch::default();
        let mut ids = vec![0; self.table.as_ref().map_or(0, |t| t.table.rounds())];
        // A piece of a prompt is hashed at once; a step alone, where setting that up would cost more than it spares.
        let hashed = match &self.table {
            Some(hashing) if self.q.rows() > 1 => {
                Some(hash_vectors(self.cpu, self.q, hashing.rotations, None)?)
            }
            _ => None,
        };
        for t in 0..self.q.rows() {
            let q = self.q.row(t);
            let step = Step { q, head: self.head, position: self.start + t, rows: self.rows };
            let out = self.out.row_mut(t);
            if let Some(Hashing { table, rotations, lowered }) = &mut self.table {
                match &hashed {
                    Some(all) => ids.iter_mut().enumerate().for_each(|(r, id)| *id = all.round(r)[t]),
                    None => hash_one(q, *rotations, &mut ids),
                }
                if *lowered {
                    ids.iter_mut().rev().enumerate().for_each(|(up, id)| *id += up as u32);
                }
                table.push(&ids)?;
            }
            let table = self.table.as_ref().map(|hashing| &*hashing.table);
            self.attention.step(&step, table, &mut scratch, out)?;
        }
        Ok(())
    }
}
