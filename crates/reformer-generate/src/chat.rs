//! A chat: a conversation, a model and a decode state that grows with it.
//!
//! Every reply renders the whole conversation to tokens and lets the generator find how much of that its state
//! already holds: a new turn appends, a regenerated or undone one truncates, an edited history recomputes from where
//! it differs. A reply ends where the tokenizer's form says: at any role mark, at `<|end|>`, or at ` Person 1:` in
//! plain text.
//!
//! Knows nothing of terminals and files; commands of a REPL are calls here.

mod alone;
pub(crate) mod lookups;

use std::ops::ControlFlow;

use reformer_text::{Form, Lookup, Role, Tokenizer, Turn};
use serde::Serialize;

use crate::chain::Chain;
use crate::conversation::Conversation;
use crate::decode::{Cache, Generator};
use crate::emitter::Lead;
use crate::error::{GenerateError, Result};
use crate::request::{ContextPolicy, Request};
use crate::sampling::Sampling;
use crate::sequence::{Completion, Finish};
use crate::stats::Stats;

/// A reply, with what the context policy did to get it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// The generation.
    #[serde(flatten)]
    pub completion: Completion,
    /// Turns at the beginning that the model no longer sees, because the conversation outgrew its positions.
    pub dropped_turns: usize,
    /// What was looked up for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Lookup>,
}

/// One person talking to one model.
pub struct ChatSession<'a> {
    generator: Generator<'a>,
    conversation: Conversation,
    sampling: Sampling,
    policy: ContextPolicy,
    stop_tokens: Vec<u32>,
    cache: Cache,
    draws: u64,
    last: Stats,
    total: Stats,
}

impl<'a> ChatSession<'a> {
    /// A session over `conversation`, which may already have turns.
    pub fn new(
        generator: Generator<'a>,
        conversation: Conversation,
        sampling: Sampling,
        policy: ContextPolicy,
    ) -> Result<Self> {
        let cache = generator.cache();
        let (last, total) = (Stats::default(), Stats::default());
        let stop_tokens = generator.tokenizer().stop_tokens(generator.tokenizer().form());
        let session =
            Self { generator, conversation, sampling, policy, stop_tokens, cache, draws: 0, last, total };
        session.check(&session.sampling)?;
        Ok(session)
    }

    fn check(&self, sampling: &Sampling) -> Result<()> {
        let (tokenizer, model) = (self.generator.tokenizer(), self.generator.decoder().model());
        Chain::new(sampling)?.for_model(tokenizer, model.config().vocab_size, &self.stop_tokens)?;
        Ok(())
    }

    /// Ends replies at these tokens too: what a checkpoint's settings name beyond its tokenizer.
    #[must_use]
    pub fn with_stop_tokens(mut self, more: &[u32]) -> Self {
        self.stop_tokens.extend(more);
        self
    }

    /// The conversation so far.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// Replaces the conversation; the state keeps what the two have in common.
    pub fn set_conversation(&mut self, conversation: Conversation) {
        self.conversation = conversation;
    }

    /// Starts over under the same system prompt.
    pub fn clear(&mut self) {
        self.conversation.clear();
    }

    /// Starts over under another system prompt; an empty one is none.
    pub fn set_system(&mut self, system: Option<String>) {
        self.conversation = Conversation::new(system);
    }

    /// The sampling settings.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// Changes the sampling settings, if they are legal.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        self.check(&sampling)?;
        if sampling.seed != self.sampling.seed {
            self.draws = 0;
        }
        self.sampling = sampling;
        Ok(())
    }

    /// Says `text` as the user and generates the reply, which joins the conversation.
    ///
    /// A reply that is cancelled keeps what was said; if nothing was, or on an error, the user's turn is taken back.
    pub fn send(&mut self, text: &str, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Reply> {
        self.conversation.push(Role::User, text);
        let reply = self.reply(on_text);
        match &reply {
            Ok(reply) if reply.completion.finish == Finish::Cancelled && reply.completion.text.is_empty() => {
                self.conversation.take_last_exchange();
            }
            Ok(reply) => self.conversation.push(Role::Assistant, reply.completion.text.clone()),
            Err(_) => {
                self.conversation.take_last_exchange();
            }
        }
        reply
    }

    /// Another reply to the last user turn, from fresh draws.
    pub fn regenerate(&mut self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Reply> {
        let before = self.conversation.clone();
        let text =
            self.conversation.take_last_exchange().ok_or(GenerateError::NoTurn("reply to regenerate"))?;
        let reply = self.send(&text, on_text);
        let nothing =
            |reply: &Reply| reply.completion.text.is_empty() && reply.completion.finish == Finish::Cancelled;
        if reply.as_ref().map_or(true, nothing) {
            self.conversation = before;
        }
        reply
    }

    /// Takes the last user turn and its reply back; returns what the user had said.
    pub fn undo(&mut self) -> Result<String> {
        self.conversation.take_last_exchange().ok_or(GenerateError::NoTurn("turn to undo"))
    }

    /// Counts and seconds of the last reply.
    pub fn last_stats(&self) -> Stats {
        self.last
    }

    /// Counts and seconds of the whole session.
    pub fn total_stats(&self) -> Stats {
        self.total
    }

    /// Tokens in the decode state and the model's positions.
    pub fn context(&self) -> (usize, usize) {
        (self.cache.len(), self.generator.positions())
    }

    /// Heap bytes of the decode state.
    pub fn state_bytes(&self) -> usize {
        self.cache.bytes()
    }

    fn reply(&mut self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Reply> {
        let (prompt, dropped_turns) = self.prompt()?;
        let (tokenizer, form) = (self.generator.tokenizer(), self.generator.tokenizer().form());
        let mut sampling = self.sampling.clone();
        sampling.stop.extend(tokenizer.stop_strings(form));
        let request = Request {
            prompt: &prompt,
            sampling: &sampling,
            stop_tokens: &self.stop_tokens,
            first_draw: self.draws,
            policy: self.policy,
            log_probs: None,
        };
        // In the course's plain text the reply begins with the space after ` Person 2:`, which is no part of it.
        let mut lead = Lead::default();
        let mut trimming = |piece: &str| on_text(if form == Form::Course { lead.trim(piece) } else { piece });
        let mut completion = self.generator.generate(&mut self.cache, &request, &mut trimming)?;
        if form == Form::Course {
            let lead = completion.text.len() - completion.text.trim_start().len();
            completion.text.drain(..lead);
        }
        // The draw that ended the reply counts too.
        self.draws += completion.ids.len() as u64 + 1;
        self.last = completion.stats;
        self.total.add(&completion.stats);
        Ok(Reply { completion, dropped_turns, lookups: Vec::new() })
    }

    /// The tokens before the reply, and how many turns were left out to make room.
    fn prompt(&self) -> Result<(Vec<u32>, usize)> {
        let turns = self.conversation.turns();
        let positions = self.generator.positions();
        // Room for a useful reply; a model of few positions gives a quarter of them.
        let reserve = self.sampling.max_tokens.min(positions / 4).max(1);
        let fits = |prompt: &[u32]| {
            self.policy == ContextPolicy::Refuse || prompt.len().saturating_add(reserve) <= positions
        };
        let whole = self.render(&self.conversation.messages_from(0))?;
        if fits(&whole) {
            return Ok((whole, 0));
        }
        // The fewer turns, the fewer tokens: the first that fit are found by halving, since each try renders all of
        // them.
        let users = turns.iter().enumerate().skip(1).filter(|(_, turn)| turn.role == Role::User);
        let starts: Vec<usize> = users.map(|(index, _)| index).collect();
        let (mut low, mut high) = (0, starts.len());
        let mut found = None;
        while low < high {
            let middle = usize::midpoint(low, high);
            let prompt = self.render(&self.conversation.messages_from(starts[middle]))?;
            if fits(&prompt) {
                (high, found) = (middle, Some((prompt, starts[middle])));
            } else {
                low = middle + 1;
            }
        }
        match (found, starts.last()) {
            (Some(found), _) => Ok(found),
            // Only the last turn is left: the generator slides within it.
            (None, Some(&last)) => Ok((self.render(&self.conversation.messages_from(last))?, last)),
            (None, None) => Ok((whole, 0)),
        }
    }

    fn render(&self, turns: &[Turn]) -> Result<Vec<u32>> {
        prompt_of(self.generator.tokenizer(), turns)
    }
}

/// The tokens before the assistant's next reply to these turns.
pub fn prompt_of(tokenizer: &Tokenizer, turns: &[Turn]) -> Result<Vec<u32>> {
    let chat = tokenizer.encode_chat(turns, tokenizer.form(), true)?;
    // Dialogues are trained one after another, each after the `<|end|>` of the one before: the first one too. A
    // foreign template says itself how a conversation begins.
    let templated = tokenizer.form() == Form::Template;
    let opening = tokenizer.end_token().filter(|_| tokenizer.has_marks() && !templated);
    Ok(opening.into_iter().chain(chat).collect())
}
