//! `reformer data`: look at dialogue corpora and convert them to JSONL.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use reformer::text::{CorpusFormat, Dialogue, Summary, demo, read_dialogues, write_dialogues, write_lines};

use crate::args::DataCommand;
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{json, number};

/// Dialogues of `demo` that describe and convert show.
const DEMO_DIALOGUES: usize = 2000;

/// Converts or describes.
pub(crate) fn run(command: &DataCommand, terminal: Terminal) -> anyhow::Result<ExitCode> {
    match command {
        DataCommand::Convert { input, output, format, limit } => {
            let mut dialogues = read(input, format.as_deref())?;
            dialogues.truncate(limit.unwrap_or(usize::MAX));
            convert(&dialogues, output.as_deref())?;
            let place = output.as_ref().map_or("stdout".into(), |path| path.display().to_string());
            terminal.say(format_args!("{} dialogues written to {place}", number::count(dialogues.len())));
        }
        DataCommand::Describe { inputs, format, json } => {
            for input in inputs {
                let summary = Summary::of(&read(input, format.as_deref())?);
                if *json {
                    let mut value = serde_json::to_value(&summary)?;
                    value["file"] = input.display().to_string().into();
                    json::line(&value)?;
                } else {
                    describe(input, &summary)?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(input: &Path, format: Option<&str>) -> anyhow::Result<Vec<Dialogue>> {
    let format = format.map(str::parse::<CorpusFormat>).transpose().map_err(usage)?;
    if input == Path::new("demo") && !input.exists() {
        return Ok(demo::dialogues(1, DEMO_DIALOGUES));
    }
    Ok(read_dialogues(input, format)?)
}

fn convert(dialogues: &[Dialogue], output: Option<&Path>) -> anyhow::Result<()> {
    if let Some(path) = output {
        return Ok(write_dialogues(path, dialogues, CorpusFormat::Jsonl)?);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    write_lines(&mut out, dialogues, CorpusFormat::Jsonl)?;
    Ok(out.flush()?)
}

fn describe(input: &Path, s: &Summary) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", input.display())?;
    let count = number::count;
    writeln!(out, "  {:14} {:>12}", "dialogues", count(s.dialogues))?;
    writeln!(out, "  {:14} {:>12}", "turns", count(s.turns))?;
    for (role, counts) in &s.roles {
        writeln!(
            out,
            "    {:12} {:>12}   {} bytes, {} words",
            role.name(),
            count(counts.turns),
            count(counts.bytes),
            count(counts.words)
        )?;
    }
    writeln!(out, "  {:14} {:>12}", "bytes", count(s.bytes))?;
    writeln!(out, "  {:14} {:>12}   {} distinct", "words", count(s.words), count(s.distinct_words))?;
    for (name, p) in [
        ("turns/dialogue", &s.turns_per_dialogue),
        ("bytes/dialogue", &s.bytes_per_dialogue),
        ("bytes/turn", &s.bytes_per_turn),
    ] {
        writeln!(
            out,
            "  {name:14} {:>12.1}   min {}, median {}, 90 % {}, 99 % {}, max {}",
            p.mean, p.min, p.p50, p.p90, p.p99, p.max
        )?;
    }
    if !s.domains.is_empty() {
        let domains = s.domains.iter().map(|(name, n)| format!("{name} {}", count(*n))).collect::<Vec<_>>();
        writeln!(out, "  {:14} {}", "domains", domains.join(", "))?;
    }
    Ok(())
}
