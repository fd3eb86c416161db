//! Lines with `messages`, as OpenAI's fine-tuning files: `{"messages":[{"role":"user","content":"…"}]}`.
//!
//! An assistant's `tool_calls` and the `tool` messages that answer them stand in the turn that they serve, see
//! [`crate::lookups`]. `content` is a string, a list of text parts (joined), or null (an empty text). `developer` is an
//! instruction like `system`. Messages of tools and parts that are not text have no place in a dialogue here
//! and are an error, rather than silently missing.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::loose;
use super::records::each_record;
use crate::lookups::messages::{Gathering, ToolCall};
use crate::{Dialogue, Role, TextError, Turn};

#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(default, deserialize_with = "loose::names")]
    domains: Vec<String>,
    messages: Vec<ChatMessage>,
}

/// A message as chat tools and APIs write it; [`turns_of`] makes turns of them.
#[derive(Debug, Deserialize)]
pub struct ChatMessage {
    role: String,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default = "loose::yes", deserialize_with = "loose::learned", rename = "weight")]
    learned: bool,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "content must be a string, a list of text parts, or null")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
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
        let mut turns = Gathering::default();
        for (number, message) in line.messages.into_iter().enumerate() {
            gather(&mut turns, number + 1, message)?;
        }
        Ok(Dialogue { domains: line.domains, ..Dialogue::new(line.id.unwrap_or(id), turns.finish()?) })
    })
}

/// The turns of one conversation: an object with `messages`, or their array alone, on one line or on many, as chat
/// tools and APIs write it. The error says what is wrong and where, without a file's name.
pub fn parse_messages(json: &str) -> Result<Vec<Turn>, String> {
    #[derive(Deserialize)]
    struct Saved {
        messages: Vec<ChatMessage>,
    }
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let messages = if json.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<ChatMessage>>(json)
    } else {
        serde_json::from_str::<Saved>(json).map(|saved| saved.messages)
    };
    turns_of(messages.map_err(|error| error.to_string())?)
}

/// The turns of these messages; the error says which one is wrong, counting from 1.
pub fn turns_of(messages: Vec<ChatMessage>) -> Result<Vec<Turn>, String> {
    let mut turns = Gathering::default();
    for (index, message) in messages.into_iter().enumerate() {
        gather(&mut turns, index + 1, message)?;
    }
    turns.finish()
}

fn gather(turns: &mut Gathering, number: usize, message: ChatMessage) -> Result<(), String> {
    if message.function_call.is_some() {
        return Err(format!(
            "message {number} has a function_call, the form before tool_calls; write it as tool_calls and a message \
             of the role \"tool\""
        ));
    }
    let text = text_of(number, message.content)?;
    let role = match message.role.to_ascii_lowercase().as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => return turns.result(number, message.tool_call_id.as_deref(), text),
        _ => {
            return Err(format!(
                "message {number} has the role \"{}\", expected \"system\", \"user\", \"assistant\" or \"tool\"",
                message.role
            ));
        }
    };
    let turn = Turn { learned: message.learned, ..Turn::new(role, text) };
    turns.message(number, turn, message.tool_calls.unwrap_or_default())
}

fn text_of(number: usize, content: Option<Content>) -> Result<String, String> {
    match content {
        None => Ok(String::new()),
        Some(Content::Text(text)) => Ok(text),
        Some(Content::Parts(parts)) => parts
            .into_iter()
            .map(|part| match (part.kind.as_str(), part.text) {
                ("text", Some(text)) => Ok(text),
                (kind, _) => Err(format!(
                    "message {number} has a part of type \"{kind}\", expected \"text\" with a text"
                )),
            })
            .collect(),
    }
}
