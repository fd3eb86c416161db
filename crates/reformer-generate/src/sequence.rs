//! One generation in progress, apart from whoever computes its logits.
//!
//! ```text
//! logits → chain → token → whole characters → next?
//! ```
//! The generator drives one of these, the engine many; both say the same, because everything that decides the text is
//! here, and the draw's address is `(seed, first_draw + tokens so far)`.

use reformer_model::Model;
use reformer_text::Tokenizer;
use serde::Serialize;

use crate::chain::Chain;
use crate::emitter::Emitter;
use crate::error::Result;
use crate::log_probs::LogProbs;
use crate::request::{Request, fit};
use crate::stats::Stats;

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// A stop token or a stop string.
    Stop,
    /// `max_tokens` were generated.
    Length,
    /// The model has no position left.
    ContextFull,
    /// The consumer asked to stop.
    Cancelled,
    /// The time that the request was given is over.
    Deadline,
}

/// One generation, done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Completion {
    /// The text, without the stop string.
    pub text: String,
    /// The tokens, without the stop token; a stop string's tokens are among them.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// The stop token, if one ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_token: Option<u32>,
    /// Tokens dropped from the beginning under [`ContextPolicy::Slide`](crate::ContextPolicy::Slide).
    pub dropped_tokens: usize,
    /// One for each of `ids`, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_probs: Vec<LogProbs>,
    /// Counts and seconds.
    pub stats: Stats,
}

/// What one position's logits led to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Advance {
    /// A token: what it released, and whether the generation is over with it.
    Token { id: u32, text: String, log_probs: Option<LogProbs>, over: Option<Finish> },
    /// A stop token.
    Stop,
}

/// A generation in progress.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    chain: Chain,
    emitter: Emitter,
    stop_tokens: Vec<u32>,
    max_tokens: usize,
    first_draw: u64,
    wanted_log_probs: Option<usize>,
    pub(crate) ids: Vec<u32>,
    stop_token: Option<u32>,
    pub(crate) log_probs: Vec<LogProbs>,
    pub(crate) dropped_tokens: usize,
    pub(crate) stats: Stats,
}

impl Sequence {
    /// Begins what `request` asks of `model`; with the part of its prompt that fits.
    pub(crate) fn start<'p>(
        model: &Model,
        tokenizer: &Tokenizer,
        request: &Request<'p>,
    ) -> Result<(Self, &'p [u32])> {
        let Request { sampling, stop_tokens, .. } = *request;
        let vocab_size = model.config().vocab_size;
        let chain = Chain::new(sampling)?.for_model(tokenizer, vocab_size, stop_tokens)?;
        let prompt = fit(model, request.prompt, request.policy)?;
        let mut emitter = Emitter::new(&sampling.stop);
        emitter.follow(tokenizer, prompt);
        let sequence = Self {
            chain,
            emitter,
            stop_tokens: stop_tokens.to_vec(),
            max_tokens: sampling.max_tokens,
            first_draw: request.first_draw,
            wanted_log_probs: request.log_probs,
            ids: Vec::new(),
            stop_token: None,
            log_probs: Vec::new(),
            dropped_tokens: request.prompt.len() - prompt.len(),
            stats: Stats { prompt_tokens: prompt.len(), ..Stats::default() },
        };
        Ok((sequence, prompt))
    }

    /// Draws a token from `logits`, which it may change; `history` is every token so far, prompt included.
    pub(crate) fn advance(
        &mut self,
        tokenizer: &Tokenizer,
        logits: &mut [f32],
        history: &[u32],
    ) -> Result<Advance> {
        let model = self.wanted_log_probs.map(|n| (n, logits.to_vec()));
        let id = self.chain.sample(logits, history, self.first_draw + self.ids.len() as u64)?;
        if self.stop_tokens.contains(&id) {
            self.stop_token = Some(id);
            return Ok(Advance::Stop);
        }
        let log_probs = model.map(|(n, logits)| LogProbs::new(&logits, id, n));
        self.log_probs.extend(log_probs.clone());
        self.ids.push(id);
        let released = self.emitter.push(tokenizer, id);
        let over = if released.stopped {
            Some(Finish::Stop)
        } else {
            (self.ids.len() >= self.max_tokens).then_some(Finish::Length)
        };
        Ok(Advance::Token { id, text: released.text, log_probs, over })
    }

    /// What was held back in case it became a character or a stop string.
    pub(crate) fn flush(&mut self) -> String {
        self.emitter.flush()
    }

    pub(crate) fn complete(mut self, finish: Finish) -> Completion {
        self.stats.generated_tokens = self.ids.len();
        Completion {
            text: self.emitter.into_text(),
            ids: self.ids,
            finish,
            stop_token: self.stop_token,
            dropped_tokens: self.dropped_tokens,
            log_probs: self.log_probs,
            stats: self.stats,
        }
    }
}
