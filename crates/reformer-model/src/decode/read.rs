//! Reading tokens into states: prompts in parallel, further tokens of one sequence, one token each of many sequences.
//!
//! ```text
//! prompt into an empty state   the forward kernels, FIRST_PIECE tokens at most      exactly what training computes
//! further tokens               PIECE at a time: products of all rows, attention position by position
//! step of many sequences       products that read each weight once for all, attention of each with its own state
//! ```
//! Pieces are cut by position alone, so what a prompt becomes does not depend on who else is served meanwhile.
//! Activations are a piece's, however long the prompt. Circular chunks (foreign semantics) need a whole prompt at once.
//!
//! **Steps of several sequences are bit-identical to steps alone**: every product's row is summed in one order
//! ([`reformer_tensor::few_rows`]), and nothing else looks beyond its row.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reformer_lsh::Rotations;
use reformer_reversible::Streams;
use reformer_tensor::{Cpu, Matrix, Precision};

use super::{DecodeOptions, DecodeState};
use crate::batch::{Pass, check_tokens};
use crate::config::ChunkWrap;
use crate::error::{ModelError, Result};
use crate::layers::{Layers, check_rotations};
use crate::model::Model;
use crate::packed::{self, Packed, Rows};
use crate::run::Run;
use crate::sublayer::layer_state::{NewRows, Reading};
use crate::sublayer::{Shape, semantics};

/// Tokens of a prompt that the forward kernels read at once.
pub const FIRST_PIECE: usize = 8192;
/// Tokens that are read at once after others.
pub const PIECE: usize = 1024;

/// A model set up to decode.
#[derive(Clone, Debug)]
pub struct Decoder<'m> {
    model: &'m Model,
    packed: Option<&'m Packed>,
    /// Per LSH layer, per head.
    rotations: Option<Arc<Vec<Vec<Rotations>>>>,
    options: DecodeOptions,
    stop: Option<&'m AtomicBool>,
}

/// New tokens of one sequence.
struct NewTokens<'s> {
    state: &'s mut DecodeState,
    ids: &'s [u32],
}

impl<'m> Decoder<'m> {
    /// Decodes with the model's weights as they are.
    pub fn new(model: &'m Model) -> Self {
        Self { model, packed: None, rotations: None, options: DecodeOptions::default(), stop: None }
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

    /// Gives up reading a prompt, between two sublayers, with [`ModelError::Stopped`] once `stop` is raised; the
    /// state is as it was before the piece.
    #[must_use]
    pub fn with_stop(mut self, stop: Option<&'m AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// How the states of new sequences remember.
    pub fn options(&self) -> &DecodeOptions {
        &self.options
    }

    /// Hashes with given rotations (per LSH layer in forward order, per head) instead of the model's.
    pub fn with_rotations(mut self, rotations: Arc<Vec<Vec<Rotations>>>) -> Result<Self> {
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
        packed::step_bytes(self.model.config(), self.model.parameters(), self.packed)
    }

    /// How many of `left` further tokens [`Decoder::prefill`] reads at once.
    pub fn next_piece(&self, state: &DecodeState, left: usize) -> usize {
        // On a circle the first chunk sees the last one, so nothing is final before the end of the prompt is known.
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
        // Every state before any is touched: one bad id must not leave the others a token further.
        for (state, id) in states.iter().zip(ids) {
            self.check(state, std::slice::from_ref(id))?;
        }
        let tokens = |(state, ids): (_, _)| NewTokens { state, ids };
        let mut turns: Vec<_> = states.iter_mut().map(|s| &mut **s).zip(ids.chunks(1)).map(tokens).collect();
        let rows: Vec<usize> = (0..ids.len()).collect();
        let pass = self.pass(&self.options);
        let layers = self.layers(&pass)?;
        cpu.threads.run(|| {
            let streams = self.read(cpu, &layers, &mut turns)?;
            Ok(layers.head(self.model.parameters()).step(cpu, &streams, &rows))
        })
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
        // Whoever packed the weights as `bf16` has prompts read in `bf16` products, twice as fast.
        let precision = if self.packed.is_some() { Precision::Bf16 } else { cpu.precision() };
        let cpu = &cpu.with_precision(precision);
        let pass = self.pass(state.options());
        let layers = self.layers(&pass)?;
        cpu.threads.run(|| {
            let streams = self.read(cpu, &layers, &mut [NewTokens { state, ids }])?;
            let head = layers.head(self.model.parameters());
            Ok(last.then(|| head.step(cpu, &streams, &[ids.len() - 1]).as_slice().to_vec()))
        })
    }

    /// The layers as they compute for states that were made with `options`.
    fn pass(&self, options: &DecodeOptions) -> Pass {
        Pass { attention: options.attention, rotations: self.rotations.clone(), ..Pass::evaluation() }
    }

    fn layers<'p>(&'p self, pass: &'p Pass) -> Result<Layers<'p>> {
        let layers = Layers::new(self.model.config(), self.model.all_rotations(), pass)?;
        Ok(layers.with_packed(self.packed))
    }

    /// Reads new tokens of one or more sequences; both streams after the last block, a row for each token.
    fn read(&self, cpu: &Cpu, layers: &Layers<'_>, turns: &mut [NewTokens<'_>]) -> Result<Streams<Matrix>> {
        let config = self.model.config();
        // A prompt of one token is a step: the forward kernels would pack every weight for one row.
        let read = match &mut *turns {
            [only] if only.state.is_empty() && only.ids.len() > 1 => self.read_prompt(cpu, layers, only),
            turns => self.read_steps(cpu, layers, turns),
        };
        for NewTokens { state, ids } in turns {
            if read.is_err() {
                state.roll_back(config);
            } else {
                // The ids last: they say how long the state is, and until here it was as long as before.
                state.ids.extend_from_slice(ids);
                state.forget(config);
            }
        }
        read
    }

    /// A whole prompt, or the first piece of one, through the forward kernels.
    fn read_prompt(
        &self,
        cpu: &Cpu,
        layers: &Layers<'_>,
        turn: &mut NewTokens<'_>,
    ) -> Result<Streams<Matrix>> {
        let (NewTokens { state, ids }, parameters) = (turn, self.model.parameters());
        let run = Run::of_ids(layers.clone(), ids, 1, ids.len(), None);
        let mut streams = run.embed(parameters, cpu);
        for (block, layer) in run.blocks(parameters).zip(&mut state.layers) {
            let mut reading = Reading::Prompt { state: layer, len: ids.len(), stop: self.stop };
            block.step(cpu, &mut streams, &mut reading)?;
        }
        Ok(streams)
    }

    /// Further tokens, position by position where positions see each other.
    fn read_steps(
        &self,
        cpu: &Cpu,
        layers: &Layers<'_>,
        turns: &mut [NewTokens<'_>],
    ) -> Result<Streams<Matrix>> {
        let (config, parameters) = (self.model.config(), self.model.parameters());
        let tokens = turns.iter().flat_map(|turn| turn.ids.iter().copied().zip(turn.state.len()..));
        let first = layers.embeddings(parameters).step(cpu, tokens);
        let mut streams = Streams { second: first.clone(), first };
        let single = turns.iter().all(|turn| turn.ids.len() == 1);
        let rows = if single { Rows::OfSequences } else { Rows::OfOne };
        let shape = Shape { rows: 1, len: streams.first.rows(), mask: None };
        // Layer by layer with all sequences, not sequence by sequence: a step takes as long as memory needs to
        // deliver the weights, and this way they are delivered once (sixteen sequences together: 5.2 times the tokens
        // of one).
        for layer in 0..config.layers() {
            let sequences = turns.iter_mut().map(|NewTokens { state, ids }| NewRows {
                attention: semantics::of_steps(config, layer, state.options.attention),
                start: state.ids.len(),
                count: ids.len(),
                state: &mut state.layers[layer],
            });
            let block = layers.block(parameters, layer, shape);
            // Steps of one token each are over before anybody could ask.
            let stop = self.stop.filter(|_| !single);
            let mut reading = Reading::Steps { sequences: sequences.collect(), rows, stop };
            block.step(cpu, &mut streams, &mut reading)?;
        }
        Ok(streams)
    }
}
