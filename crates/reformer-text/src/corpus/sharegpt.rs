//! ShareGPT's lines: `{"id":"1","conversations":[{"from":"human","value":"…"},{"from":"gpt","value":"…"}]}`.
//!
//! The list is called `conversations` or `conversation`, its entries have `from` and `value` or `role` and `content`;
//! a `system` beside the list is an instruction before it.

use std::path::Path;

use serde::Deserialize;

use super::loose;
use super::records::each_record;
use crate::{Dialogue, Role, TextError, Turn};

#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(default)]
    system: Option<String>,
    #[serde(alias = "conversation")]
    conversations: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "role")]
    from: String,
    #[serde(alias = "content")]
    value: String,
    #[serde(default = "loose::yes", deserialize_with = "loose::learned", rename = "weight")]
    learned: bool,
}

const EXPECTED: &str = "a JSON object {\"conversations\": [{\"from\": \"human\", \"value\": …}, {\"from\": \"gpt\", \"value\": …}, …]}";

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    each_record(path, text, EXPECTED, |line: Line, id| {
        if line.conversations.is_empty() {
            return Err("no turns in the conversation".to_owned());
        }
        let mut turns: Vec<Turn> =
            line.system.filter(|text| !text.is_empty()).map(Turn::system).into_iter().collect();
        for (entry, number) in line.conversations.into_iter().zip(1..) {
            let role = match entry.from.trim().to_ascii_lowercase().as_str() {
                "human" | "user" => Role::User,
                "gpt" | "assistant" | "chatgpt" | "model" | "bot" | "bing" | "bard" => Role::Assistant,
                "system" => Role::System,
                _ => {
                    return Err(format!(
                        "entry {number} is from {:?}, expected \"human\", \"gpt\" or \"system\"",
                        entry.from
                    ));
                }
            };
            turns.push(Turn { learned: entry.learned, ..Turn::new(role, entry.value) });
        }
        Ok(Dialogue::new(line.id.unwrap_or(id), turns))
    })
}
