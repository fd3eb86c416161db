//! A model talking to itself: from a first sentence it plays both sides, turn by turn.
//!
//! ```text
//! course   " Person 1: first Person 2:" → …stops at " Person 1:" → " Person 1:" → …stops at " Person 2:" → …
//! marks    <|end|> <|user|> first <|assistant|> → …stops at a mark → <|user|> → …
//! ```
//! Ends when the model closes the dialogue, after `max_turns` turns, after `max_tokens` in all, or when the consumer
//! breaks. Every turn continues the decode state of the one before.

use std::ops::ControlFlow;

use reformer_text::{Form, Role, Turn};
use serde::Serialize;

use crate::decode::Generator;
use crate::emitter::Lead;
use crate::error::{GenerateError, Result};
use crate::request::{ContextPolicy, Request};
use crate::sampling::Sampling;
use crate::sequence::Finish;
use crate::stats::Stats;

/// What comes of a dialogue while it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DialogueEvent<'e> {
    /// Somebody begins to speak.
    Speaks(Role),
    /// And says this.
    Says(&'e str),
    /// And has spoken.
    Ends,
}

/// A dialogue, done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTalk {
    /// All turns, the first sentence among them.
    pub turns: Vec<Turn>,
    /// Why it ended: [`Finish::Stop`] if the model closed it.
    pub finish: Finish,
    /// Counts and seconds of all turns.
    pub stats: Stats,
}

/// What Person 1 says in a text of the course's form (` Person 1: … Person 2: `), or the text itself.
pub fn first_sentence(text: &str) -> &str {
    let [one, two] = [Role::User, Role::Assistant].map(|role| Form::Course.opening(role).trim());
    let said = text.trim().strip_prefix(one).unwrap_or(text);
    said.split(two).next().unwrap_or(said).trim()
}

impl Generator<'_> {
    /// Plays at most `max_turns` turns, the first of which is `first`, said by the user.
    pub fn talk_to_itself(
        &self,
        first: &str,
        max_turns: usize,
        sampling: &Sampling,
        policy: ContextPolicy,
        on_event: &mut dyn FnMut(DialogueEvent<'_>) -> ControlFlow<()>,
    ) -> Result<SelfTalk> {
        let (tokenizer, form) = (self.tokenizer(), self.tokenizer().form());
        let first = first.trim();
        if first.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        let mut settings = sampling.clone();
        settings.stop.extend(tokenizer.stop_strings(form));
        // Nobody answers calls here, so the model must speak; what it would have looked up stays a placeholder.
        settings.forbid_calls(tokenizer);
        let stop_tokens = tokenizer.stop_tokens(form);
        let mut talk = SelfTalk {
            turns: vec![Turn::new(Role::User, first)],
            finish: Finish::Length,
            stats: Stats::default(),
        };
        let (mut cache, mut draws) = (self.cache(), 0);
        for turn in 1..max_turns {
            settings.max_tokens = sampling.max_tokens.saturating_sub(talk.stats.generated_tokens);
            if settings.max_tokens == 0 {
                break;
            }
            let role = if turn % 2 == 1 { Role::Assistant } else { Role::User };
            let prompt = self.open_turn(&talk.turns, role)?;
            let request = Request {
                stop_tokens: &stop_tokens,
                first_draw: draws,
                policy,
                ..Request::new(&prompt, &settings)
            };
            let mut flow = on_event(DialogueEvent::Speaks(role));
            let mut lead = Lead::default();
            let done = self.generate(&mut cache, &request, &mut |piece| {
                let shown = lead.trim(piece);
                if flow.is_continue() && !shown.is_empty() {
                    flow = on_event(DialogueEvent::Says(shown));
                }
                flow
            })?;
            draws += done.ids.len() as u64 + 1;
            talk.stats.add(&done.stats);
            talk.turns.push(Turn::new(role, done.text.trim()));
            let closed = done.stop_token.is_some() && done.stop_token == tokenizer.end_token();
            if on_event(DialogueEvent::Ends).is_break() || done.finish == Finish::Cancelled {
                talk.finish = Finish::Cancelled;
                break;
            }
            if done.finish != Finish::Stop || closed {
                talk.finish = done.finish;
                break;
            }
        }
        Ok(talk)
    }

    /// The tokens up to where `role` begins to speak.
    fn open_turn(&self, turns: &[Turn], role: Role) -> Result<Vec<u32>> {
        let (tokenizer, form) = (self.tokenizer(), self.tokenizer().form());
        match form {
            Form::Course => {
                let text = form.render(turns) + form.opening(role).trim_end();
                Ok(tokenizer.encode(&text)?)
            }
            Form::Marks => {
                let mark = tokenizer.role_token(role).ok_or(GenerateError::OneSided)?;
                let chat = tokenizer.encode_chat(turns, form, false)?;
                Ok(tokenizer.end_token().into_iter().chain(chat).chain([mark]).collect())
            }
            // A template opens the assistant's turns only, and a text has none.
            Form::Template | Form::Text => Err(GenerateError::OneSided),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn the_courses_prompt_and_plain_text_both_begin_a_dialogue() {
        for text in [
            " Person 1: Are there theatres in town? Person 2: ",
            "Person 1: Are there theatres in town?",
            "Are there theatres in town?",
        ] {
            assert_eq!(first_sentence(text), "Are there theatres in town?");
        }
        assert_eq!(first_sentence("  "), "");
    }
}
