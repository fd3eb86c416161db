//! A dialogue: who said what, in order.
//!
//! The values that every reader returns and every encoder takes. Nothing here knows of files, tokens or
//! templates. In files the words for the two sides differ (`user`/`system` in task dialogues,
//! `user`/`assistant` in chat logs); here the side that a model learns to speak is always
//! [`Role::Assistant`], and [`Role::System`] is an instruction that stands before the conversation.

use serde::{Deserialize, Serialize};

/// Whose words a turn holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An instruction that stands before the conversation.
    System,
    /// The person.
    User,
    /// The side a model learns to speak.
    Assistant,
}

impl Role {
    /// All roles, in the order of their marks' ids.
    pub const ALL: [Self; 3] = [Self::System, Self::User, Self::Assistant];

    /// The name that chat templates and `messages` files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The special token that opens a turn of this role: `<|user|>` and so on.
    pub fn mark(self) -> &'static str {
        match self {
            Self::System => "<|system|>",
            Self::User => "<|user|>",
            Self::Assistant => "<|assistant|>",
        }
    }
}

/// One contribution to a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, as in the file.
    #[serde(rename = "content")]
    pub text: String,
}

impl Turn {
    /// A turn of `role` that says `text`.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into() }
    }

    /// A turn of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, text)
    }

    /// A turn of the model's side.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, text)
    }

    /// An instruction.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, text)
    }
}

/// A conversation from its first turn to its last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialogue {
    /// The name it has in its file, or one made from the file's name and its place there.
    pub id: String,
    /// What it is about, where the file says so.
    pub domains: Vec<String>,
    /// The turns, at least one when it comes from a reader.
    pub turns: Vec<Turn>,
}

impl Dialogue {
    /// A dialogue without domains.
    pub fn new(id: impl Into<String>, turns: Vec<Turn>) -> Self {
        Self { id: id.into(), domains: Vec::new(), turns }
    }

    /// UTF-8 bytes of the turns' texts, marks and names not counted.
    pub fn text_bytes(&self) -> usize {
        self.turns.iter().map(|turn| turn.text.len()).sum()
    }
}

/// How the turns of a dialogue are joined to one token sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Special tokens: each turn is its role's mark and its text, the dialogue ends with `<|end|>`.
    #[default]
    Marks,
    /// The course's plain text: ` Person 1: … Person 2: …`, joined without anything between or after.
    Course,
}

impl Form {
    /// What stands before a turn's text. In the course's form an instruction has no name, only a space.
    pub fn opening(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::Marks, role) => role.mark(),
            (Self::Course, Role::User) => " Person 1: ",
            (Self::Course, Role::Assistant) => " Person 2: ",
            (Self::Course, Role::System) => " ",
        }
    }

    /// The dialogue as text, special tokens spelled out: what [`crate::Tokenizer::encode_dialogue`] encodes.
    pub fn render(self, turns: &[Turn]) -> String {
        let mut text = String::new();
        for turn in turns {
            text.push_str(self.opening(turn.role));
            text.push_str(&turn.text);
        }
        text
    }
}
