//! A conversation that goes on by itself, with lookups: the model plays both sides, a host answers its calls.

use std::ops::ControlFlow;

use reformer_text::{Role, Turn};

use super::ChatSession;
use super::lookups::Host;
use crate::dialogue::{DialogueEvent, SelfTalk};
use crate::error::{GenerateError, Result};
use crate::request::Request;
use crate::sequence::{Completion, Finish};
use crate::stats::Stats;

impl ChatSession<'_> {
    /// Plays at most `max_turns` turns, the first of which is `first`, said by the user. The turns that come back are
    /// as they were read, placeholders filled, with what was looked up for them.
    pub fn talk_to_itself(
        &mut self,
        first: &str,
        max_turns: usize,
        host: &mut dyn Host,
        on_event: &mut dyn FnMut(DialogueEvent<'_>) -> ControlFlow<()>,
    ) -> Result<SelfTalk> {
        let mut said = first.trim().to_owned();
        if said.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        let all = self.sampling.max_tokens;
        let (turns, finish, stats) = (vec![Turn::user(said.as_str())], Finish::Length, Stats::default());
        let mut talk = SelfTalk { turns, finish, stats };
        while talk.turns.len() < max_turns {
            self.sampling.max_tokens = all.saturating_sub(talk.stats.generated_tokens);
            if self.sampling.max_tokens == 0 {
                break;
            }
            let role = if talk.turns.len() % 2 == 1 { Role::Assistant } else { Role::User };
            let mut flow = on_event(DialogueEvent::Speaks(role));
            let mut says = |text: &str| {
                if flow.is_continue() && !text.is_empty() {
                    flow = on_event(DialogueEvent::Says(text));
                }
                flow
            };
            let (done, lookups) = if role == Role::Assistant {
                let reply = self.send_with(&said, host, &mut says)?;
                (reply.completion, reply.lookups)
            } else {
                (self.users_turn(&mut says)?, Vec::new())
            };
            talk.stats.add(&done.stats);
            done.text.trim().clone_into(&mut said);
            talk.turns.push(Turn { lookups, ..Turn::new(role, said.as_str()) });
            let closed = done.stop_token.is_some()
                && done.stop_token == self.generator.tokenizer().end_token()
                || said.is_empty();
            if on_event(DialogueEvent::Ends).is_break() || done.finish == Finish::Cancelled {
                talk.finish = Finish::Cancelled;
                break;
            }
            if done.finish != Finish::Stop || closed {
                talk.finish = done.finish;
                break;
            }
        }
        self.sampling.max_tokens = all;
        Ok(talk)
    }

    /// What the user would say next; the conversation stays as it is.
    fn users_turn(&mut self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Completion> {
        let tokenizer = self.generator.tokenizer();
        let mark = tokenizer.role_token(Role::User).ok_or(GenerateError::OneSided)?;
        let chat = tokenizer.encode_chat(&self.conversation.messages_from(0), tokenizer.form(), false)?;
        let prompt: Vec<u32> = tokenizer.end_token().into_iter().chain(chat).chain([mark]).collect();
        let mut sampling = self.sampling.clone();
        sampling.forbid_calls(tokenizer);
        let stop_tokens = tokenizer.stop_tokens(tokenizer.form());
        let request = Request {
            stop_tokens: &stop_tokens,
            first_draw: self.draws,
            policy: self.policy,
            ..Request::new(&prompt, &sampling)
        };
        let done = self.generator.generate(&mut self.cache, &request, on_text)?;
        self.draws += done.ids.len() as u64 + 1;
        self.total.add(&done.stats);
        Ok(done)
    }
}
