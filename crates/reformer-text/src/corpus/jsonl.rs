//! Lines with `turns`: `{"id":"SNG01","domains":["taxi"],"turns":[{"speaker":"user","text":"…"}]}`.
//!
//! `id` and `domains` may be missing, other keys are ignored. In task dialogues the *system* is the side that
//! answers, so `system` is the assistant here, like `assistant`, `agent`, `bot` and `wizard`; `user`, `human`
//! and `customer` are the person; an instruction before the conversation is `instruction`. A turn of `weight` 0 is read
//! and not learned.

use std::path::Path;

use serde::Deserialize;

use super::loose;
use super::records::each_record;
use crate::{Dialogue, Role, TextError, Turn};

#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(default, deserialize_with = "loose::names")]
    domains: Vec<String>,
    turns: Vec<LineTurn>,
}

#[derive(Deserialize)]
struct LineTurn {
    speaker: String,
    text: String,
    #[serde(default = "loose::yes", deserialize_with = "loose::learned", rename = "weight")]
    learned: bool,
}

const EXPECTED: &str = "a JSON object {\"id\": …, \"turns\": [{\"speaker\": \"user\", \"text\": …}, …]}";

/// The speaker's name in files of this format.
pub(super) fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "instruction",
        Role::User => "user",
        Role::Assistant => "system",
    }
}

/// Whose words a speaker's are.
pub(super) fn role_of(speaker: &str) -> Result<Role, String> {
    match speaker.trim().to_ascii_lowercase().as_str() {
        "user" | "human" | "customer" => Ok(Role::User),
        "system" | "assistant" | "agent" | "bot" | "wizard" => Ok(Role::Assistant),
        "instruction" => Ok(Role::System),
        _ => Err(format!("the speaker {speaker:?}, expected \"user\" or \"system\" (or \"instruction\")")),
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    each_record(path, text, EXPECTED, |line, id| {
        let Line { id: own, domains, turns } = line;
        if turns.is_empty() {
            return Err("no turns".to_owned());
        }
        let turns = turns.into_iter().zip(1..).map(|(turn, number)| {
            let role = role_of(&turn.speaker).map_err(|problem| format!("turn {number} has {problem}"))?;
            Ok(Turn { learned: turn.learned, ..Turn::new(role, turn.text) })
        });
        let turns = turns.collect::<Result<_, String>>()?;
        Ok(Dialogue { domains, ..Dialogue::new(own.unwrap_or(id), turns) })
    })
}
