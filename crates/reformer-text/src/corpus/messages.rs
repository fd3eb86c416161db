//! Lines with `messages`, as OpenAI's fine-tuning files: `{"messages":[{"role":"user","content":"…"}]}`.
//!
//! `content` is a string, a list of text parts (joined), or null (an empty text). `developer` is an
//! instruction like `system`. Messages of tools and parts that are not text have no place in a dialogue here
//! and are an error, rather than silently missing.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::loose;
use super::records::each_record;
use crate::{Dialogue, Role, TextError, Turn};

#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(default, deserialize_with = "loose::names")]
    domains: Vec<String>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default = "loose::yes", deserialize_with = "loose::learned", rename = "weight")]
    learned: bool,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "content must be a string, a list of text parts, or null")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

const EXPECTED: &str = "a JSON object {\"messages\": [{\"role\": \"user\", \"content\": …}, …]}";

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    each_record(path, text, EXPECTED, |line: Line, id| {
        if line.messages.is_empty() {
            return Err("no messages".to_owned());
        }
        let turns = line.messages.into_iter().enumerate();
        let turns = turns.map(|(number, message)| turn_of(number + 1, message));
        let turns = turns.collect::<Result<_, String>>()?;
        Ok(Dialogue { domains: line.domains, ..Dialogue::new(line.id.unwrap_or(id), turns) })
    })
}

/// The turns of one conversation: an object with `messages`, or their array alone, on one line or on many, as chat
/// tools and APIs write it. The error says what is wrong and where, without a file's name.
pub fn parse_messages(json: &str) -> Result<Vec<Turn>, String> {
    #[derive(Deserialize)]
    struct Saved {
        messages: Vec<Message>,
    }
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let messages = if json.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Message>>(json)
    } else {
        serde_json::from_str::<Saved>(json).map(|saved| saved.messages)
    };
    let messages = messages.map_err(|error| error.to_string())?;
    messages.into_iter().enumerate().map(|(index, message)| turn_of(index + 1, message)).collect()
}

fn turn_of(number: usize, message: Message) -> Result<Turn, String> {
    let role = match message.role.to_ascii_lowercase().as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => {
            return Err(format!(
                "message {number} has the role \"{}\", expected \"system\", \"user\" or \"assistant\"",
                message.role
            ));
        }
    };
    if message.tool_calls.is_some() || message.function_call.is_some() {
        return Err(format!(
            "message {number} calls a tool, which a dialogue here cannot hold; take out the messages that call tools \
             and those that answer them"
        ));
    }
    let text = match message.content {
        None => String::new(),
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => parts
            .into_iter()
            .map(|part| match (part.kind.as_str(), part.text) {
                ("text", Some(text)) => Ok(text),
                (kind, _) => Err(format!(
                    "message {number} has a part of type \"{kind}\", expected \"text\" with a text"
                )),
            })
            .collect::<Result<_, String>>()?,
    };
    Ok(Turn { learned: message.learned, ..Turn::new(role, text) })
}
