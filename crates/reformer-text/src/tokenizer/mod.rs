//! Text to token ids and back.
//!
//! Three kinds stand behind one type: raw bytes, whatever a `tokenizer.json` describes (our own byte-level
//! BPE among them), and pixels, which are no text at all ([`Raster`]). Nothing here knows of models; a tokenizer is
//! a directory's `tokenizer.json` and `tokenizer_config.json`.
//!
//! | | bytes | our BPE |
//! |---|---|---|
//! | `<\|pad\|>` | 0 | 0 |
//! | `<\|end\|>` | 1 | 1 |
//! | bytes | 2..=257, as google/reformer-enwik8 | 5..=260, in the order of the byte alphabet |
//! | `<\|system\|>` `<\|user\|>` `<\|assistant\|>` | 258 259 260 | 2 3 4 |
//! | merges | – | from 261 |
//!
//! **Special tokens never come out of text.** [`Tokenizer::encode`] reads `<|user|>` as the eight characters
//! that it is; marks enter a sequence only through [`Tokenizer::encode_dialogue`] and
//! [`Tokenizer::encode_chat`], so nobody can speak in another's name by typing a mark.

mod byte_level;
mod bytes;
mod directory;
mod encode;
mod hugging_face;
mod pieces;
mod pixels;
mod stream;
mod train;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

pub use encode::{Encoded, Part};
pub use pixels::Raster;
pub use stream::TokenStream;

use self::hugging_face::HuggingFace;
use crate::lookups::compact::RESULT;
use crate::{ChatTemplate, Form, Role, TextError};

/// The token that fills a row up.
pub const PAD: &str = "<|pad|>";
/// The token that ends a dialogue.
pub const END: &str = "<|end|>";

/// Text to token ids and back, with the marks and the template of a chat.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    kind: Kind,
    marks: BTreeMap<Role, u32>,
    end: Option<u32>,
    pad: Option<u32>,
    form: Form,
    template: Option<ChatTemplate>,
    /// `tokenizer_config.json` as loaded; keys of others survive a round trip.
    config: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone)]
enum Kind {
    Bytes,
    Pixels(Raster),
    HuggingFace(Box<HuggingFace>),
}

impl Tokenizer {
    /// The byte tokenizer: 261 tokens, no file but `tokenizer_config.json`.
    pub fn bytes() -> Self {
        Self {
            kind: Kind::Bytes,
            marks: bytes::MARKS.into_iter().collect(),
            end: Some(bytes::END_ID),
            pad: Some(bytes::PAD_ID),
            form: Form::Marks,
            template: Some(ChatTemplate::marks()),
            config: serde_json::Map::new(),
        }
    }

    /// The 258 byte tokens of google/reformer-enwik8, which has no role marks.
    pub fn bytes_without_marks() -> Self {
        Self { marks: BTreeMap::new(), form: Form::Course, template: None, ..Self::bytes() }
    }

    /// The pixels of images: a token a level of grey, and the one before an image.
    pub fn pixels(raster: Raster) -> Self {
        Self {
            kind: Kind::Pixels(raster),
            marks: BTreeMap::new(),
            end: None,
            pad: Some(raster.opening()),
            form: Form::Text,
            template: None,
            config: serde_json::Map::new(),
        }
    }

    /// What the images are like, if tokens are pixels.
    pub fn raster(&self) -> Option<Raster> {
        match self.kind {
            Kind::Pixels(raster) => Some(raster),
            _ => None,
        }
    }

    /// Trains a byte-level BPE of at most `vocab_size` tokens, special tokens and the 256 bytes included.
    ///
    /// The same texts in the same order give the same `tokenizer.json`. A small corpus may run out of
    /// pairs that occur twice before the vocabulary is full; [`Self::vocab_size`] tells.
    pub fn train_bpe<S: AsRef<str> + Sync>(
        texts: impl IntoIterator<Item = S>,
        vocab_size: usize,
    ) -> Result<Self, TextError> {
        Self::train_bpe_until(texts, &[], vocab_size, &AtomicBool::new(false))
    }

    /// The same with special tokens of the caller's beside the marks, as [`crate::lookups::compact::specials`] lists
    /// them for a corpus with lookups, and given up with [`TextError::Stopped`] soon after `stop` is raised.
    pub fn train_bpe_until<S: AsRef<str> + Sync>(
        texts: impl IntoIterator<Item = S>,
        specials: &[String],
        vocab_size: usize,
        stop: &AtomicBool,
    ) -> Result<Self, TextError> {
        let json = train::byte_level_bpe(texts, specials, vocab_size, stop)?;
        let mut tokenizer = Self::from_json(json, serde_json::Map::new())?;
        tokenizer.template = Some(ChatTemplate::marks());
        Ok(tokenizer)
    }

    /// The same tokens for texts that are read in lower case, whatever they are written in: `tokenizer.json` says so by
    /// its normalizer. What the model writes is as it learned it.
    pub fn reading_lower_case(self) -> Result<Self, TextError> {
        let Kind::HuggingFace(inner) = &self.kind else {
            let reason = "it has no tokenizer.json to say so in".to_owned();
            return Err(TextError::Tokenizer { action: "be made to read lower case", reason });
        };
        let kind =
            Kind::HuggingFace(Box::new(inner.with_normalizer(serde_json::json!({"type": "Lowercase"}))?));
        Ok(Self { kind, ..self })
    }

    /// The ids of `text`, in which marks mean nothing.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        match &self.kind {
            Kind::Bytes => Ok(bytes::encode(text)),
            Kind::Pixels(_) => Err(TextError::NotText),
            Kind::HuggingFace(inner) => inner.encode(text),
        }
    }

    /// The text of `ids`; special tokens and ids beyond the vocabulary are left out, broken characters
    /// become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.kind {
            Kind::HuggingFace(inner) if !inner.is_byte_level() => inner.decode(ids),
            _ => {
                let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.token_bytes(id)).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// The bytes that `id` stands for on its own; none for special tokens and ids beyond the vocabulary. A text that is
    /// generated needs a [`TokenStream`]: in some vocabularies a token's text depends on the tokens before it.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        match &self.kind {
            Kind::Bytes => bytes::of_id(id).into_iter().collect(),
            Kind::Pixels(_) => Vec::new(),
            Kind::HuggingFace(inner) => inner.token_bytes(id).to_vec(),
        }
    }

    /// A token for the eye: its text, a special token's name, or `<0xe2>` for a piece of a character.
    pub fn token_name(&self, id: u32) -> String {
        if let Some(name) = self.special_name(id) {
            return name;
        }
        let bytes = self.token_bytes(id);
        match std::str::from_utf8(&bytes) {
            Ok("") => format!("<{id}>"),
            Ok(text) => text.to_owned(),
            Err(_) => {
                let named = bytes.iter().map(|byte| format!("<0x{byte:02x}>"));
                named.collect::<Vec<_>>().concat()
            }
        }
    }

    fn special_name(&self, id: u32) -> Option<String> {
        match &self.kind {
            Kind::Bytes if id == bytes::PAD_ID => Some(PAD.to_owned()),
            Kind::Bytes if id == bytes::END_ID => Some(END.to_owned()),
            Kind::Bytes => {
                self.marks.iter().find_map(|(role, &mark)| (mark == id).then(|| role.mark().to_owned()))
            }
            Kind::Pixels(raster) => (id == raster.opening()).then(|| pixels::IMAGE.to_owned()),
            Kind::HuggingFace(inner) => inner.special_name(id).map(str::to_owned),
        }
    }

    /// The id of a special token of this name.
    pub fn special_token(&self, name: &str) -> Option<u32> {
        match &self.kind {
            Kind::Bytes | Kind::Pixels(_) => None,
            Kind::HuggingFace(inner) => inner.id_of(name).filter(|&id| inner.special_name(id).is_some()),
        }
    }

    /// Whether a model with these tokens can look things up.
    pub fn has_lookups(&self) -> bool {
        self.has_marks() && self.special_token(RESULT).is_some()
    }

    /// One more than the largest id. A model's vocabulary may be larger, never smaller.
    pub fn vocab_size(&self) -> usize {
        match &self.kind {
            Kind::Bytes if self.marks.is_empty() => bytes::VOCAB_WITHOUT_MARKS,
            Kind::Bytes => bytes::VOCAB,
            Kind::Pixels(raster) => raster.vocab_size(),
            Kind::HuggingFace(inner) => inner.vocab_size(),
        }
    }

    /// The mark of a role; none in foreign tokenizers without it.
    pub fn role_token(&self, role: Role) -> Option<u32> {
        self.marks.get(&role).copied()
    }

    /// The token that ends a dialogue: ours, or a foreign tokenizer's end of sequence.
    pub fn end_token(&self) -> Option<u32> {
        self.end
    }

    /// The token that fills rows up; 0 where a foreign tokenizer names none.
    pub fn pad_token(&self) -> u32 {
        self.pad.unwrap_or(0)
    }

    /// The token that the tokenizer itself names as padding.
    pub fn padding(&self) -> Option<u32> {
        self.pad
    }

    /// The token that stands for text which the vocabulary cannot write; byte tokenizers need none.
    pub fn unknown_token(&self) -> Option<u32> {
        match &self.kind {
            Kind::Bytes | Kind::Pixels(_) => None,
            Kind::HuggingFace(inner) => inner.unknown(),
        }
    }

    /// Whether a conversation can be put to a model of this tokenizer: it says how one is written, and the model did
    /// not learn plain text.
    pub fn can_chat(&self) -> bool {
        self.form != Form::Text && (self.has_marks() || self.template.is_some())
    }

    /// Whether all three roles have a mark.
    pub fn has_marks(&self) -> bool {
        Role::ALL.iter().all(|role| self.marks.contains_key(role))
    }

    /// `bytes`, `pixels`, or the model of `tokenizer.json`: `BPE`, `Unigram`, `WordPiece`, `WordLevel`.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Kind::Bytes => "bytes",
            Kind::Pixels(_) => "pixels",
            Kind::HuggingFace(inner) => inner.model(),
        }
    }

    /// How the dialogues that a model of this directory learned were joined.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Records the form in `tokenizer_config.json`, so that a chat uses what training used.
    pub fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// The chat template, where there is one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// Replaces the chat template.
    pub fn set_template(&mut self, template: ChatTemplate) {
        self.template = Some(template);
    }

    /// The tokens that end a reply: the end of the dialogue, and where turns are marked any role's mark and
    /// the mark that ends a call.
    pub fn stop_tokens(&self, form: Form) -> Vec<u32> {
        let marked = matches!(form, Form::Marks | Form::Template);
        let marks = self.marks.values().copied().filter(|_| marked);
        let result = self.special_token(RESULT).filter(|_| marked);
        self.end.into_iter().chain(marks).chain(result).collect()
    }

    /// The strings that end a reply in the course's form, where turns are plain text.
    pub fn stop_strings(&self, form: Form) -> Vec<String> {
        match form {
            Form::Marks | Form::Text | Form::Template => Vec::new(),
            Form::Course => {
                [Role::User, Role::Assistant].map(|role| form.opening(role).trim_end().to_owned()).to_vec()
            }
        }
    }
}
