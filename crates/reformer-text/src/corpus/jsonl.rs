//! JSON lines with `turns`: `{"id":"SNG01","domains":["taxi"],"turns":[{"speaker":"user","text":"…"}]}`.
//!
//! `id` and `domains` may be missing, other keys are ignored. In task dialogues the *system* is the side that
//! answers, so `system` is the assistant here, like `assistant`, `agent`, `bot` and `wizard`; `user`, `human`
//! and `customer` are the person; an instruction before the conversation is `instruction`.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{Dialogue, Role, TextError, Turn};

/// The keys that tell a line's format.
#[derive(Deserialize)]
pub(super) struct Keys {
    pub(super) turns: Option<IgnoredAny>,
    pub(super) messages: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    domains: Vec<String>,
    turns: Vec<LineTurn>,
}

#[derive(Deserialize)]
struct LineTurn {
    speaker: String,
    text: String,
}

/// The keys of a line, which must be an object: serde would take a list for a struct too.
pub(super) fn keys(line: &str) -> Option<Keys> {
    let object = line.trim_start().starts_with('{');
    object.then(|| serde_json::from_str(line).ok()).flatten()
}

const EXPECTED: &str =
    "a JSON object {\"id\": …, \"turns\": [{\"speaker\": \"user\", \"text\": …}, …]} on one line";

/// The speaker's name in files of this format.
pub(super) fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "instruction",
        Role::User => "user",
        Role::Assistant => "system",
    }
}

fn role_of(speaker: &str) -> Option<Role> {
    match speaker.trim().to_ascii_lowercase().as_str() {
        "user" | "human" | "customer" => Some(Role::User),
        "system" | "assistant" | "agent" | "bot" | "wizard" => Some(Role::Assistant),
        "instruction" => Some(Role::System),
        _ => None,
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    each_line(path, text, EXPECTED, |line, id| {
        let Line { id: own, domains, turns } = line;
        if turns.is_empty() {
            return Err("no turns".to_owned());
        }
        let turns = turns.into_iter().enumerate().map(|(number, turn)| {
            let role = role_of(&turn.speaker).ok_or_else(|| {
                format!(
                    "turn {} has the speaker \"{}\", expected \"user\" or \"system\" (or \"instruction\")",
                    number + 1,
                    turn.speaker
                )
            })?;
            Ok(Turn::new(role, turn.text))
        });
        let turns = turns.collect::<Result<_, String>>()?;
        Ok(Dialogue { domains, ..Dialogue::new(own.unwrap_or(id), turns) })
    })
}

/// A dialogue from every line that is not blank; `make` gets a line and an id made of file and line number.
pub(super) fn each_line<L: for<'a> Deserialize<'a>>(
    path: &Path,
    text: &str,
    expected: &str,
    make: impl Fn(L, String) -> Result<Dialogue, String>,
) -> Result<Vec<Dialogue>, TextError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    let mut dialogues = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |problem: String| TextError::Malformed {
            path: path.to_owned(),
            line: number + 1,
            problem,
            expected: expected.to_owned(),
        };
        if line.trim_start().starts_with('[') {
            return Err(malformed("a JSON list".to_owned()));
        }
        let parsed = serde_json::from_str::<L>(line).map_err(|e| malformed(json_fault(&e)))?;
        let id = format!("{stem}-{}", number + 1);
        dialogues.push(make(parsed, id).map_err(malformed)?);
    }
    Ok(dialogues)
}

/// serde's message, with the column instead of its "line 1".
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    format!("{text} at column {}", error.column())
}
