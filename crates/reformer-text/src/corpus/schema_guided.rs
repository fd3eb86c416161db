//! Schema-Guided Dialogue (Rastogi and others 2020) and MultiWOZ 2.2, which has its form: a list in each of several
//! files.
//!
//! ```text
//! [{"dialogue_id": "1_00000", "services": ["Restaurants_1"],
//!   "turns": [{"speaker": "USER", "utterance": "…", "frames": […]}, {"speaker": "SYSTEM", "utterance": "…"}]}]
//! ```
//!
//! The services are the domains. Of the annotation nothing is kept.

use std::path::Path;

use serde::Deserialize;

use super::records::each_record;
use super::{jsonl, loose};
use crate::{Dialogue, TextError, Turn};

#[derive(Deserialize)]
struct Entry {
    #[serde(default, deserialize_with = "loose::id")]
    dialogue_id: Option<String>,
    #[serde(default, deserialize_with = "loose::names")]
    services: Vec<String>,
    turns: Vec<EntryTurn>,
}

#[derive(Deserialize)]
struct EntryTurn {
    speaker: String,
    utterance: String,
}

const EXPECTED: &str =
    "a list of {\"dialogue_id\": …, \"turns\": [{\"speaker\": \"USER\", \"utterance\": …}, …]}";

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    each_record(path, text, EXPECTED, |entry: Entry, id| {
        if entry.turns.is_empty() {
            return Err("no turns".to_owned());
        }
        let turns = entry.turns.into_iter().zip(1..).map(|(turn, number)| {
            let role =
                jsonl::role_of(&turn.speaker).map_err(|problem| format!("turn {number} has {problem}"))?;
            Ok(Turn::new(role, turn.utterance))
        });
        let turns = turns.collect::<Result<_, String>>()?;
        Ok(Dialogue { domains: entry.services, ..Dialogue::new(entry.dialogue_id.unwrap_or(id), turns) })
    })
}
