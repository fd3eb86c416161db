//! `reformer data describe`: what a corpus is, for somebody who is about to train on it.

use std::io::{self, Write};
use std::path::Path;

use reformer::text::{Dialogue, Reading, Role, Summary, oddities};
use serde_json::json;

use crate::{json as print, number};

/// Turns of the first dialogue that are shown, and characters of each.
const TURNS: usize = 6;
const CHARACTERS: usize = 62;

/// Prints about one input.
pub(crate) fn run(input: &Path, reading: &Reading, as_json: bool) -> anyhow::Result<()> {
    let summary = Summary::of(&reading.dialogues);
    let odd = oddities(&reading.dialogues);
    if !as_json {
        return Ok(as_text(input, reading, &summary, &odd)?);
    }
    let mut value = serde_json::to_value(&summary)?;
    value["file"] = input.display().to_string().into();
    value["format"] = format(reading).into();
    value["plain_text"] = reading.is_plain_text().into();
    value["assistant_share"] = share(&summary).into();
    value["first"] = reading.dialogues.first().map(|d| json!({"id": d.id, "turns": d.turns})).into();
    value["notes"] = reading.notes.clone().into();
    value["odd"] = odd.into();
    print::line(&value)
}

/// The formats of the files, each once.
fn format(reading: &Reading) -> String {
    let mut names: Vec<&str> = reading.files.iter().map(|(_, format, _)| format.name()).collect();
    names.dedup();
    if names.is_empty() { "made by this program".to_owned() } else { names.join(", ") }
}

/// The assistant's share of the turns, which a model learns to say.
fn share(summary: &Summary) -> f64 {
    let turns = summary.roles.get(&Role::Assistant).map_or(0, |counts| counts.turns);
    turns as f64 / summary.turns.max(1) as f64
}

fn as_text(input: &Path, reading: &Reading, s: &Summary, odd: &[String]) -> io::Result<()> {
    let mut out = crate::terminal::stdout();
    let count = number::count;
    writeln!(out, "{}", input.display())?;
    let files =
        if reading.files.len() > 1 { format!(", {} files", reading.files.len()) } else { String::new() };
    let texts = reading.is_plain_text();
    let plain = if texts { ", plain text: nobody speaks" } else { "" };
    writeln!(out, "  {:14} {}{files}{plain}", "format", format(reading))?;
    writeln!(out, "  {:14} {:>12}", if texts { "texts" } else { "dialogues" }, count(s.dialogues))?;
    if !texts {
        let shared = format!("{:.0} % of them the assistant's", share(s) * 100.0);
        writeln!(out, "  {:14} {:>12}   {shared}", "turns", count(s.turns))?;
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
    }
    writeln!(out, "  {:14} {:>12}", "bytes", count(s.bytes))?;
    writeln!(out, "  {:14} {:>12}   {} distinct", "words", count(s.words), count(s.distinct_words))?;
    let spread = [
        ("turns/dialogue", &s.turns_per_dialogue),
        (if texts { "bytes/text" } else { "bytes/dialogue" }, &s.bytes_per_dialogue),
        ("bytes/turn", &s.bytes_per_turn),
    ];
    for (name, p) in spread.into_iter().filter(|(name, _)| !texts || *name == "bytes/text") {
        writeln!(
            out,
            "  {name:14} {:>12.1}   min {}, median {}, 90 % {}, 99 % {}, max {}",
            p.mean, p.min, p.p50, p.p90, p.p99, p.max
        )?;
    }
    if !s.domains.is_empty() {
        let domains = s.domains.iter().map(|(name, n)| format!("{name} {}", count(*n))).collect::<Vec<_>>();
        writeln!(out, "  {:14} {}", "domains", shown(&domains.join(", "), 500))?;
    }
    if let Some(first) = reading.dialogues.first() {
        first_of(&mut out, first)?;
    }
    let notes: Vec<&String> = reading.notes.iter().chain(odd).collect();
    if !notes.is_empty() {
        writeln!(out, "  odd")?;
    }
    for note in notes {
        writeln!(out, "    {}", shown(note, 500))?;
    }
    Ok(())
}

fn first_of(out: &mut impl Write, dialogue: &Dialogue) -> io::Result<()> {
    writeln!(out, "  the first, {}", shown(&dialogue.id, 40))?;
    for turn in dialogue.turns.iter().take(TURNS) {
        let name = if dialogue.document { "text" } else { turn.role.name() };
        writeln!(out, "    {name:9}  {}", shown(&turn.text, CHARACTERS))?;
    }
    match dialogue.turns.len().saturating_sub(TURNS) {
        0 => Ok(()),
        more => writeln!(out, "    … {more} turns more"),
    }
}

/// The beginning of a text on one line, with nothing in it that a terminal obeys.
fn shown(text: &str, characters: usize) -> String {
    let mut line = String::new();
    let mut rest = text.chars();
    for c in rest.by_ref().take(characters) {
        match c {
            '\n' => line.push('⏎'),
            '\t' => line.push(' '),
            c if c.is_control() => line.push('\u{fffd}'),
            c => line.push(c),
        }
    }
    if rest.next().is_some() {
        line.push('…');
    }
    line
}
