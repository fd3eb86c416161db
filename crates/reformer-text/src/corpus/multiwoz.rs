//! MultiWOZ's own format (Budzianowski and others 2018), versions 2.0 and 2.1: one JSON object, ids as keys.
//!
//! ```text
//! {"SNG0548.json": {"goal": {"restaurant": {…}, "taxi": {}}, "log": [{"text": "…", "metadata": {…}}, …]}, …}
//! ```
//!
//! The user speaks first and the sides alternate: entry 0, 2, 4, … of the log is the user, the others the
//! system, which is the assistant here. Texts stay as they are. Domains are the goal's parts that are not
//! empty. Of everything else nothing is kept in memory.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};

use crate::{Dialogue, Role, TextError, Turn};

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    goal: Goal,
    log: Vec<LogTurn>,
}

#[derive(Deserialize)]
struct LogTurn {
    text: String,
}

/// The domains of a goal: its keys with a value that is an object with something in it.
#[derive(Default)]
struct Goal(Vec<String>);

impl<'de> Deserialize<'de> for Goal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let goal = serde_json::Value::deserialize(deserializer)?;
        let parts = goal.as_object().into_iter().flatten();
        let filled = parts.filter(|(_, part)| part.as_object().is_some_and(|part| !part.is_empty()));
        Ok(Self(
            filled
                .map(|(domain, _)| domain.clone())
                .filter(|domain| domain != "topic" && domain != "message")
                .collect(),
        ))
    }
}

/// All entries, in the file's order.
struct Corpus(Vec<Dialogue>);

impl<'de> Deserialize<'de> for Corpus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<Dialogue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a dialogue under every id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut dialogues = Vec::new();
                let mut ids = HashSet::new();
                while let Some(id) = map.next_key::<String>()? {
                    // The id goes into the message, because a line number alone does not help in a file
                    // that is one line.
                    let entry: Entry =
                        map.next_value().map_err(|e| A::Error::custom(format!("dialogue {id}: {e}")))?;
                    if !ids.insert(id.clone()) {
                        return Err(A::Error::custom(format!("dialogue {id}: a second one of this id")));
                    }
                    if entry.log.is_empty() {
                        return Err(A::Error::custom(format!("dialogue {id}: its log is empty")));
                    }
                    let turns = entry.log.into_iter().enumerate();
                    let turns = turns.map(|(at, turn)| {
                        let role = if at % 2 == 0 { Role::User } else { Role::Assistant };
                        Turn::new(role, turn.text)
                    });
                    let turns = turns.collect();
                    dialogues.push(Dialogue { domains: entry.goal.0, ..Dialogue::new(id, turns) });
                }
                Ok(dialogues)
            }
        }
        deserializer.deserialize_map(Entries).map(Self)
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    let malformed = |line: usize, problem: String| TextError::Malformed {
        path: path.to_owned(),
        line,
        problem,
        expected:
            "MultiWOZ's data.json, {\"SNG0548.json\": {\"goal\": {…}, \"log\": [{\"text\": …}, …]}, …}; \
                   for a corpus of JSON lines choose the format jsonl or messages"
                .to_owned(),
    };
    match serde_json::from_str::<Corpus>(text) {
        Ok(Corpus(dialogues)) if dialogues.is_empty() => {
            Err(malformed(1, "an object without dialogues".to_owned()))
        }
        Ok(Corpus(dialogues)) => Ok(dialogues),
        Err(error) => Err(malformed(error.line(), super::records::fault(text, &error))),
    }
}

/// Whether the first entry of an object has a log.
pub(super) fn looks_like(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Log {
        #[allow(dead_code, reason = "only its presence counts")]
        log: IgnoredAny,
    }
    struct First(bool);
    impl<'de> Deserialize<'de> for First {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Peek;
            impl<'de> Visitor<'de> for Peek {
                type Value = bool;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
                    let first = map.next_entry::<IgnoredAny, Log>()?.is_some();
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    Ok(first)
                }
            }
            deserializer.deserialize_map(Peek).map(Self)
        }
    }
    serde_json::from_str::<First>(text).is_ok_and(|first| first.0)
}
