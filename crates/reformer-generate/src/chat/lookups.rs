//! Replies that look things up: the model calls, a host answers, the model goes on, until it speaks.
//!
//! ```text
//! … <|assistant|> → <|lookup|>{hotel}{hotel.area} north<|result|>   host: "3 ; north"   <|assistant|> → words
//! ```
//! A reply has at most [`CALLS`] calls: after that the tokens that begin one are forbidden, so a model that loops
//! speaks in the end. A call that is none (half of one, a column that is not there) gets a result that says so. The
//! words' placeholders are filled while they stream; the conversation keeps them as the model wrote them, as it was
//! trained on.
//!
//! Who executes calls is the caller's: [`Host`] for a chat, [`said`] for who drives an engine alone.

use std::ops::ControlFlow;

use reformer_text::lookups::compact::{RESULT, inside};
use reformer_text::{Call, Lookup, Role, Tokenizer, Turn};

use super::{ChatSession, Reply};
use crate::error::{GenerateError, Result};
use crate::request::Request;
use crate::sequence::{Completion, Finish};

/// Calls in one reply at most.
pub const CALLS: usize = 6;
/// Tokens of a call at most: a long one is a model that has lost its way.
pub const CALL_TOKENS: usize = 160;
/// A placeholder's bytes at most; longer text in braces is text.
const PLACEHOLDER: usize = 66;

/// Answers calls and fills placeholders.
pub trait Host {
    /// The answer to a call.
    fn answer(&mut self, call: &Call) -> Lookup;

    /// Words with their placeholders filled.
    fn fill(&self, text: &str) -> String;

    /// The conversation is these turns now: one was undone, or another was loaded.
    fn follow(&mut self, turns: &[Turn]);

    /// The conversation stays with these turns: what was booked for turns that are no longer there may be taken back.
    /// Not before: a reply that is drawn anew may fail, and then the old one stands with its booking.
    fn settle(&mut self, turns: &[Turn]) {
        let _ = turns;
    }
}

/// What a completion is.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Words for the person.
    Words(String),
    /// A call for the host.
    Call(Call),
    /// The beginning of a call that is none, and why.
    Broken(String),
}

/// Tells whether a completion is words or a call.
pub fn said(tokenizer: &Tokenizer, completion: &Completion) -> Said {
    if completion.ids.first().is_none_or(|&id| !tokenizer.begins_call(id)) {
        return Said::Words(completion.text.clone());
    }
    if completion.stop_token.is_none() || completion.stop_token != tokenizer.special_token(RESULT) {
        return Said::Broken("the call is not finished".to_owned());
    }
    tokenizer.parse_call(&completion.ids).map_or_else(Said::Broken, Said::Call)
}

impl ChatSession<'_> {
    /// [`ChatSession::send`] with a host for the model's calls. [`Reply::completion`] is of the words, filled; what was
    /// looked up is in [`Reply::lookups`] and in the conversation.
    pub fn send_with(
        &mut self,
        text: &str,
        host: &mut dyn Host,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Reply> {
        self.conversation.push(Role::User, text);
        let reply = self.reply_with(host, on_text);
        match &reply {
            Ok(reply)
                if reply.completion.finish != Finish::Cancelled || !reply.completion.text.is_empty() => {}
            // Nothing was said: the user's turn is taken back with all that was looked up for it.
            _ => {
                self.conversation.take_last_exchange();
                host.follow(self.conversation.turns());
                host.settle(self.conversation.turns());
            }
        }
        reply
    }

    /// [`ChatSession::regenerate`] with a host: the old reply's lookups go with it.
    pub fn regenerate_with(
        &mut self,
        host: &mut dyn Host,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Reply> {
        let before = self.conversation.clone();
        let text =
            self.conversation.take_last_exchange().ok_or(GenerateError::NoTurn("reply to regenerate"))?;
        host.follow(self.conversation.turns());
        self.conversation.push(Role::User, text);
        let reply = self.reply_with(host, on_text);
        let nothing =
            |reply: &Reply| reply.completion.text.is_empty() && reply.completion.finish == Finish::Cancelled;
        if reply.as_ref().map_or(true, nothing) {
            self.conversation = before;
            host.follow(self.conversation.turns());
        }
        host.settle(self.conversation.turns());
        reply
    }

    fn reply_with(
        &mut self,
        host: &mut dyn Host,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Reply> {
        let tokenizer = self.generator.tokenizer();
        let mut lookups: Vec<Lookup> = Vec::new();
        let mut total = crate::stats::Stats::default();
        loop {
            let may_call = lookups.len() < CALLS;
            let call = if may_call { self.call(on_text)? } else { None };
            let Some(done) = call else { break };
            total.add(&done.stats);
            if done.finish == Finish::Cancelled {
                return Ok(Reply { completion: done, dropped_turns: 0, lookups });
            }
            let lookup = match said(tokenizer, &done) {
                Said::Call(call) => host.answer(&call),
                Said::Broken(problem) | Said::Words(problem) => broken(&problem),
            };
            if !lookups.is_empty() {
                self.conversation.pop();
            }
            lookups.push(lookup);
            self.conversation.push_turn(Turn { lookups: lookups.clone(), ..Turn::assistant("") });
        }
        let mut filling = Filling::default();
        let (sampling, kept) = (self.forbidding_calls(), self.sampling.clone());
        self.sampling = sampling;
        let words = self.reply(&mut |piece| {
            let text = filling.push(piece, &*host);
            on_text(&text)
        });
        self.sampling = kept;
        let Reply { mut completion, dropped_turns, .. } = words?;
        if completion.finish != Finish::Cancelled {
            let rest = filling.flush();
            if !rest.is_empty() && on_text(&rest).is_break() {
                completion.finish = Finish::Cancelled;
            }
        }
        if !lookups.is_empty() {
            self.conversation.pop();
        }
        self.conversation
            .push_turn(Turn { lookups: lookups.clone(), ..Turn::assistant(completion.text.clone()) });
        completion.text = host.fill(&completion.text);
        total.add(&completion.stats);
        self.last = total;
        Ok(Reply { completion, dropped_turns, lookups })
    }

    /// The call that the model makes now; none if it speaks. Its first token tells, and is drawn again for the words.
    fn call(&mut self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Option<Completion>> {
        let (prompt, _) = self.prompt()?;
        let tokenizer = self.generator.tokenizer();
        let stop_tokens = tokenizer.stop_tokens(tokenizer.form());
        let within = |max_tokens| crate::Sampling { stop: Vec::new(), max_tokens, ..self.sampling.clone() };
        let (one, all) = (within(1), within(CALL_TOKENS));
        let mut silent = |_: &str| on_text("");
        let request = |sampling| Request {
            stop_tokens: &stop_tokens,
            first_draw: self.draws,
            policy: self.policy,
            ..Request::new(&prompt, sampling)
        };
        let first = self.generator.generate(&mut self.cache, &request(&one), &mut silent)?;
        if first.finish == Finish::Cancelled {
            return Ok(Some(first));
        }
        if first.ids.first().is_none_or(|&id| !tokenizer.begins_call(id)) {
            return Ok(None);
        }
        let done = self.generator.generate(&mut self.cache, &request(&all), &mut silent)?;
        self.draws += done.ids.len() as u64 + 1;
        self.total.add(&done.stats);
        Ok(Some(done))
    }

    fn forbidding_calls(&self) -> crate::Sampling {
        let mut sampling = self.sampling.clone();
        sampling.forbid_calls(self.generator.tokenizer());
        sampling
    }
}

/// A call that is none, with a result that says so.
pub fn broken(problem: &str) -> Lookup {
    let call = Call { tool: "lookup".to_owned(), arguments: serde_json::Map::new() };
    let result = serde_json::json!({"says": format!("not possible : {problem}"), "error": problem});
    Lookup { call, result: result.to_string() }
}

/// Fills words that come in pieces: holds a placeholder back until it is whole.
#[derive(Debug, Default)]
pub struct Filling {
    held: String,
}

impl Filling {
    /// The part of `piece`, and of what was held back, that is certain by now.
    pub fn push(&mut self, piece: &str, host: &dyn Host) -> String {
        self.held.push_str(piece);
        let mut out = String::new();
        while let Some(open) = self.held.find('{') {
            out.extend(self.held.drain(..open));
            match self.held.find('}') {
                Some(close) => {
                    let whole: String = self.held.drain(..=close).collect();
                    out.push_str(&if inside(&whole).is_some() { host.fill(&whole) } else { whole });
                }
                None if self.held.len() < PLACEHOLDER => return out,
                None => out.extend(self.held.drain(..1)),
            }
        }
        out + &std::mem::take(&mut self.held)
    }

    /// What was held back and became no placeholder.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;

    impl Host for Named {
        fn answer(&mut self, _: &Call) -> Lookup {
            broken("nobody is asked")
        }

        fn fill(&self, text: &str) -> String {
            text.replace("{hotel.name}", "Acorn")
        }

        fn follow(&mut self, _: &[Turn]) {}
    }

    #[test]
    fn a_placeholder_in_any_pieces_is_filled_and_other_braces_are_text() {
        let text = "try {hotel.name} or {\"a\": 1} { é } {hotel.name}{";
        for size in 1..8 {
            let characters: Vec<char> = text.chars().collect();
            let mut filling = Filling::default();
            let mut out: String = characters
                .chunks(size)
                .map(|piece| filling.push(&piece.iter().collect::<String>(), &Named))
                .collect();
            out.push_str(&filling.flush());
            assert_eq!(out, "try Acorn or {\"a\": 1} { é } Acorn{", "{size}");
        }
        let long = "{".repeat(200);
        let mut filling = Filling::default();
        assert_eq!(filling.push(&long, &Named) + &filling.flush(), long);
    }
}
