//! Dialogue corpora from files, in the formats that they come in.
//!
//! | format | a file of it |
//! |---|---|
//! | `multiwoz` | MultiWOZ's own `data.json`, or the distribution's zip around it: `{"SNG01.json":{"goal":…,"log":[{"text":…}]}}` |
//! | `jsonl` | a line a dialogue: `{"id":…,"domains":[…],"turns":[{"speaker":"user","text":…}]}` |
//! | `messages` | a line a dialogue, as OpenAI's fine-tuning files: `{"messages":[{"role":"user","content":…}]}` |
//! | `text` | lines `name: text` with a blank line between dialogues, else one document |
//!
//! Any of them may be packed with gzip or zstd, or alone in a zip; packing is known by content, not by name.
//! Without a format the content decides, see [`CorpusFormat::detect`]. A file is read whole.
//!
//! Every fault names file and line, what was found, what was expected and what to do; none panics.

mod jsonl;
mod messages;
mod multiwoz;
mod plain_text;
mod source;
mod split;
mod write;

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use source::utf8;
pub use split::Split;
pub use write::{write_dialogues, write_lines};

use self::source::Source;
use crate::{Dialogue, TextError};

/// How a corpus is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CorpusFormat {
    /// MultiWOZ's `data.json`, also in the distribution's zip.
    MultiWoz,
    /// A line a dialogue, with `turns` of `speaker` and `text`.
    Jsonl,
    /// A line a dialogue, with `messages` of `role` and `content`.
    Messages,
    /// Lines `name: text`, or a document.
    Text,
}

impl CorpusFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::MultiWoz, Self::Jsonl, Self::Messages, Self::Text];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultiWoz => "multiwoz",
            Self::Jsonl => "jsonl",
            Self::Messages => "messages",
            Self::Text => "text",
        }
    }

    /// The format of `text` in a file called `name` (without `.gz` and the like).
    ///
    /// `.txt` and `.md` are text. Otherwise a first line that is a JSON object with `turns` or `messages` is
    /// `jsonl` or `messages`; anything else that begins with `{` or `[` is `multiwoz` in a `.json`, a bad
    /// line in a `.jsonl`; the rest is text.
    pub fn detect(name: &str, text: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let extension = extension.to_ascii_lowercase();
        if matches!(extension.as_str(), "txt" | "md" | "text") {
            return Self::Text;
        }
        let lines = matches!(extension.as_str(), "jsonl" | "ndjson");
        let first = text.lines().find(|line| !line.trim().is_empty());
        let first = first.unwrap_or("").trim_start();
        if !lines && !first.starts_with(['{', '[']) {
            return if extension == "json" { Self::MultiWoz } else { Self::Text };
        }
        match jsonl::keys(first) {
            Some(keys) if keys.turns.is_some() => Self::Jsonl,
            Some(keys) if keys.messages.is_some() => Self::Messages,
            _ if lines => Self::Jsonl,
            _ if extension == "json" || multiwoz::looks_like(text) => Self::MultiWoz,
            // A broken first line is a fault to report, not a document to train on.
            _ if first.contains("\"messages\"") => Self::Messages,
            _ if first.contains("\"turns\"") => Self::Jsonl,
            _ => Self::Text,
        }
    }
}

impl FromStr for CorpusFormat {
    type Err = TextError;

    fn from_str(name: &str) -> Result<Self, TextError> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| TextError::UnknownFormat {
            got: name.to_owned(),
            expected: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// All dialogues of a file, in the file's order.
pub fn read_dialogues(path: &Path, format: Option<CorpusFormat>) -> Result<Vec<Dialogue>, TextError> {
    read_split(path, format, None)
}

/// The dialogues of a split; only a MultiWOZ corpus with its list files has splits.
pub fn read_split(
    path: &Path,
    format: Option<CorpusFormat>,
    split: Option<Split>,
) -> Result<Vec<Dialogue>, TextError> {
    parse(source::open(path)?, format, split)
}

/// The dialogues in `bytes`, packed or not, as if they were the file `name`.
pub fn parse_dialogues(
    name: &Path,
    bytes: Vec<u8>,
    format: Option<CorpusFormat>,
) -> Result<Vec<Dialogue>, TextError> {
    parse(source::unpack(name, bytes)?, format, None)
}

fn parse(
    source: Source,
    format: Option<CorpusFormat>,
    split: Option<Split>,
) -> Result<Vec<Dialogue>, TextError> {
    let Source { path, text, lists } = source;
    if text.trim().is_empty() {
        return Err(TextError::Empty {
            path,
            expected: "dialogues (JSON lines, MultiWOZ's data.json, or text)",
        });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let format = format.unwrap_or_else(|| CorpusFormat::detect(source::unpacked_name(&name), &text));
    let dialogues = match format {
        CorpusFormat::MultiWoz => multiwoz::parse(&path, &text)?,
        CorpusFormat::Jsonl => jsonl::parse(&path, &text)?,
        CorpusFormat::Messages => messages::parse(&path, &text)?,
        CorpusFormat::Text => plain_text::parse(&path, &text),
    };
    match split {
        Some(split) => lists.select(&path, dialogues, split),
        None => Ok(dialogues),
    }
}
