//! Corpora to files: JSON lines with `turns` or with `messages`, packed as the name's ending says.

use std::io::Write;
use std::path::Path;

use reformer_files::Replacement;
use serde_json::{Value, json};

use super::CorpusFormat;
use super::jsonl::speaker;
use crate::{Dialogue, Form, TextError, Turn};

/// Writes `dialogues` to `path`, whole or not at all; `.gz` and `.zst` are packed. The bytes depend on nothing but the
/// dialogues.
///
/// `Jsonl`, `Messages` and `Texts` are lines of JSON, `Text` a script of `user:` and `assistant:`, or the documents one
/// after another. The other formats are read only.
pub fn write_dialogues(path: &Path, dialogues: &[Dialogue], format: CorpusFormat) -> Result<(), TextError> {
    let format = format.writable()?;
    let failed = |e| TextError::io("write", path, e);
    let mut out = Replacement::create(path).map_err(|e| TextError::io("create", path, e))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => {
            // No name and no time in the header.
            let mut gzip = flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
            write_lines(&mut gzip, dialogues, format).map_err(failed)?;
            gzip.finish().map_err(failed)?;
        }
        Some("zst") => {
            let mut zstd = zstd::stream::write::Encoder::new(&mut out, 19).map_err(failed)?;
            write_lines(&mut zstd, dialogues, format).map_err(failed)?;
            zstd.finish().map_err(failed)?;
        }
        _ => write_lines(&mut out, dialogues, format).map_err(failed)?,
    }
    out.finish().map_err(failed)
}

impl CorpusFormat {
    /// The format itself, if it is one that is written.
    pub fn writable(self) -> Result<Self, TextError> {
        if WRITTEN.contains(&self) {
            return Ok(self);
        }
        Err(TextError::UnknownFormat {
            got: format!("{} (for writing)", self.name()),
            expected: WRITTEN.map(Self::name).join(", "),
        })
    }
}

/// The formats that are written.
const WRITTEN: [CorpusFormat; 4] =
    [CorpusFormat::Jsonl, CorpusFormat::Messages, CorpusFormat::Texts, CorpusFormat::Text];

/// Writes `dialogues` to an open stream, unpacked.
pub fn write_lines(
    out: &mut impl Write,
    dialogues: &[Dialogue],
    format: CorpusFormat,
) -> std::io::Result<()> {
    for dialogue in dialogues {
        let turns = dialogue.turns.iter();
        // A text has no speakers that a line of turns could name.
        let format = match format {
            CorpusFormat::Jsonl | CorpusFormat::Messages if dialogue.document => CorpusFormat::Texts,
            format => format,
        };
        match format {
            CorpusFormat::Texts => {
                let text = Form::Text.render(&dialogue.turns);
                serde_json::to_writer(&mut *out, &json!({"id": dialogue.id, "text": text}))?;
            }
            CorpusFormat::Text if dialogue.document => {
                writeln!(out, "{}", Form::Text.render(&dialogue.turns))?;
                continue;
            }
            CorpusFormat::Text => {
                for turn in turns {
                    let text = turn.text.split_whitespace().collect::<Vec<_>>().join(" ");
                    writeln!(out, "{}: {text}", turn.role.name())?;
                }
                writeln!(out)?;
                continue;
            }
            CorpusFormat::Messages => {
                let messages = crate::messages_of(&dialogue.turns);
                serde_json::to_writer(&mut *out, &json!({"id": dialogue.id, "messages": messages}))?;
            }
            _ => {
                let turns: Vec<_> = turns
                    .map(|turn| weighed(json!({"speaker": speaker(turn.role), "text": turn.text}), turn))
                    .collect();
                serde_json::to_writer(
                    &mut *out,
                    &json!({"id": dialogue.id, "domains": dialogue.domains, "turns": turns}),
                )?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A turn that is not learned says so.
fn weighed(mut json: Value, turn: &Turn) -> Value {
    if !turn.learned {
        json["weight"] = json!(0);
    }
    json
}
