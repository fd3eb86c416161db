//! `reformer data`: look at dialogue corpora, convert them, and cut them into parts.

mod describe;
mod ground;
mod split;
mod tables;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reformer::text::{CorpusFormat, Dialogue, Reading, demo, read_corpora, write_dialogues, write_lines};

use crate::args::{DataCommand, Global};
use crate::exit::usage;
use crate::number;
use crate::terminal::Terminal;

/// Dialogues of `demo` that these commands show.
const DEMO_DIALOGUES: usize = 2000;

/// Converts, splits or describes.
pub(crate) fn run(command: &DataCommand, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    match command {
        DataCommand::Convert { inputs, output, to, format, limit } => {
            let to = parse_format(to)?.writable().map_err(usage)?;
            let mut reading = read(inputs, format.as_deref())?;
            warn(&reading, terminal);
            reading.dialogues.truncate(limit.unwrap_or(usize::MAX));
            convert(&reading.dialogues, output.as_deref(), to)?;
            let place = output.as_ref().map_or("stdout".into(), |path| path.display().to_string());
            let count = number::count(reading.dialogues.len());
            terminal.say(format_args!("{count} {} written to {place}", things(&reading)));
        }
        DataCommand::Split { inputs, output, valid, test, to, format } => {
            let to = parse_format(to)?.writable().map_err(usage)?;
            let reading = read(inputs, format.as_deref())?;
            warn(&reading, terminal);
            split::run(&reading.dialogues, (*valid, *test), output, to, global.seed, terminal)?;
        }
        DataCommand::Describe { inputs, format, json } => {
            for input in inputs {
                let reading = read(std::slice::from_ref(input), format.as_deref())?;
                describe::run(input, &reading, *json)?;
            }
        }
        DataCommand::Tables(args) => tables::run(args, terminal)?,
        DataCommand::Ground(args) => ground::run(args, terminal)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_format(name: &str) -> anyhow::Result<CorpusFormat> {
    name.parse().map_err(usage)
}

fn read(inputs: &[PathBuf], format: Option<&str>) -> anyhow::Result<Reading> {
    let format = format.map(parse_format).transpose()?;
    match inputs {
        [only] if only == Path::new("demo") && !only.exists() => {
            let dialogues = demo::dialogues(1, DEMO_DIALOGUES);
            Ok(Reading { dialogues, ..Reading::default() })
        }
        _ => Ok(read_corpora(inputs, format)?),
    }
}

/// Says what was replaced, left out or guessed.
fn warn(reading: &Reading, terminal: Terminal) {
    for note in &reading.notes {
        terminal.say(format_args!("note: {note}"));
    }
}

fn things(reading: &Reading) -> &'static str {
    if reading.is_plain_text() { "texts" } else { "dialogues" }
}

fn convert(dialogues: &[Dialogue], output: Option<&Path>, to: CorpusFormat) -> anyhow::Result<()> {
    // Turns have no place for lookups, messages have.
    let looked_up = dialogues.iter().flat_map(|d| &d.turns).any(|turn| !turn.lookups.is_empty());
    let to = if looked_up && to == CorpusFormat::Jsonl { CorpusFormat::Messages } else { to };
    if let Some(path) = output {
        return Ok(write_dialogues(path, dialogues, to)?);
    }
    let mut out = BufWriter::new(crate::terminal::stdout());
    write_lines(&mut out, dialogues, to)?;
    Ok(out.flush()?)
}
