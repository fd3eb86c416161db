//! Tables with named columns: CSV, TSV and their like.
//!
//! | columns | a row is |
//! |---|---|
//! | `user`, `assistant` (or `prompt`/`completion`, `question`/`answer`, `instruction`/`input`/`output`, …; `system`) | a dialogue |
//! | `speaker`, `text` (or `role`, `content`, …), with a `dialogue_id` if there are several | a turn |
//! | `text` | a document |
//!
//! The separator is whichever of comma, tab, semicolon and bar makes known names of the first line. Other columns
//! are not read, which a note says.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{jsonl, pairs};
use crate::{Dialogue, TextError, Turn};

const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];
const SPEAKERS: [&str; 4] = ["speaker", "role", "from", "author"];
const TEXTS: [&str; 5] = ["text", "content", "utterance", "message", "value"];
const IDS: [&str; 6] = ["dialogue_id", "dialog_id", "conversation_id", "session_id", "conversation", "id"];

/// What the columns hold, by their number.
#[derive(Debug)]
enum Columns {
    Turns { id: Option<usize>, speaker: usize, text: usize },
    Pairs { id: Option<usize>, system: Option<usize>, asked: usize, about: Option<usize>, answered: usize },
    Texts { id: Option<usize>, text: usize },
}

impl Columns {
    fn of(names: &[String]) -> Option<Self> {
        let find =
            |wanted: &[&str]| wanted.iter().find_map(|want| names.iter().position(|name| name == want));
        let id = find(&IDS);
        if let (Some(speaker), Some(text)) = (find(&SPEAKERS), find(&TEXTS)) {
            return Some(Self::Turns { id, speaker, text });
        }
        let asked = find(&["instruction", "human", "customer"]).or_else(|| find(&pairs::ASKED));
        let answered = find(&pairs::ANSWERED).or_else(|| find(&["agent", "bot"]));
        // Of `user` and `system` the system answers.
        let (system, answered) = match (find(&["system"]), answered) {
            (system, Some(answered)) => (system, Some(answered)),
            (system, None) => (None, system),
        };
        if let (Some(asked), Some(answered)) = (asked, answered) {
            let about =
                find(&["input", "context"]).filter(|about| *about != asked && names[asked] == "instruction");
            return Some(Self::Pairs { id, system, asked, about, answered });
        }
        // A column that happens to be called so is not yet a table of texts.
        find(&["text", "content", "document"]).map(|text| Self::Texts { id, text })
    }

    fn used(&self) -> Vec<usize> {
        match *self {
            Self::Turns { id, speaker, text } => id.into_iter().chain([speaker, text]).collect(),
            Self::Pairs { id, system, asked, about, answered } => {
                [id, system, about].into_iter().flatten().chain([asked, answered]).collect()
            }
            Self::Texts { id, text } => id.into_iter().chain([text]).collect(),
        }
    }
}

fn names(record: &StringRecord) -> Vec<String> {
    record.iter().map(|name| name.trim().to_lowercase().replace([' ', '-'], "_")).collect()
}

fn header(text: &str, separator: u8) -> Option<Vec<String>> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let mut reader =
        ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(first.as_bytes());
    reader.records().next()?.ok().map(|record| names(&record))
}

/// Whether a text begins with the names of columns that make a table: several of them, and known ones.
pub(super) fn looks_like(text: &str) -> bool {
    SEPARATORS.iter().filter_map(|separator| header(text, *separator)).any(|names| {
        let known = Columns::of(&names);
        names.len() > 1 && known.is_some_and(|columns| columns.used().len() > 1)
    })
}

/// The dialogues, and what was not read.
pub(super) fn parse(path: &Path, text: &str) -> Result<(Vec<Dialogue>, Vec<String>), TextError> {
    let expected = "columns named user and assistant (or prompt and completion, question and answer, instruction and \
                    output), or dialogue_id, speaker and text, or text, in the first line";
    let malformed = |line: u64, problem: String, expected: &str| TextError::Malformed {
        path: path.to_owned(),
        line: line as usize,
        problem,
        expected: expected.to_owned(),
    };
    let found = SEPARATORS.into_iter().find_map(|separator| {
        let names = header(text, separator)?;
        Some((separator, Columns::of(&names)?, names))
    });
    let Some((separator, columns, names)) = found else {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        let first: String = first.chars().take(80).collect();
        return Err(malformed(1, format!("no known column in the first line, {first:?}"), expected));
    };
    let mut reader =
        ReaderBuilder::new().delimiter(separator).trim(Trim::Headers).from_reader(text.as_bytes());
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut dialogues: Vec<Dialogue> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            malformed(
                line,
                error.to_string(),
                "as many fields in every row as in the first line, quoted where they hold the separator",
            )
        })?;
        let line = record.position().map_or(1, csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or("");
        let own = |id: Option<usize>| id.map(field).filter(|id| !id.trim().is_empty());
        let named = |id| own(id).map_or_else(|| format!("{stem}-{line}"), str::to_owned);
        match columns {
            Columns::Texts { id, text } => dialogues.push(Dialogue::of_text(named(id), field(text))),
            Columns::Pairs { id, system, asked, about, answered } => {
                let mut turns = Vec::new();
                turns.extend(system.map(field).filter(|text| !text.trim().is_empty()).map(Turn::system));
                turns.push(Turn::user(pairs::asked(field(asked), about.map(field))));
                turns.push(Turn::assistant(field(answered)));
                dialogues.push(Dialogue::new(named(id), turns));
            }
            Columns::Turns { id, speaker, text } => {
                let role = jsonl::role_of(field(speaker)).map_err(|problem| {
                    malformed(line, problem, "user or system in the column of the speaker")
                })?;
                let turn = Turn::new(role, field(text));
                match dialogues.last_mut() {
                    Some(last) if own(id).is_none_or(|id| id == last.id) => last.turns.push(turn),
                    _ => dialogues.push(Dialogue::new(named(id), vec![turn])),
                }
            }
        }
    }
    if dialogues.is_empty() {
        return Err(malformed(1, "names of columns and no row".to_owned(), "a row a dialogue or a turn"));
    }
    let unused: Vec<&str> =
        (0..names.len()).filter(|at| !columns.used().contains(at)).map(|at| names[at].as_str()).collect();
    let note = (!unused.is_empty()).then(|| format!("columns that are not read: {}", unused.join(", ")));
    Ok((dialogues, note.into_iter().collect()))
}
