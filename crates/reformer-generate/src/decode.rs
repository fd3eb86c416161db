//! The decode loop: prompt in, text out, one token at a time.
//!
//! ```text
//! reuse the common prefix of the decode state → prefill the rest → repeat { sample → emit whole characters → step }
//! ```
//!
//! Ends at a stop token, a stop string, `max_tokens`, the model's last position, or when the consumer breaks. Text is
//! released through the stream decoder (whole characters only) and the stop strings (never a part of one), so the
//! concatenation of what the consumer saw is exactly [`Completion::text`].
//!
//! Knows nothing of roles and turns (that is [`ChatSession`](crate::ChatSession)), of terminals or of the time: the
//! clock is a function. Many generations at once are the [`Engine`](crate::Engine)'s.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use reformer_model::{DecodeOptions, DecodeState, Decoder, Kind, Model, ModelError, Packed};
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;

use crate::error::{GenerateError, Result};
use crate::request::{ContextPolicy, Request, positions};
use crate::sequence::{Advance, Completion, Finish, Sequence};

/// A decode state that outlives a generation, so that the next prompt computes only what is new.
#[derive(Debug, Clone)]
pub struct Cache {
    state: DecodeState,
    /// The logits after the state's last token, where they are known: a prompt that is all of the state needs no other.
    after: Option<Vec<f32>>,
    /// The state at the end of the last prompt, and the logits after it, if it is to be kept for [`Cache::save`].
    prompt: Option<(DecodeState, Vec<f32>)>,
    keeps_prompt: bool,
}

impl Cache {
    /// Tokens in the state.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether the state is fresh.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// The tokens it has seen.
    pub fn ids(&self) -> &[u32] {
        self.state.ids()
    }

    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        self.state.bytes()
    }

    /// Remembers the state at the end of a prompt beside the one that goes on with the reply; pages are shared.
    #[must_use]
    pub fn keeping_prompts(mut self) -> Self {
        self.keeps_prompt = true;
        self
    }

    /// Writes a prompt cache for a later run of the same model: the state at the end of the last prompt, with the
    /// logits after it, so that a run that starts from the file says what the run that wrote it said. `false` if none
    /// was kept.
    pub fn save(&self, path: &Path, generator: &Generator<'_>) -> Result<bool> {
        let Some((state, after)) = &self.prompt else { return Ok(false) };
        state.save(path, generator.decoder.model(), Some(after))?;
        Ok(true)
    }

    /// Reads what [`Cache::save`] wrote, if it remembers and attends as the generator does.
    pub fn load(path: &Path, generator: &Generator<'_>) -> Result<Self> {
        let (state, after) = DecodeState::load(path, generator.decoder.model())?;
        let same =
            |a: &DecodeOptions, b: &DecodeOptions| (a.storage, a.attention) == (b.storage, b.attention);
        let asked = generator.decoder.options();
        if same(state.options(), asked) {
            return Ok(Self { state, after, prompt: None, keeps_prompt: false });
        }
        let say = |options: &DecodeOptions| {
            let full = options.attention == Some(Kind::Full);
            let attention = if full { "full" } else { "the model's" };
            format!("keys and values in {}, {attention} attention", options.storage.name())
        };
        Err(GenerateError::OtherState {
            path: path.to_owned(),
            got: say(state.options()),
            expected: say(asked),
        })
    }
}

/// What it takes to generate: threads, model, tokenizer and a clock in seconds.
#[derive(Clone)]
pub struct Generator<'a> {
    cpu: &'a Cpu,
    decoder: Decoder<'a>,
    tokenizer: &'a Tokenizer,
    clock: &'a dyn Fn() -> f64,
}

impl<'a> Generator<'a> {
    /// Checks that the tokenizer fits the model.
    pub fn new(
        cpu: &'a Cpu,
        model: &'a Model,
        tokenizer: &'a Tokenizer,
        clock: &'a dyn Fn() -> f64,
    ) -> Result<Self> {
        check_tokenizer(model, tokenizer)?;
        Ok(Self { cpu, decoder: Decoder::new(model), tokenizer, clock })
    }

    /// Decodes with packed weights of the model, if there are any.
    #[must_use]
    pub fn with_packed(mut self, packed: Option<&'a Packed>) -> Self {
        self.decoder = self.decoder.with_packed(packed);
        self
    }

    /// How the states of new caches remember.
    #[must_use]
    pub fn with_options(mut self, options: DecodeOptions) -> Self {
        self.decoder = self.decoder.with_options(options);
        self
    }

    /// Ends a generation whose prompt is being read soon after `stop` is raised, as a consumer that breaks does.
    #[must_use]
    pub fn with_stop(mut self, stop: &'a AtomicBool) -> Self {
        self.decoder = self.decoder.with_stop(Some(stop));
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &'a Tokenizer {
        self.tokenizer
    }

    pub(crate) fn cpu(&self) -> &'a Cpu {
        self.cpu
    }

    pub(crate) fn decoder(&self) -> &Decoder<'a> {
        &self.decoder
    }

    /// Positions of the model: no sequence can be longer. Sinusoidal positions have no end.
    pub fn positions(&self) -> usize {
        positions(self.decoder.model())
    }

    /// A fresh cache.
    pub fn cache(&self) -> Cache {
        Cache { state: self.decoder.state(), after: None, prompt: None, keeps_prompt: false }
    }

    /// Whether a request can be tried: its settings are legal, its prompt fits, its biases name tokens of the model.
    pub fn check(&self, request: &Request<'_>) -> Result<()> {
        Sequence::start(self.decoder.model(), self.tokenizer, request).map(|_| ())
    }

    /// Generates. `on_text` is called after every token, with an empty string when a token completes no character, and
    /// between the pieces of a long prompt, so that breaking stops before the next token or piece.
    pub fn generate(
        &self,
        cache: &mut Cache,
        request: &Request<'_>,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion> {
        let (mut sequence, prompt) = Sequence::start(self.decoder.model(), self.tokenizer, request)?;
        if request.sampling.max_tokens == 0 {
            return Ok(sequence.complete(Finish::Length));
        }

        let started = (self.clock)();
        let logits = self.read_prompt(cache, prompt, &mut sequence.stats.reused_tokens, on_text)?;
        let prefilled = (self.clock)();
        sequence.stats.prefill_seconds = prefilled - started;
        let Some(mut logits) = logits else { return Ok(sequence.complete(Finish::Cancelled)) };
        if cache.keeps_prompt {
            cache.prompt = Some((cache.state.clone(), logits.clone()));
        }
        let state = &mut cache.state;

        let finish = loop {
            let (id, over) = match sequence.advance(self.tokenizer, &mut logits, state.ids())? {
                Advance::Stop => break Finish::Stop,
                Advance::Token { id, text, over, .. } => {
                    // A stop string ends the text however the consumer feels about it.
                    if on_text(&text).is_break() && over != Some(Finish::Stop) {
                        break Finish::Cancelled;
                    }
                    (id, over)
                }
            };
            if let Some(finish) = over {
                break finish;
            }
            if state.len() + 1 >= self.positions() {
                if request.policy == ContextPolicy::Refuse {
                    break Finish::ContextFull;
                }
                let rest = slide(state, id);
                sequence.dropped_tokens += state.len() + 1 - rest.len();
                *state = self.decoder.state();
                match self.prefill(state, &rest, on_text)? {
                    Some(after) => logits = after,
                    None => break Finish::Cancelled,
                }
                continue;
            }
            logits = self.decoder.step(self.cpu, state, id)?;
        };
        let rest = if finish == Finish::Cancelled { String::new() } else { sequence.flush() };
        let broke = !rest.is_empty() && on_text(&rest).is_break();
        sequence.stats.decode_seconds = (self.clock)() - prefilled;
        Ok(sequence.complete(if broke { Finish::Cancelled } else { finish }))
    }

    /// The logits after `prompt`, of which the cache may hold a part, or `None` if the consumer breaks.
    fn read_prompt(
        &self,
        cache: &mut Cache,
        prompt: &[u32],
        reused: &mut usize,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>> {
        let state = &mut cache.state;
        // Taken: whatever happens next, the state moves on from where these logits hold.
        if let Some(after) = cache.after.take().filter(|_| state.ids() == prompt) {
            *reused = prompt.len();
            return Ok(Some(after));
        }
        *reused = self.rewind(state, prompt);
        self.prefill(state, &prompt[state.len()..], on_text)
    }

    /// Brings the state back to what it has in common with `prompt`, one token less if that is all of it: logits are
    /// not kept, so one token must be computed anew. Returns how many tokens it keeps.
    fn rewind(&self, state: &mut DecodeState, prompt: &[u32]) -> usize {
        let common = state.ids().iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let reused = common.min(prompt.len() - 1);
        // Too far back for what local layers keep, or all the way: a fresh state takes the prompt in parallel.
        if reused == 0 || state.truncate(reused, self.decoder.model().config()).is_err() {
            *state = self.decoder.state();
        }
        state.len()
    }

    /// Reads `ids` piece by piece; the logits after them, or `None` if the consumer breaks in between.
    pub(crate) fn prefill(
        &self,
        state: &mut DecodeState,
        ids: &[u32],
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>> {
        let mut rest = ids;
        loop {
            let (piece, later) = rest.split_at(self.decoder.next_piece(state, rest.len()));
            let logits = match self.decoder.prefill_piece(self.cpu, state, piece, later.is_empty()) {
                Err(ModelError::Stopped) => return Ok(None),
                logits => logits?,
            };
            if logits.is_some() || on_text("").is_break() {
                return Ok(logits);
            }
            rest = later;
        }
    }
}

/// The tokens that stay when the context is full, `next` the newest of them. Half goes at once: dropping token by token
/// would prefill at every step.
pub(crate) fn slide(state: &DecodeState, next: u32) -> Vec<u32> {
    let all = state.len() + 1;
    state.ids().iter().copied().chain([next]).skip(all / 2).collect()
}

pub(crate) fn check_tokenizer(model: &Model, tokenizer: &Tokenizer) -> Result<()> {
    let (vocab_size, tokens) = (model.config().vocab_size, tokenizer.vocab_size());
    if tokens > vocab_size {
        return Err(GenerateError::TokenOutOfRange { token: tokens as u32 - 1, vocab_size });
    }
    Ok(())
}
