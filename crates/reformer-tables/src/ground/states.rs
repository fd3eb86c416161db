//! Dialogues with a belief state after each user turn, from a line a dialogue:
//!
//! ```json
//! {"id":"SNG01","turns":[{"speaker":"user","text":"…","state":{"hotel-area":"north"}},{"speaker":"system","text":"…"}]}
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use reformer_text::Role;
use serde::Deserialize;

use crate::TablesError;

/// A dialogue with states.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stated {
    /// Its name.
    pub id: String,
    /// What it is about.
    pub domains: Vec<String>,
    /// Its turns.
    pub turns: Vec<StateTurn>,
}

/// A turn with the state after it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateTurn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
    /// `table-column` to value, after a user's turn.
    pub state: Option<BTreeMap<String, String>>,
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
    #[serde(default)]
    state: Option<BTreeMap<String, String>>,
}

/// The dialogues of a file's lines.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Stated>, TablesError> {
    let mut dialogues = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let malformed = |problem: String| {
            TablesError::Malformed {
            path: path.to_owned(),
            problem: format!("line {}: {problem}", number + 1),
            expected: "{\"id\": …, \"turns\": [{\"speaker\": \"user\", \"text\": …, \"state\": {…}}, …]} on one line"
                .to_owned(),
        }
        };
        let line: Line = serde_json::from_str(line).map_err(|e| malformed(e.to_string()))?;
        let mut turns = Vec::new();
        for turn in line.turns {
            let role = match turn.speaker.as_str() {
                "user" => Role::User,
                "system" | "assistant" => Role::Assistant,
                other => return Err(malformed(format!("the speaker {other:?}"))),
            };
            turns.push(StateTurn { role, text: turn.text, state: turn.state });
        }
        if turns.iter().all(|turn| turn.state.is_none()) {
            return Err(malformed("no turn has a state".to_owned()));
        }
        let id = line.id.unwrap_or_else(|| (number + 1).to_string());
        dialogues.push(Stated { id, domains: line.domains, turns });
    }
    Ok(dialogues)
}
