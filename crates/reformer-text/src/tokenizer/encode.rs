//! Dialogues and chats as ids.
//!
//! ```text
//! marks    <|user|> text <|assistant|> text … <|end|>
//! course   " Person 1: text Person 2: text …"            one string, encoded whole
//! ```
//!
//! **Whose token is it?** Every token has a role, which loss weights go by. A text's tokens are its speaker's.
//! What stands *between* two turns (a mark, ` Person 2:`, the final `<|end|>`) belongs to the turn that it
//! ends: whoever speaks decides when to stop, so a model trained on the assistant's tokens alone learns to
//! hand over, and does not learn to open turns that a prompt opens for it. The first mark belongs to its own
//! turn. A token of the course's form that reaches over a border belongs to the turn of its last byte.

use super::{Kind, Tokenizer, bytes};
use crate::{ChatTemplate, Dialogue, Form, Role, TextError, Turn};

/// A dialogue as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Whose token each is; as long as `ids`.
    pub roles: Vec<Role>,
    /// UTF-8 bytes of the turns' texts alone: what bits per byte are counted over.
    pub text_bytes: usize,
}

impl Tokenizer {
    /// A whole dialogue as ids, with a role for every token.
    pub fn encode_dialogue(&self, dialogue: &Dialogue, form: Form) -> Result<Encoded, TextError> {
        let (ids, roles) = match form {
            Form::Marks => self.encode_marks(&dialogue.turns)?,
            Form::Course => self.encode_course(&dialogue.turns)?,
        };
        Ok(Encoded { ids, roles, text_bytes: dialogue.text_bytes() })
    }

    /// A conversation as a prompt. With `open_reply` it ends where the assistant's next turn begins, else
    /// after the last turn's text.
    ///
    /// The form with marks goes through the chat template. The texts of turns are encoded as plain text
    /// even where they spell a special token; what the template itself writes is parsed for them.
    pub fn encode_chat(&self, turns: &[Turn], form: Form, open_reply: bool) -> Result<Vec<u32>, TextError> {
        match form {
            Form::Marks => {
                let fallback;
                let template = if let Some(template) = &self.template {
                    template
                } else {
                    fallback = ChatTemplate::marks();
                    self.require_marks()?;
                    &fallback
                };
                self.encode_rendered(template, turns, open_reply)
            }
            Form::Course => {
                let mut text = form.render(turns);
                if open_reply {
                    text.push_str(form.opening(Role::Assistant).trim_end());
                }
                self.encode(&text)
            }
        }
    }

    fn require_marks(&self) -> Result<(), TextError> {
        match Role::ALL.iter().find(|role| self.role_token(**role).is_none()) {
            Some(role) => Err(TextError::NoMark { token: role.mark() }),
            None => Ok(()),
        }
    }

    fn encode_marks(&self, turns: &[Turn]) -> Result<(Vec<u32>, Vec<Role>), TextError> {
        self.require_marks()?;
        let (mut ids, mut roles) = (Vec::new(), Vec::new());
        let mut speaker = turns.first().map_or(Role::Assistant, |turn| turn.role);
        for turn in turns {
            ids.extend(self.role_token(turn.role));
            roles.push(speaker);
            speaker = turn.role;
            ids.extend(self.encode(&turn.text)?);
            roles.resize(ids.len(), speaker);
        }
        let end = self.end.ok_or(TextError::NoMark { token: super::END })?;
        ids.push(end);
        roles.push(speaker);
        Ok((ids, roles))
    }

    fn encode_course(&self, turns: &[Turn]) -> Result<(Vec<u32>, Vec<Role>), TextError> {
        // Spans as (end byte, role), in order; the space after ` Person 2:` is the first thing that the new
        // speaker says, because a prompt ends before it.
        let mut text = String::new();
        let mut spans: Vec<(usize, Role)> = Vec::new();
        let mut speaker = turns.first().map_or(Role::Assistant, |turn| turn.role);
        for turn in turns {
            let opening = Form::Course.opening(turn.role);
            spans.push((text.len() + opening.trim_end().len(), speaker));
            speaker = turn.role;
            text.push_str(opening);
            text.push_str(&turn.text);
            spans.push((text.len(), speaker));
        }
        let tokens = match &self.kind {
            Kind::Bytes => bytes::encode(&text).into_iter().zip(1..).collect(),
            Kind::HuggingFace(inner) => inner.encode_with_ends(&text)?,
        };
        let mut at = 0;
        let mut ids = Vec::with_capacity(tokens.len());
        let mut roles = Vec::with_capacity(tokens.len());
        for (id, end) in tokens {
            while at + 1 < spans.len() && spans[at].0 < end {
                at += 1;
            }
            ids.push(id);
            roles.push(spans[at].1);
        }
        Ok((ids, roles))
    }

    /// Renders with the specials inside turns broken up by a character that no turn holds, splits at the
    /// specials that are left, and takes the character out again: the template may trim, join or repeat
    /// contents as it likes.
    fn encode_rendered(
        &self,
        template: &ChatTemplate,
        turns: &[Turn],
        open_reply: bool,
    ) -> Result<Vec<u32>, TextError> {
        let specials = self.special_tokens();
        let breaker = (0xF_0000..=0x10_FFFD)
            .filter_map(char::from_u32)
            .find(|&c| !turns.iter().any(|turn| turn.text.contains(c)))
            .ok_or_else(|| TextError::Template {
                reason: "a turn holds every private-use character there is".to_owned(),
            })?;
        let openers: Vec<char> = specials.iter().filter_map(|s| s.0.chars().next()).collect();
        let guarded: Vec<Turn> = turns
            .iter()
            .map(|turn| {
                let mut text = String::with_capacity(turn.text.len());
                for c in turn.text.chars() {
                    text.push(c);
                    if openers.contains(&c) {
                        text.push(breaker);
                    }
                }
                Turn::new(turn.role, text)
            })
            .collect();
        let rendered = template.render(&guarded, open_reply)?;
        let mut ids = Vec::new();
        let mut rest = rendered.as_str();
        let mut plain = String::new();
        while let Some(c) = rest.chars().next() {
            // The longest special that starts here.
            let special = specials
                .iter()
                .filter(|(name, _)| rest.starts_with(name.as_str()))
                .max_by_key(|(name, _)| name.len());
            if let Some((name, id)) = special {
                ids.extend(self.encode(&plain)?);
                plain.clear();
                ids.push(*id);
                rest = &rest[name.len()..];
            } else {
                if c != breaker {
                    plain.push(c);
                }
                rest = &rest[c.len_utf8()..];
            }
        }
        ids.extend(self.encode(&plain)?);
        Ok(ids)
    }

    fn special_tokens(&self) -> Vec<(String, u32)> {
        match &self.kind {
            Kind::Bytes => (0..self.vocab_size() as u32)
                .filter_map(|id| self.special_name(id).map(|name| (name, id)))
                .collect(),
            Kind::HuggingFace(inner) => inner
                .specials()
                .iter()
                .filter(|(_, name)| !name.is_empty())
                .map(|(&id, name)| (name.clone(), id))
                .collect(),
        }
    }
}
