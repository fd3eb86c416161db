//! A question and its answer a record: Alpaca's instructions, and prompts with their completions.
//!
//! ```text
//! alpaca       {"instruction": "Translate", "input": "Guten Tag", "output": "Good day"}     input may be empty
//! completion   {"prompt": "…", "completion": "…"}      also question/answer, input/output, query/response and the like
//! ```
//!
//! An instruction and its input are one turn, a line end between them. `system` is an instruction before it, `history`
//! earlier pairs. Prompt and completion may be lists of messages.

use std::path::Path;

use serde::Deserialize;

use super::loose;
use super::records::each_record;
use crate::{Dialogue, Role, TextError, Turn};

/// The names that a question has, and its answer.
pub(super) const ASKED: [&str; 5] = ["prompt", "question", "query", "input", "user"];
pub(super) const ANSWERED: [&str; 6] = ["completion", "response", "answer", "output", "assistant", "reply"];

#[derive(Deserialize)]
struct AlpacaLine {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    history: Option<Vec<(String, String)>>,
    instruction: String,
    #[serde(default, alias = "context")]
    input: Option<String>,
    #[serde(alias = "response", alias = "answer", alias = "completion")]
    output: String,
}

pub(super) fn parse_alpaca(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    let expected = "a JSON object {\"instruction\": …, \"input\": …, \"output\": …}";
    each_record(path, text, expected, |line: AlpacaLine, id| {
        let mut turns = opening(line.system, line.history);
        turns.push(Turn::user(asked(&line.instruction, line.input.as_deref())));
        turns.push(Turn::assistant(line.output));
        Ok(Dialogue::new(line.id.unwrap_or(id), turns))
    })
}

/// An instruction with what it is about.
pub(super) fn asked(instruction: &str, input: Option<&str>) -> String {
    match input {
        Some(input) if !input.trim().is_empty() => format!("{instruction}\n{input}"),
        _ => instruction.to_owned(),
    }
}

#[derive(Deserialize)]
struct Pair {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    history: Option<Vec<(String, String)>>,
    #[serde(alias = "question", alias = "query", alias = "input", alias = "user")]
    prompt: Said,
    #[serde(alias = "response", alias = "answer", alias = "output", alias = "assistant", alias = "reply")]
    completion: Said,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of messages")]
enum Said {
    Text(String),
    Messages(Vec<Message>),
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

impl Said {
    fn into_turns(self, role: Role) -> Result<Vec<Turn>, String> {
        match self {
            Self::Text(text) => Ok(vec![Turn::new(role, text)]),
            Self::Messages(messages) => messages
                .into_iter()
                .map(|message| match message.role.to_ascii_lowercase().as_str() {
                    "user" => Ok(Turn::user(message.content)),
                    "assistant" => Ok(Turn::assistant(message.content)),
                    "system" | "developer" => Ok(Turn::system(message.content)),
                    _ => Err(format!(
                        "a message has the role {:?}, expected \"system\", \"user\" or \"assistant\"",
                        message.role
                    )),
                })
                .collect(),
        }
    }
}

pub(super) fn parse_completion(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    let expected = "a JSON object {\"prompt\": …, \"completion\": …}";
    each_record(path, text, expected, |line: Pair, id| {
        let mut turns = opening(line.system, line.history);
        turns.extend(line.prompt.into_turns(Role::User)?);
        turns.extend(line.completion.into_turns(Role::Assistant)?);
        if turns.is_empty() {
            return Err("no messages".to_owned());
        }
        Ok(Dialogue::new(line.id.unwrap_or(id), turns))
    })
}

fn opening(system: Option<String>, history: Option<Vec<(String, String)>>) -> Vec<Turn> {
    let system = system.filter(|text| !text.trim().is_empty()).map(Turn::system);
    let pairs = history.into_iter().flatten();
    system
        .into_iter()
        .chain(pairs.flat_map(|(asked, answered)| [Turn::user(asked), Turn::assistant(answered)]))
        .collect()
}
