//! JSON in any layout as records: JSON lines, a list, objects printed over many lines, one after another.
//!
//! A record is a value's own text with the line that it begins on; it is parsed by whoever knows its keys, so that
//! whatever else it holds is never taken apart. Where a first line is a whole object the file is JSON lines, and
//! every line stands for itself: a broken one is reported as the line that it is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{Dialogue, TextError};

/// A JSON value in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'t> {
    /// Its first line, from 1.
    pub(super) line: usize,
    /// Its place: its line in JSON lines, else its number among the records.
    pub(super) number: usize,
    pub(super) json: &'t str,
}

impl Record<'_> {
    /// Its keys, if it is an object: serde would take a list for a struct too.
    pub(super) fn keys(&self) -> Option<Vec<String>> {
        #[allow(
            clippy::zero_sized_map_values,
            reason = "serde reads a map; its values are skipped, not kept"
        )]
        let keys: BTreeMap<String, IgnoredAny> =
            self.json.starts_with('{').then(|| serde_json::from_str(self.json).ok()).flatten()?;
        Some(keys.into_keys().collect())
    }
}

/// The records of a text. A value that does not end is a record up to the text's end, whose parser says so.
pub(super) fn records(text: &str) -> Vec<Record<'_>> {
    let first = text.trim_start();
    let at = text.len() - first.len();
    let end = if first.starts_with('{') { extent(first) } else { None };
    match end {
        Some(end) if !first[..end].contains('\n') => lines(text),
        _ if first.starts_with('[') => listed(text, at),
        _ => values(text, at),
    }
}

fn lines(text: &str) -> Vec<Record<'_>> {
    // Old Macs ended lines with a carriage return alone.
    let separator = if text.contains('\n') { '\n' } else { '\r' };
    let lines = text.split(separator).zip(1..).map(|(json, line)| (json.trim(), line));
    lines
        .filter(|(json, _)| !json.is_empty())
        .map(|(json, line)| Record { line, number: line, json })
        .collect()
}

/// Values one after another, whatever white space is between them.
fn values(text: &str, mut at: usize) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut line = Lines::new(text);
    while at < text.len() {
        let json = &text[at..][..extent(&text[at..]).unwrap_or(text.len() - at)];
        records.push(Record { line: line.of(at), number: records.len() + 1, json: json.trim_end() });
        at = next(text, at + json.len());
    }
    records
}

/// The elements of a list. What breaks the list becomes a record that no parser takes.
fn listed(text: &str, open: usize) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut line = Lines::new(text);
    let mut at = next(text, open + 1);
    while at < text.len() && !text[at..].starts_with(']') {
        let json = &text[at..][..extent(&text[at..]).unwrap_or(text.len() - at)];
        records.push(Record { line: line.of(at), number: records.len() + 1, json: json.trim_end() });
        at = next(text, at + json.len());
        if text[at..].starts_with(',') {
            at = next(text, at + 1);
        }
    }
    // A list that never ends, or something behind it.
    let rest = text.get(at..).unwrap_or("").trim();
    if rest != "]" {
        let json = rest.strip_prefix(']').map_or("", str::trim_start);
        records.push(Record { line: line.of(at.min(text.len())), number: records.len() + 1, json });
    }
    records
}

fn next(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// Bytes of the value that `text` begins with; none if it does not end.
fn extent(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut quoted) = (0_usize, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return Some(if depth == 1 { at + 1 } else { at.max(1) }),
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 && at > 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
    (depth == 0 && !quoted).then_some(bytes.len())
}

/// Line numbers of rising places.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    fn of(&mut self, at: usize) -> usize {
        self.line += self.text[self.at..at].matches('\n').count();
        self.at = at;
        self.line
    }
}

/// A dialogue from every record; `make` gets a record's value and an id made of the file's name and the record's place.
pub(super) fn each_record<L: for<'a> Deserialize<'a>>(
    path: &Path,
    text: &str,
    expected: &str,
    make: impl Fn(L, String) -> Result<Dialogue, String>,
) -> Result<Vec<Dialogue>, TextError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    let mut dialogues: Vec<Dialogue> = Vec::new();
    let mut lines = HashMap::new();
    for record in records(text) {
        let malformed = |line: usize, problem: String| TextError::Malformed {
            path: path.to_owned(),
            line,
            problem,
            expected: expected.to_owned(),
        };
        if record.json.starts_with('[') {
            return Err(malformed(record.line, "a JSON list".to_owned()));
        }
        let parsed = serde_json::from_str::<L>(record.json)
            .map_err(|e| malformed(record.line + e.line().max(1) - 1, fault(record.json, &e)))?;
        let dialogue = make(parsed, format!("{stem}-{}", record.number))
            .map_err(|problem| malformed(record.line, problem))?;
        if let Some(before) = lines.insert(dialogue.id.clone(), record.line) {
            return Err(TextError::Malformed {
                path: path.to_owned(),
                line: record.line,
                problem: format!("the id {:?} is taken by the dialogue on line {before}", dialogue.id),
                expected:
                    "an id of its own for every dialogue; remove the repeated one, or leave the ids out"
                        .to_owned(),
            });
        }
        dialogues.push(dialogue);
    }
    Ok(dialogues)
}

/// serde's message, with the column instead of its line, and what people's files have that JSON has not.
pub(super) fn fault(json: &str, error: &serde_json::Error) -> String {
    for name in ["NaN", "-Infinity", "Infinity"] {
        let bare = |at: usize| json[..at].trim_end().ends_with([':', ',', '[']);
        if json.match_indices(name).any(|(at, _)| bare(at)) {
            return format!(
                "{name}, which JSON does not have (in Python: json.dumps(..., allow_nan=False), or None)"
            );
        }
    }
    if json.ends_with(',') && error.to_string().starts_with("trailing characters") {
        return "a comma behind the object (JSON lines have none; a JSON list stands between [ and ])"
            .to_owned();
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    format!("{text} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, &str)> {
        records(text).into_iter().map(|record| (record.line, record.json)).collect()
    }

    #[test]
    fn lines_lists_and_printed_objects_are_records() {
        assert_eq!(found("\n{\"a\":1}\r\n\n{\"b\":2}"), [(2, "{\"a\":1}"), (4, "{\"b\":2}")]);
        assert_eq!(found("{\"a\":1}\r{\"b\":2}\r"), [(1, "{\"a\":1}"), (2, "{\"b\":2}")]);
        assert_eq!(
            found("[{\"a\":\"]\\\"\"},\n 2, \"x\"]\n"),
            [(1, "{\"a\":\"]\\\"\"}"), (2, "2"), (2, "\"x\"")]
        );
        assert_eq!(found("{\n\"a\":[1]\n}\n{\n}"), [(1, "{\n\"a\":[1]\n}"), (4, "{\n}")]);
        assert_eq!(found("[]"), []);
    }

    #[test]
    fn what_does_not_end_or_stands_behind_a_list_is_a_record_too() {
        assert_eq!(found("[{\"a\":1}, {\"b\""), [(1, "{\"a\":1}"), (1, "{\"b\""), (1, "")]);
        assert_eq!(found("[1] x"), [(1, "1"), (1, "x")]);
        assert_eq!(found("{\"a\":\n"), [(1, "{\"a\":")]);
        assert_eq!(found("]"), [(1, "]")]);
    }
}
