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
//! clock is a function.

use std::ops::ControlFlow;

use reformer_model::{DecodeState, Model};
use reformer_tensor::Cpu;
use reformer_text::{StopStrings, StreamDecoder, Tokenizer};
use serde::Serialize;

use crate::error::{GenerateError, Result};
use crate::sampler::{Chain, Sampling};
use crate::stats::Stats;

/// What to do when the sequence reaches the model's last position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextPolicy {
    /// A prompt that does not fit is an error; a reply ends at the last position.
    #[default]
    Refuse,
    /// The oldest part is dropped and counted in [`Completion::dropped_tokens`].
    Slide,
}

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
}

/// One generation, wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Every token before the reply.
    pub prompt: &'a [u32],
    /// The sampling chain's settings, `max_tokens` and stop strings.
    pub sampling: &'a Sampling,
    /// Tokens that end the reply and are not part of it.
    pub stop_tokens: &'a [u32],
    /// Address of the first draw; a session counts on, so that a regenerated reply differs.
    pub first_draw: u64,
    /// What to do when positions run out.
    pub policy: ContextPolicy,
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
    /// Tokens dropped from the beginning under [`ContextPolicy::Slide`].
    pub dropped_tokens: usize,
    /// Counts and seconds.
    pub stats: Stats,
}

/// A decode state and the tokens it has seen, so that the next prompt computes only what is new.
#[derive(Debug)]
pub struct Cache {
    state: DecodeState,
    ids: Vec<u32>,
}

impl Cache {
    /// Tokens in the state.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the state is fresh.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// What it takes to generate: threads, model, tokenizer and a clock in seconds.
#[derive(Clone, Copy)]
pub struct Generator<'a> {
    cpu: &'a Cpu,
    model: &'a Model,
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
        let vocab_size = model.config().vocab_size;
        if tokenizer.vocab_size() > vocab_size {
            return Err(GenerateError::TokenOutOfRange {
                token: tokenizer.vocab_size() as u32 - 1,
                vocab_size,
            });
        }
        Ok(Self { cpu, model, tokenizer, clock })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &'a Tokenizer {
        self.tokenizer
    }

    /// Positions of the model: no sequence can be longer. Sinusoidal positions have no end.
    pub fn positions(&self) -> usize {
        self.model.config().position_limit().unwrap_or(usize::MAX)
    }

    /// A fresh cache.
    pub fn cache(&self) -> Cache {
        Cache { state: self.model.decode_state(), ids: Vec::new() }
    }

    /// Generates. `on_text` is called after every token, with an empty string when a token completes no character, so
    /// that breaking stops before the next token.
    pub fn generate(
        &self,
        cache: &mut Cache,
        request: &Request<'_>,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion> {
        let sampling = request.sampling;
        let chain =
            Chain::new(sampling)?.suppressing(&[self.tokenizer.pad_token()], self.tokenizer.vocab_size());
        let prompt = self.fit(request)?;
        let mut done = Completion {
            text: String::new(),
            ids: Vec::new(),
            finish: Finish::Length,
            dropped_tokens: request.prompt.len() - prompt.len(),
            stats: Stats { prompt_tokens: prompt.len(), ..Stats::default() },
        };
        if sampling.max_tokens == 0 {
            return Ok(done);
        }

        let started = (self.clock)();
        let (mut logits, reused) = self.prefill(cache, prompt)?;
        done.stats.reused_tokens = reused;
        let prefilled = (self.clock)();
        done.stats.prefill_seconds = prefilled - started;

        let mut out = Emitter::new(&sampling.stop, on_text);
        loop {
            let draw = request.first_draw + done.ids.len() as u64;
            let token = chain.sample(&mut logits, &cache.ids, draw)?;
            if request.stop_tokens.contains(&token) {
                done.finish = Finish::Stop;
                break;
            }
            done.ids.push(token);
            match out.push(&self.tokenizer.token_bytes(token)) {
                Emitted::More => {}
                Emitted::StopString => {
                    done.finish = Finish::Stop;
                    break;
                }
                Emitted::Cancelled => {
                    done.finish = Finish::Cancelled;
                    break;
                }
            }
            if done.ids.len() >= sampling.max_tokens {
                break;
            }
            if cache.ids.len() + 1 >= self.positions() {
                if request.policy == ContextPolicy::Refuse {
                    done.finish = Finish::ContextFull;
                    break;
                }
                // Half of the context goes at once: dropping token by token would prefill at every step.
                cache.ids.push(token);
                let dropped = cache.ids.len() / 2;
                let rest = cache.ids.split_off(dropped);
                done.dropped_tokens += dropped;
                self.rewind(cache, 0);
                logits = self.prefill(cache, &rest)?.0;
                continue;
            }
            logits = self.model.step(self.cpu, &mut cache.state, token)?;
            cache.ids.push(token);
        }
        let (text, cancelled) = out.finish(done.finish != Finish::Cancelled);
        done.text = text;
        if cancelled {
            done.finish = Finish::Cancelled;
        }
        done.stats.generated_tokens = done.ids.len();
        done.stats.decode_seconds = (self.clock)() - prefilled;
        Ok(done)
    }

    /// The part of the prompt that fits, leaving at least one position for the reply.
    fn fit<'p>(&self, request: &Request<'p>) -> Result<&'p [u32]> {
        let (prompt, limit) = (request.prompt, self.positions());
        let vocab_size = self.model.config().vocab_size;
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        if let Some(&token) = prompt.iter().find(|token| **token as usize >= vocab_size) {
            return Err(GenerateError::TokenOutOfRange { token, vocab_size });
        }
        if prompt.len() < limit {
            return Ok(prompt);
        }
        match request.policy {
            ContextPolicy::Refuse => Err(GenerateError::ContextLength { prompt: prompt.len(), limit }),
            // Sliding keeps the newest half, so that the reply has room before it must slide again.
            ContextPolicy::Slide => Ok(&prompt[prompt.len() - (limit / 2).max(1)..]),
        }
    }

    /// Brings the state to `prompt`, reusing the longest common prefix; the logits after its last token and the number
    /// of tokens reused.
    fn prefill(&self, cache: &mut Cache, prompt: &[u32]) -> Result<(Vec<f32>, usize)> {
        let common = cache.ids.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        // One token must be computed anew, because the state keeps keys and not logits.
        let reused = common.min(prompt.len() - 1);
        self.rewind(cache, reused);
        // After a fault the state is as before, and so are the ids beside it.
        let logits = self.model.prefill(self.cpu, &mut cache.state, &prompt[reused..])?;
        cache.ids.extend_from_slice(&prompt[reused..]);
        Ok((logits, reused))
    }

    fn rewind(&self, cache: &mut Cache, len: usize) {
        if len == 0 {
            // A fresh state takes the next prompt in parallel.
            *cache = self.cache();
        } else {
            cache.state.truncate(len);
            cache.ids.truncate(len);
        }
    }
}

enum Emitted {
    More,
    StopString,
    Cancelled,
}

/// Bytes → whole characters → text without stop strings → the consumer.
struct Emitter<'a> {
    decoder: StreamDecoder,
    stops: StopStrings,
    text: String,
    on_text: &'a mut dyn FnMut(&str) -> ControlFlow<()>,
}

impl<'a> Emitter<'a> {
    fn new(stop: &[String], on_text: &'a mut dyn FnMut(&str) -> ControlFlow<()>) -> Self {
        Self {
            decoder: StreamDecoder::new(),
            stops: StopStrings::new(stop.iter().cloned()),
            text: String::new(),
            on_text,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Emitted {
        let whole = self.decoder.push(bytes);
        let released = self.stops.push(&whole);
        self.text.push_str(&released.text);
        let flow = (self.on_text)(&released.text);
        if released.stop.is_some() {
            Emitted::StopString
        } else if flow.is_break() {
            Emitted::Cancelled
        } else {
            Emitted::More
        }
    }

    /// Releases what was held back; the whole text, and whether the consumer broke at the very end.
    fn finish(mut self, emit: bool) -> (String, bool) {
        if !emit || self.stops.stopped() {
            return (self.text, false);
        }
        let tail = self.decoder.flush();
        let mut rest = self.stops.push(&tail).text;
        rest.push_str(&self.stops.flush());
        self.text.push_str(&rest);
        let broke = !rest.is_empty() && (self.on_text)(&rest).is_break();
        (self.text, broke)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the consumer saw, piece by piece, and what the emitter said in the end.
    fn emit(tokens: &[&[u8]], stop: &[&str]) -> (Vec<String>, String, bool) {
        let mut seen = Vec::new();
        let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
        let mut on_text = |piece: &str| {
            seen.push(piece.to_owned());
            ControlFlow::Continue(())
        };
        let mut out = Emitter::new(&stop, &mut on_text);
        let stopped = tokens.iter().any(|bytes| matches!(out.push(bytes), Emitted::StopString));
        let (text, _) = out.finish(true);
        (seen, text, stopped)
    }

    #[test]
    fn an_emoji_split_over_four_tokens_comes_out_whole_at_the_fourth() {
        let train = "🚂".as_bytes();
        let (seen, text, _) = emit(&[&train[..1], &train[1..2], &train[2..3], &train[3..], b"!"], &[]);
        assert_eq!(seen, ["", "", "", "🚂", "!"]);
        assert_eq!(text, "🚂!");
    }

    #[test]
    fn a_character_that_never_ends_becomes_one_replacement_at_the_end() {
        let (seen, text, _) = emit(&[b"a", &"é".as_bytes()[..1]], &[]);
        assert_eq!((seen.concat().as_str(), text.as_str()), ("a\u{fffd}", "a\u{fffd}"));
    }

    #[test]
    fn a_stop_string_that_spans_tokens_is_never_seen() {
        let (seen, text, stopped) = emit(&[b"yes", b" Per", b"son 1", b": no"], &[" Person 1:"]);
        assert!(stopped);
        assert_eq!((seen.concat().as_str(), text.as_str()), ("yes", "yes"));
    }

    #[test]
    fn of_two_stop_strings_where_one_begins_the_other_the_shorter_one_stops() {
        let (seen, _, stopped) = emit(&[b"a", b"E", b"N", b"D", b"."], &["END.", "END"]);
        assert!(stopped);
        assert_eq!(seen.concat(), "a");
    }

    #[test]
    fn the_beginning_of_a_stop_string_that_never_comes_is_released_at_the_end() {
        let (seen, text, stopped) = emit(&[b"a", b"EN"], &["END"]);
        assert!(!stopped);
        assert_eq!((seen.concat().as_str(), text.as_str()), ("aEN", "aEN"));
    }
}
