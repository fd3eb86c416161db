//! A dialogue: who said what, in order.
//!
//! The values that every reader returns and every encoder takes. Nothing here knows of files, tokens or
//! templates. In files the words for the two sides differ (`user`/`system` in task dialogues,
//! `user`/`assistant` in chat logs); here the side that a model learns to speak is always
//! [`Role::Assistant`], and [`Role::System`] is an instruction that stands before the conversation.

use serde::{Deserialize, Serialize};

use crate::Lookup;

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, as in the file.
    #[serde(rename = "content")]
    pub text: String,
    /// Whether a model may learn to say this: false where a file gives the turn the weight 0.
    #[serde(skip, default = "yes")]
    pub learned: bool,
    /// What was looked up before these words; only an assistant looks things up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Lookup>,
}

fn yes() -> bool {
    true
}

impl Turn {
    /// A turn of `role` that says `text`.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), learned: true, lookups: Vec::new() }
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
    /// Nobody speaks: this is a text, one turn that is written without a mark or a name before it.
    pub document: bool,
}

impl Dialogue {
    /// A dialogue without domains.
    pub fn new(id: impl Into<String>, turns: Vec<Turn>) -> Self {
        Self { id: id.into(), domains: Vec::new(), turns, document: false }
    }

    /// A text without speakers. It is the model's to learn, so its one turn is the assistant's.
    pub fn of_text(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { document: true, ..Self::new(id, vec![Turn::assistant(text)]) }
    }

    /// UTF-8 bytes of the turns' texts, marks and names not counted.
    pub fn text_bytes(&self) -> usize {
        self.turns.iter().map(|turn| turn.text.len()).sum()
    }
}

/// Whether a corpus is plain text: there is something, and nobody speaks in any of it.
///
/// A model of such a corpus continues texts and does not chat; [`Form::Text`] records it.
pub fn is_plain_text(dialogues: &[Dialogue]) -> bool {
    !dialogues.is_empty() && dialogues.iter().all(|dialogue| dialogue.document)
}

/// How the turns of a dialogue are joined to one token sequence.
///
/// Whatever the form, a [document](Dialogue::document) is its text and nothing before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Special tokens: each turn is its role's mark and its text, the dialogue ends with `<|end|>`.
    #[default]
    Marks,
    /// The course's plain text: ` Person 1: … Person 2: …`, joined without anything between or after.
    Course,
    /// Texts without speakers, each ended by `<|end|>`: a model that learned this continues texts and cannot chat.
    /// Turns, if there are some, are joined by line ends.
    Text,
    /// A stranger's chat template writes all of it, the marks between turns included.
    Template,
}

impl Form {
    /// What stands before a turn's text. In the course's form an instruction has no name, only a space. Texts have
    /// nothing, and what a template writes only the template knows.
    pub fn opening(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::Marks, role) => role.mark(),
            (Self::Course, Role::User) => " Person 1: ",
            (Self::Course, Role::Assistant) => " Person 2: ",
            (Self::Course, Role::System) => " ",
            (Self::Text | Self::Template, _) => "",
        }
    }

    /// The turns as text, special tokens spelled out: what [`crate::Tokenizer::encode_dialogue`] encodes in the forms
    /// other than [`Form::Template`].
    pub fn render(self, turns: &[Turn]) -> String {
        let between = if self == Self::Text { "\n" } else { "" };
        let mut text = String::new();
        for (at, turn) in turns.iter().enumerate() {
            text.push_str(if at > 0 { between } else { "" });
            text.push_str(self.opening(turn.role));
            text.push_str(&turn.text);
        }
        text
    }
}
