//! Corpora to files: JSON lines with `turns` or with `messages`, packed as the name's ending says.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::CorpusFormat;
use super::jsonl::speaker;
use crate::{Dialogue, TextError};

/// Writes `dialogues` to `path`; `.gz` and `.zst` are packed. The bytes depend on nothing but the dialogues.
///
/// `Jsonl` and `Messages` are lines of JSON, `Text` a script of `user:` and `assistant:`. There is no writer
/// for MultiWOZ's own format, whose annotation a dialogue does not hold.
pub fn write_dialogues(path: &Path, dialogues: &[Dialogue], format: CorpusFormat) -> Result<(), TextError> {
    if format == CorpusFormat::MultiWoz {
        return Err(TextError::UnknownFormat {
            got: "multiwoz (for writing)".to_owned(),
            expected: "jsonl, messages, text".to_owned(),
        });
    }
    let failed = |e| TextError::io("write", path, e);
    let file = File::create(path).map_err(|e| TextError::io("create", path, e))?;
    let out = BufWriter::new(file);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => {
            // No name and no time in the header.
            let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::best());
            write_lines(&mut gzip, dialogues, format).map_err(failed)?;
            gzip.finish().and_then(|mut out| out.flush()).map_err(failed)
        }
        Some("zst") => {
            let mut zstd = zstd::stream::write::Encoder::new(out, 19).map_err(failed)?;
            write_lines(&mut zstd, dialogues, format).map_err(failed)?;
            zstd.finish().and_then(|mut out| out.flush()).map_err(failed)
        }
        _ => {
            let mut out = out;
            write_lines(&mut out, dialogues, format).and_then(|()| out.flush()).map_err(failed)
        }
    }
}

/// Writes `dialogues` to an open stream, unpacked.
pub fn write_lines(
    out: &mut impl Write,
    dialogues: &[Dialogue],
    format: CorpusFormat,
) -> std::io::Result<()> {
    for dialogue in dialogues {
        let turns = dialogue.turns.iter();
        match format {
            CorpusFormat::Text => {
                for turn in turns {
                    let text = turn.text.split_whitespace().collect::<Vec<_>>().join(" ");
                    writeln!(out, "{}: {text}", turn.role.name())?;
                }
                writeln!(out)?;
                continue;
            }
            CorpusFormat::Messages => {
                let messages: Vec<_> =
                    turns.map(|turn| json!({"role": turn.role.name(), "content": turn.text})).collect();
                serde_json::to_writer(&mut *out, &json!({"id": dialogue.id, "messages": messages}))?;
            }
            _ => {
                let turns: Vec<_> =
                    turns.map(|turn| json!({"speaker": speaker(turn.role), "text": turn.text})).collect();
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
