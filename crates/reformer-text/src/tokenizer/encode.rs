//! Dialogues and chats as ids.
//!
//! ```text
//! marks     <|user|> text <|assistant|> text … <|end|>
//! course    " Person 1: text Person 2: text …"            one string, encoded whole
//! text      text <|end|>                                  turns, if there are some, joined by line ends
//! template  whatever the chat template writes
//! ```
//!
//! A document is its text, and in the forms that end a dialogue its `<|end|>`.
//!
//! **Whose token is it?** Every token has a role, which loss weights go by. A text's tokens are its speaker's.
//! What stands *between* two turns (a mark, ` Person 2:`, the final `<|end|>`) belongs to the turn that it
//! ends: whoever speaks decides when to stop, so a model trained on the assistant's tokens alone learns to
//! hand over, and does not learn to open turns that a prompt opens for it. The first mark belongs to its own
//! turn. A token of the course's form that reaches over a border belongs to the turn of its last byte. What a template
//! writes up to where a reply begins belongs to whoever spoke before.

use super::{Kind, Tokenizer, bytes};
use crate::chat_template::Message;
use crate::lookups::compact::{self, Piece, RESULT};
use crate::{ChatTemplate, Dialogue, Form, Role, TextError, Turn};

/// What a token is part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    /// What is said, marks included.
    #[default]
    Words,
    /// A call of the assistant's, the mark that ends it included.
    Call,
    /// What a tool answered, and the mark after it: nobody learns to say that.
    Result,
}

/// A dialogue as ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Whose token each is; as long as `ids`.
    pub roles: Vec<Role>,
    /// Whether a model may learn each, see [`Turn::learned`]; as long as `ids`.
    pub learned: Vec<bool>,
    /// What each is part of; as long as `ids`.
    pub parts: Vec<Part>,
    /// UTF-8 bytes of the turns' texts alone: what bits per byte are counted over.
    pub text_bytes: usize,
    /// Tokens that stand for text which the vocabulary cannot write. Where there are many, bits per byte mean little:
    /// such a token is easy to guess and says nothing of what it stands for.
    pub unknown: usize,
}

/// Who speaks, and whether it is to be learned.
type Speaker = (Role, bool);

fn speaker(turn: &Turn) -> Speaker {
    (turn.role, turn.learned)
}

impl Encoded {
    fn push(&mut self, id: u32, (role, learned): Speaker) {
        self.ids.push(id);
        self.roles.push(role);
        self.learned.push(learned);
        self.parts.push(Part::Words);
    }

    /// What was pushed since `from` is this part.
    fn mark(&mut self, from: usize, part: Part) {
        self.parts[from..].fill(part);
    }

    fn extend(&mut self, ids: impl IntoIterator<Item = u32>, speaker: Speaker) {
        ids.into_iter().for_each(|id| self.push(id, speaker));
    }

    fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.roles.truncate(len);
        self.learned.truncate(len);
        self.parts.truncate(len);
    }
}

impl Tokenizer {
    /// A whole dialogue as ids, with a role for every token.
    pub fn encode_dialogue(&self, dialogue: &Dialogue, form: Form) -> Result<Encoded, TextError> {
        let turns = dialogue.turns.as_slice();
        let mut encoded = match form {
            _ if dialogue.document => self.encode_joined(turns, Form::Text)?,
            Form::Marks => self.encode_marks(turns)?,
            Form::Course | Form::Text => {
                require_no_lookups(turns)?;
                self.encode_joined(turns, form)?
            }
            Form::Template => self.encode_by_template(turns)?,
        };
        if matches!(form, Form::Marks | Form::Text) {
            let end = self.end.ok_or(TextError::NoMark { token: super::END })?;
            let last = turns.last().map_or((Role::Assistant, true), speaker);
            encoded.push(end, last);
        }
        encoded.text_bytes = dialogue.text_bytes();
        if let Some(unknown) = self.unknown_token() {
            encoded.unknown = encoded.ids.iter().filter(|id| **id == unknown).count();
        }
        Ok(encoded)
    }

    /// A conversation as a prompt. With `open_reply` it ends where the assistant's next turn begins, else
    /// after the last turn's text.
    ///
    /// The forms with marks and of a template go through the chat template. The texts of turns are encoded as plain
    /// text even where they spell a special token; what the template itself writes is parsed for them.
    pub fn encode_chat(&self, turns: &[Turn], form: Form, open_reply: bool) -> Result<Vec<u32>, TextError> {
        match form {
            Form::Marks | Form::Template => {
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
                require_no_lookups(turns)?;
                let mut text = form.render(turns);
                if open_reply {
                    text.push_str(form.opening(Role::Assistant).trim_end());
                }
                self.encode(&text)
            }
            Form::Text => self.encode(&form.render(turns)),
        }
    }

    fn require_marks(&self) -> Result<(), TextError> {
        match Role::ALL.iter().find(|role| self.role_token(**role).is_none()) {
            Some(role) => Err(TextError::NoMark { token: role.mark() }),
            None => Ok(()),
        }
    }

    fn encode_marks(&self, turns: &[Turn]) -> Result<Encoded, TextError> {
        self.require_marks()?;
        self.require_lookups(turns)?;
        let mut encoded = Encoded::default();
        let mut before = turns.first().map_or((Role::Assistant, true), speaker);
        for turn in turns {
            encoded.extend(self.role_token(turn.role), before);
            before = speaker(turn);
            for lookup in &turn.lookups {
                let call = encoded.ids.len();
                self.encode_pieces(&compact::render(&lookup.call), &mut |id| encoded.push(id, before))?;
                encoded.extend(self.special_token(RESULT), before);
                encoded.mark(call, Part::Call);
                let result = encoded.ids.len();
                self.each_token(&lookup.said(), |id, _| encoded.push(id, before))?;
                encoded.extend(self.role_token(turn.role), before);
                encoded.mark(result, Part::Result);
            }
            if turn.role == Role::Assistant && self.has_lookups() {
                self.encode_pieces(&compact::split(&turn.text), &mut |id| encoded.push(id, before))?;
            } else {
                self.each_token(&turn.text, |id, _| encoded.push(id, before))?;
            }
        }
        Ok(encoded)
    }

    /// Text, in which the special tokens among the pieces are one token each where the vocabulary has them.
    fn encode_pieces(&self, pieces: &[Piece<'_>], push: &mut dyn FnMut(u32)) -> Result<(), TextError> {
        for piece in pieces {
            match piece {
                Piece::Special(name) => match self.special_token(name) {
                    Some(id) => push(id),
                    None => self.each_token(name, |id, _| push(id))?,
                },
                Piece::Text(text) => self.each_token(text, |id, _| push(id))?,
            }
        }
        Ok(())
    }

    /// The call that a model wrote, given as ids without the mark that ends it; an error says what is wrong with it.
    pub fn parse_call(&self, ids: &[u32]) -> Result<crate::Call, String> {
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        let mut text = 0;
        let flush = |from: usize, to: usize, pieces: &mut Vec<Piece<'_>>| {
            if from < to {
                pieces.push(Piece::Text(self.decode(&ids[from..to]).into()));
            }
        };
        for (at, &id) in ids.iter().enumerate() {
            if let Some(name) = self.special_name(id) {
                flush(text, at, &mut pieces);
                pieces.push(Piece::Special(name.into()));
                text = at + 1;
            }
        }
        flush(text, ids.len(), &mut pieces);
        compact::parse(&pieces)
    }

    /// Whether a reply that begins with this token is a call.
    pub fn begins_call(&self, id: u32) -> bool {
        self.call_tokens().contains(&id)
    }

    /// The tokens that begin a call.
    pub fn call_tokens(&self) -> Vec<u32> {
        let tools = compact::TOOLS.iter().map(|tool| format!("<|{tool}|>"));
        tools.chain([compact::OTHER.to_owned()]).filter_map(|mark| self.special_token(&mark)).collect()
    }

    fn require_lookups(&self, turns: &[Turn]) -> Result<(), TextError> {
        if turns.iter().all(|turn| turn.lookups.is_empty()) || self.has_lookups() {
            return Ok(());
        }
        Err(TextError::NoLookups {
            problem: "this tokenizer has no tokens for them",
            advice: "train a tokenizer on dialogues with lookups",
        })
    }

    /// The forms that are one string.
    fn encode_joined(&self, turns: &[Turn], form: Form) -> Result<Encoded, TextError> {
        // Spans as (end byte, speaker), in order; the space after ` Person 2:` is the first thing that the new
        // speaker says, because a prompt ends before it.
        let mut spans: Vec<(usize, Speaker)> = Vec::new();
        let mut before = turns.first().map_or((Role::Assistant, true), speaker);
        let mut end = 0;
        let between = usize::from(form == Form::Text);
        for (at, turn) in turns.iter().enumerate() {
            end += if at > 0 { between } else { 0 };
            let opening = form.opening(turn.role);
            spans.push((end + opening.trim_end().len(), before));
            before = speaker(turn);
            end += opening.len() + turn.text.len();
            spans.push((end, before));
        }
        let mut at = 0;
        let mut encoded = Encoded::default();
        let mut take = |id, end| {
            while at + 1 < spans.len() && spans[at].0 < end {
                at += 1;
            }
            encoded.push(id, spans[at].1);
        };
        match turns {
            // A book is not copied to be joined with nothing.
            [only] if form == Form::Text => self.each_token(&only.text, take)?,
            _ => self.each_token(&form.render(turns), &mut take)?,
        }
        Ok(encoded)
    }

    /// Renders the dialogue turn by turn: what a turn adds is its speaker's, but for what opens an assistant's reply.
    fn encode_by_template(&self, turns: &[Turn]) -> Result<Encoded, TextError> {
        let mut encoded = Encoded::default();
        let mut before = turns.first().map_or((Role::Assistant, true), speaker);
        for (at, turn) in turns.iter().enumerate() {
            if turn.role == Role::Assistant && at > 0 {
                let opened = self.encode_chat(&turns[..at], Form::Template, true)?;
                lengthen(&mut encoded, &opened, before);
            }
            before = speaker(turn);
            let written = self.encode_chat(&turns[..=at], Form::Template, false)?;
            lengthen(&mut encoded, &written, before);
        }
        Ok(encoded)
    }

    fn each_token(&self, text: &str, mut take: impl FnMut(u32, usize)) -> Result<(), TextError> {
        match &self.kind {
            Kind::Bytes => {
                bytes::encode(text).into_iter().zip(1..).for_each(|(id, end)| take(id, end));
                Ok(())
            }
            Kind::Pixels(_) => Err(TextError::NotText),
            Kind::HuggingFace(inner) => inner.each_token(text, take),
        }
    }

    /// Renders with the first characters of specials inside turns replaced by characters that no turn holds, splits at
    /// the specials that are left, and puts the characters back: the template may trim, join, cut or repeat contents
    /// as it likes.
    fn encode_rendered(
        &self,
        template: &ChatTemplate,
        turns: &[Turn],
        open_reply: bool,
    ) -> Result<Vec<u32>, TextError> {
        self.require_lookups(turns)?;
        let specials = self.special_tokens();
        let mut openers: Vec<char> = specials.iter().filter_map(|(name, _)| opener(name)).collect();
        openers.sort_unstable();
        openers.dedup();
        let mut free = (0xF_0000..=0x10_FFFD)
            .filter_map(char::from_u32)
            .filter(|&c| !turns.iter().any(|turn| mentions(turn, c)));
        let stand_ins: Vec<(char, char)> = openers.into_iter().zip(&mut free).collect();
        let guard = |c| stand_ins.iter().find(|(opener, _)| *opener == c).map_or(c, |found| found.1);
        // What the assistant's own pieces say stays whole; everybody else's text is only text.
        let assemble = |pieces: &[Piece<'_>]| {
            let mut content = String::new();
            for piece in pieces {
                match piece {
                    Piece::Special(name) if self.special_token(name).is_some() => content.push_str(name),
                    Piece::Special(text) | Piece::Text(text) => content.extend(text.chars().map(guard)),
                }
            }
            content
        };
        let mut guarded = Vec::with_capacity(turns.len());
        for (number, turn) in turns.iter().enumerate() {
            for lookup in &turn.lookups {
                guarded.push(Message::new(turn.role.name(), assemble(&compact::render(&lookup.call))));
                guarded.push(Message::new("result", assemble(&[Piece::Text(lookup.said().into())])));
            }
            let awaited = open_reply && number + 1 == turns.len() && !turn.lookups.is_empty();
            if awaited && turn.text.is_empty() {
                break;
            }
            let pieces = match turn.role {
                Role::Assistant if self.has_lookups() => compact::split(&turn.text),
                _ => vec![Piece::Text(turn.text.as_str().into())],
            };
            guarded.push(Message::new(turn.role.name(), assemble(&pieces)));
        }
        let rendered = template.render_messages(&guarded, open_reply)?;
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
                plain.push(stand_ins.iter().find(|(_, mark)| *mark == c).map_or(c, |found| found.0));
                rest = &rest[c.len_utf8()..];
            }
        }
        ids.extend(self.encode(&plain)?);
        Ok(ids)
    }

    fn special_tokens(&self) -> Vec<(String, u32)> {
        match &self.kind {
            Kind::Bytes | Kind::Pixels(_) => (0..self.vocab_size() as u32)
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

/// The character by which a special token typed by a person is told from the template's. White space would be trimmed.
fn opener(name: &str) -> Option<char> {
    name.chars().find(|c| !c.is_whitespace())
}

/// Replaces `encoded` by `ids`; what they have in common keeps its speakers, the rest is `speaker`'s.
fn lengthen(encoded: &mut Encoded, ids: &[u32], speaker: Speaker) {
    let common = encoded.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
    encoded.truncate(common);
    encoded.extend(ids[common..].iter().copied(), speaker);
}

/// Whether the character stands anywhere in a turn.
fn mentions(turn: &Turn, c: char) -> bool {
    let looked_up = turn.lookups.iter().any(|lookup| {
        let called = compact::render(&lookup.call);
        let mut texts = called.iter().map(|piece| match piece {
            Piece::Special(text) | Piece::Text(text) => text,
        });
        lookup.result.contains(c) || texts.any(|text| text.contains(c))
    });
    turn.text.contains(c) || looked_up
}

fn require_no_lookups(turns: &[Turn]) -> Result<(), TextError> {
    match turns.iter().find(|turn| !turn.lookups.is_empty()) {
        Some(_) => Err(TextError::NoLookups {
            problem: "only the form \"marks\" can write them",
            advice: "use the form \"marks\"",
        }),
        None => Ok(()),
    }
}
