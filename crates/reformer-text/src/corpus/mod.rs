//! Dialogue corpora from files, in the formats that they come in.
//!
//! | format | a file of it |
//! |---|---|
//! | `multiwoz` | MultiWOZ's own `data.json`, or the distribution's zip around it: `{"SNG01.json":{"goal":…,"log":[{"text":…}]}}` |
//! | `sgd` | Schema-Guided Dialogue and MultiWOZ 2.2: `[{"dialogue_id":…,"turns":[{"speaker":"USER","utterance":…}]}]` |
//! | `jsonl` | `{"id":…,"domains":[…],"turns":[{"speaker":"user","text":…}]}` |
//! | `messages` | as OpenAI's fine-tuning files: `{"messages":[{"role":"user","content":…}]}` |
//! | `sharegpt` | `{"conversations":[{"from":"human","value":…},{"from":"gpt","value":…}]}` |
//! | `alpaca` | `{"instruction":…,"input":…,"output":…}` |
//! | `completion` | `{"prompt":…,"completion":…}`, and `question`/`answer` and their like |
//! | `texts` | `{"text":…}`: documents |
//! | `csv` | CSV or TSV with named columns: `user,assistant`, `dialogue_id,speaker,text`, `text`, … |
//! | `text` | lines `name: text` with a blank line between dialogues, else one document |
//!
//! JSON stands on lines, in a list, or printed over many lines. Any of them may be packed with gzip or zstd, or alone
//! in a zip; packing is known by content, not by name. Text is UTF-8, or UTF-16 with its byte order mark. A folder is
//! read file by file. Without a format the content decides, see [`CorpusFormat::detect`]. A file is read whole.
//!
//! Every fault names file and line, what was found, what was expected and what to do; none panics.

mod documents;
mod encoding;
mod folder;
mod foreign;
mod jsonl;
mod loose;
mod messages;
mod multiwoz;
mod pairs;
mod records;
mod schema_guided;
mod script;
mod sharegpt;
mod split;
mod table;
mod unpack;
mod write;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use encoding::utf8;
pub use messages::{ChatMessage, parse_messages, turns_of};
pub use split::Split;
pub use unpack::{parse_text, read_text};
pub use write::{write_dialogues, write_lines};

use self::records::records;
use self::script::Speakers;
use self::unpack::Source;
use crate::{Dialogue, TextError, is_plain_text};

/// How a corpus is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CorpusFormat {
    /// MultiWOZ's `data.json`, also in the distribution's zip.
    MultiWoz,
    /// Schema-Guided Dialogue, MultiWOZ 2.2: `turns` of `speaker` and `utterance`.
    Sgd,
    /// `turns` of `speaker` and `text`.
    Jsonl,
    /// `messages` of `role` and `content`.
    Messages,
    /// `conversations` of `from` and `value`.
    ShareGpt,
    /// `instruction`, `input` and `output`.
    Alpaca,
    /// `prompt` and `completion`.
    Completion,
    /// Documents in `text`.
    Texts,
    /// A table with named columns.
    Csv,
    /// Lines `name: text`, or a document.
    Text,
}

impl CorpusFormat {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::MultiWoz,
        Self::Sgd,
        Self::Jsonl,
        Self::Messages,
        Self::ShareGpt,
        Self::Alpaca,
        Self::Completion,
        Self::Texts,
        Self::Csv,
        Self::Text,
    ];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultiWoz => "multiwoz",
            Self::Sgd => "sgd",
            Self::Jsonl => "jsonl",
            Self::Messages => "messages",
            Self::ShareGpt => "sharegpt",
            Self::Alpaca => "alpaca",
            Self::Completion => "completion",
            Self::Texts => "texts",
            Self::Csv => "csv",
            Self::Text => "text",
        }
    }

    /// The format of `text` in a file called `name` (without `.gz` and the like), or the keys of JSON that no format
    /// has.
    ///
    /// A first JSON object with known keys decides whatever the name; other JSON is a fault in a `.json` or `.jsonl`,
    /// and where the first line is a whole object. `.csv` and `.tsv` are tables, as is what begins with known names
    /// of columns. The rest is text.
    pub fn detect(name: &str, text: &str) -> Result<Self, Vec<String>> {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        if matches!(extension.as_str(), "csv" | "tsv") {
            return Ok(Self::Csv);
        }
        let lines = matches!(extension.as_str(), "jsonl" | "ndjson");
        let start = text.trim_start();
        if !start.starts_with(['{', '[']) {
            return Ok(match extension.as_str() {
                "json" => Self::MultiWoz,
                _ if lines => Self::Jsonl,
                _ if table::looks_like(text) => Self::Csv,
                _ => Self::Text,
            });
        }
        let first = records(text).into_iter().next();
        if let Some(format) = first.and_then(|record| Self::of_keys(record.json, &record.keys()?)) {
            return Ok(format);
        }
        let line = start.lines().next().unwrap_or("");
        let keys = first.and_then(|record| record.keys());
        match keys {
            _ if multiwoz::looks_like(text) => Ok(Self::MultiWoz),
            Some(keys) if !keys.is_empty() && (extension == "json" || lines || line.ends_with('}')) => {
                Err(keys)
            }
            // A broken first line is a fault to report, not a document to train on.
            _ if line.contains("\"messages\"") => Ok(Self::Messages),
            _ if lines || line.contains("\"turns\"") => Ok(Self::Jsonl),
            _ if extension == "json" => Ok(Self::MultiWoz),
            _ => Ok(Self::Text),
        }
    }

    /// By the keys of a record, and of what is in its turns.
    fn of_keys(json: &str, keys: &[String]) -> Option<Self> {
        let has = |wanted: &[&str]| wanted.iter().any(|want| keys.iter().any(|key| key == want));
        Some(match () {
            () if has(&["turns"]) && json.contains("\"utterance\"") && !json.contains("\"text\"") => {
                Self::Sgd
            }
            () if has(&["turns"]) => Self::Jsonl,
            () if has(&["messages"]) => Self::Messages,
            () if has(&["conversations", "conversation"]) => Self::ShareGpt,
            () if has(&["instruction"]) && has(&["output", "response", "answer", "completion"]) => {
                Self::Alpaca
            }
            () if has(&pairs::ASKED) && has(&pairs::ANSWERED) => Self::Completion,
            () if has(&["text", "content", "document"]) => Self::Texts,
            () => return None,
        })
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

/// What was read, and what a person should know about it.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The dialogues, in the order of the files.
    pub dialogues: Vec<Dialogue>,
    /// The files, with the format of each and how many dialogues it gave.
    pub files: Vec<(PathBuf, CorpusFormat, usize)>,
    /// What was replaced, left out or guessed.
    pub notes: Vec<String>,
}

/// All dialogues of a file or a folder, in order.
pub fn read_dialogues(path: &Path, format: Option<CorpusFormat>) -> Result<Vec<Dialogue>, TextError> {
    Ok(read_corpus(path, format)?.dialogues)
}

/// A file or a folder, with what is worth knowing of how it was read.
pub fn read_corpus(path: &Path, format: Option<CorpusFormat>) -> Result<Reading, TextError> {
    read_all(&[path], format, None)
}

/// Several files and folders as one corpus, in order.
pub fn read_corpora<P: AsRef<Path>>(paths: &[P], format: Option<CorpusFormat>) -> Result<Reading, TextError> {
    read_all(paths, format, None)
}

/// The dialogues of a split; only a MultiWOZ corpus with its list files has splits.
pub fn read_split(
    path: &Path,
    format: Option<CorpusFormat>,
    split: Option<Split>,
) -> Result<Vec<Dialogue>, TextError> {
    Ok(read_all(&[path], format, split)?.dialogues)
}

/// The dialogues in `bytes`, packed or not, as if they were the file `name`.
pub fn parse_dialogues(
    name: &Path,
    bytes: Vec<u8>,
    format: Option<CorpusFormat>,
) -> Result<Vec<Dialogue>, TextError> {
    let mut reading = Reading::default();
    reading.add(unpack::unpack(name, bytes)?, format, None)?;
    Ok(reading.dialogues)
}

fn read_all<P: AsRef<Path>>(
    paths: &[P],
    format: Option<CorpusFormat>,
    split: Option<Split>,
) -> Result<Reading, TextError> {
    let mut reading = Reading::default();
    for path in paths.iter().map(AsRef::as_ref) {
        if path.is_dir() {
            let (files, notes) = folder::files(path)?;
            reading.notes.extend(notes);
            for file in files {
                reading.add(unpack::open(&file)?, format, split)?;
            }
        } else {
            reading.add(unpack::open(path)?, format, split)?;
        }
    }
    Ok(reading)
}

impl Reading {
    /// Whether all of it is plain text, see [`is_plain_text`].
    pub fn is_plain_text(&self) -> bool {
        is_plain_text(&self.dialogues)
    }

    fn add(
        &mut self,
        source: Source,
        format: Option<CorpusFormat>,
        split: Option<Split>,
    ) -> Result<(), TextError> {
        let Source { path, mut decoded, lists } = source;
        if decoded.text.trim().is_empty() {
            return Err(TextError::Empty { path, expected: "dialogues or text" });
        }
        foreign::refuse_zeros(&path, &decoded.text)?;
        foreign::refuse_page(&path, &decoded.text)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut notes = Vec::new();
        if decoded.text.trim_start().starts_with(['{', '[']) {
            decoded.surrogates += encoding::mend_surrogates(&mut decoded.text);
        }
        let format = match format {
            Some(format) => format,
            None => CorpusFormat::detect(unpack::unpacked_name(&name), &decoded.text)
                .map_err(|keys| unknown(&path, &keys))?,
        };
        if decoded.wide {
            notes.push("it is UTF-16, and was read as that".to_owned());
        }
        if decoded.surrogates > 0 {
            notes.push(format!("{} halves of surrogate pairs became U+FFFD (�)", decoded.surrogates));
        }
        let text = &decoded.text;
        let dialogues = match format {
            CorpusFormat::MultiWoz => multiwoz::parse(&path, text)?,
            CorpusFormat::Sgd => schema_guided::parse(&path, text)?,
            CorpusFormat::Jsonl => jsonl::parse(&path, text)?,
            CorpusFormat::Messages => messages::parse(&path, text)?,
            CorpusFormat::ShareGpt => sharegpt::parse(&path, text)?,
            CorpusFormat::Alpaca => pairs::parse_alpaca(&path, text)?,
            CorpusFormat::Completion => pairs::parse_completion(&path, text)?,
            CorpusFormat::Texts => documents::parse(&path, text)?,
            CorpusFormat::Csv => {
                let (dialogues, unread) = table::parse(&path, text)?;
                notes.extend(unread);
                dialogues
            }
            CorpusFormat::Text => {
                if let Some(speakers) = Speakers::of(text) {
                    notes.extend(speakers.notes(text));
                    script::parse(&path, text, &speakers)
                } else {
                    notes.extend(documents::suspicion(text));
                    documents::whole(&path, decoded.text)
                }
            }
        };
        if dialogues.is_empty() {
            return Err(TextError::Empty { path, expected: "at least one dialogue or text in it" });
        }
        let plain = is_plain_text(&dialogues);
        if let Some((first, ..)) = self.files.first()
            && plain != is_plain_text(&self.dialogues)
        {
            let (texts, talk) = if plain { (&path, first) } else { (first, &path) };
            return Err(TextError::Mixed { texts: texts.clone(), dialogues: talk.clone() });
        }
        let dialogues = match split {
            Some(split) => lists.select(&path, dialogues, split)?,
            None => dialogues,
        };
        self.notes.extend(notes.into_iter().map(|note| format!("{name}: {note}")));
        self.files.push((path, format, dialogues.len()));
        self.dialogues.extend(dialogues);
        Ok(())
    }
}

/// JSON with keys that no format has.
fn unknown(path: &Path, keys: &[String]) -> TextError {
    let shown: Vec<&str> = keys.iter().take(8).map(String::as_str).collect();
    TextError::Malformed {
        path: path.to_owned(),
        line: 1,
        problem: format!("a JSON object with the keys {}", shown.join(", ")),
        expected: "one with turns, messages, conversations, instruction and output, prompt and completion, or text; \
                   `--format text` reads the file as one text"
            .to_owned(),
    }
}
