//! OpenAI's form of lookups: an assistant's `tool_calls`, and a message of the role `tool` for each.
//!
//! ```json
//! {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",
//!   "function":{"name":"lookup","arguments":"{\"table\":\"hotel\",\"where\":{\"area\":\"north\"}}"}}]}
//! {"role":"tool","tool_call_id":"call_1","content":"{\"says\":\"3 match\",…}"}
//! {"role":"assistant","content":"there are {hotel.count} ."}
//! ```

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Lookup};
use crate::{Role, Turn};

/// A call in a message.
#[derive(Debug, Deserialize)]
pub struct ToolCall {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// Gathers messages to turns: calls wait for their results, and both for the words that follow.
#[derive(Debug, Default)]
pub struct Gathering {
    turns: Vec<Turn>,
    /// Calls of the assistant's turn at hand, with their ids and their results.
    open: Vec<(Option<String>, Call, Option<String>)>,
    /// What the assistant said beside its calls.
    aside: String,
}

impl Gathering {
    /// A message that is no tool's. `number` counts from 1.
    pub fn message(&mut self, number: usize, turn: Turn, calls: Vec<ToolCall>) -> Result<(), String> {
        if turn.role != Role::Assistant {
            if !calls.is_empty() {
                return Err(format!("message {number} of the {} has tool_calls", turn.role.name()));
            }
            self.close(number)?;
            self.turns.push(turn);
            return Ok(());
        }
        if let Some(at) = self.open.iter().position(|(.., result)| result.is_none()) {
            return Err(format!(
                "message {number} follows before the tool call {} of {} has its \"tool\" message",
                at + 1,
                self.open[at].1.tool
            ));
        }
        if calls.is_empty() {
            let text = std::mem::take(&mut self.aside) + &turn.text;
            let turn = Turn { text, lookups: self.take(), ..turn };
            self.turns.push(turn);
            return Ok(());
        }
        self.aside.push_str(&turn.text);
        for call in calls {
            let arguments = arguments(&call.function)
                .map_err(|problem| format!("message {number} calls {}: {problem}", call.function.name))?;
            self.open.push((call.id, Call { tool: call.function.name, arguments }, None));
        }
        Ok(())
    }

    /// A tool's answer.
    pub fn result(&mut self, number: usize, id: Option<&str>, text: String) -> Result<(), String> {
        let mut waiting = self.open.iter_mut().filter(|(.., result)| result.is_none());
        let call = match id {
            Some(id) => waiting.find(|(own, ..)| own.as_deref() == Some(id)),
            None => waiting.next(),
        };
        match call {
            Some((.., result)) => *result = Some(text),
            None => {
                return Err(format!(
                    "message {number} has the role \"tool\", but no message of the assistant's before it makes {}",
                    id.map_or_else(|| "a call".to_owned(), |id| format!("the call \"{id}\""))
                ));
            }
        }
        Ok(())
    }

    /// The turns. Calls at the end, without words after them, are a turn without words.
    pub fn finish(mut self) -> Result<Vec<Turn>, String> {
        let number = self.turns.len() + 1;
        self.close(number)?;
        Ok(self.turns)
    }

    fn close(&mut self, number: usize) -> Result<(), String> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.message(number, Turn::assistant(""), Vec::new())
    }

    fn take(&mut self) -> Vec<Lookup> {
        let done = self.open.drain(..);
        done.map(|(_, call, result)| Lookup { call, result: result.unwrap_or_default() }).collect()
    }
}

fn arguments(function: &Function) -> Result<Map<String, Value>, String> {
    let value = match &function.arguments {
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => {
            serde_json::from_str(text).map_err(|e| format!("its arguments are not JSON ({e})"))?
        }
        other => other.clone(),
    };
    match value {
        Value::Object(arguments) => Ok(arguments),
        Value::Null => Ok(Map::new()),
        _ => Err("its arguments are no JSON object".to_owned()),
    }
}

/// The messages of turns, in OpenAI's form.
pub fn messages_of(turns: &[Turn]) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut number = 0;
    for turn in turns {
        for Lookup { call, result } in &turn.lookups {
            number += 1;
            let id = format!("call_{number}");
            let arguments = Value::from(call.arguments.clone()).to_string();
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": id, "type": "function", "function": {"name": call.tool, "arguments": arguments}}
            ]}));
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
        }
        let mut message = json!({"role": turn.role.name(), "content": turn.text});
        if !turn.learned {
            message["weight"] = json!(0);
        }
        messages.push(message);
    }
    messages
}
