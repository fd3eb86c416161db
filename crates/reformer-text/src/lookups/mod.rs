//! Lookups in dialogues: what the assistant asked of a tool before it spoke, and what it was told.
//!
//! In files they are OpenAI's `tool_calls` and messages of the role `tool` ([`messages`]). In memory they stand in the
//! assistant's turn that they served, so that undoing a turn undoes its lookups. A model reads and writes them in a
//! compact form of few tokens ([`compact`]):
//!
//! ```text
//! <|assistant|><|lookup|>{hotel}{hotel.area} north{hotel.stars} 4<|result|>3 match …<|assistant|>try {hotel.name} .
//! ```
//! `{hotel.area}` is one token that names a table's column: in a call the value follows it, in a reply it is a
//! placeholder that the host fills from the row that the conversation is about.
//!
//! Nothing here runs a call or knows a table.

pub mod compact;
pub mod messages;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the assistant asks of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// The tool: `lookup`, `book`, or any function's name.
    pub tool: String,
    /// Its arguments; of `lookup` and `book` a `table` and, under `where`, the columns' values.
    pub arguments: Map<String, Value>,
}

/// A call and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lookup {
    /// What was asked.
    pub call: Call,
    /// What the tool said: a JSON object whose `says` is for the model, or plain text.
    pub result: String,
}

impl Call {
    /// A call of `lookup` or `book` with values for columns.
    pub fn of_table<'a>(
        tool: &str,
        table: &str,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let values: Map<_, _> =
            values.into_iter().map(|(column, value)| (column.to_owned(), Value::from(value))).collect();
        let mut arguments = Map::new();
        arguments.insert("table".to_owned(), Value::from(table));
        arguments.insert("where".to_owned(), Value::from(values));
        Self { tool: tool.to_owned(), arguments }
    }

    /// Table and values of a call that has just these, whatever the tool.
    pub fn table_values(&self) -> Option<(&str, Vec<(&str, &str)>)> {
        let table = self.arguments.get("table")?.as_str()?;
        if self.arguments.keys().any(|key| key != "table" && key != "where") {
            return None;
        }
        let Some(values) = self.arguments.get("where") else { return Some((table, Vec::new())) };
        let values =
            values.as_object()?.iter().map(|(column, value)| Some((column.as_str(), value.as_str()?)));
        Some((table, values.collect::<Option<_>>()?))
    }
}

impl Lookup {
    /// The part of the result that a model reads.
    pub fn said(&self) -> String {
        match serde_json::from_str::<Value>(&self.result) {
            Ok(Value::Object(object)) => match object.get("says").and_then(Value::as_str) {
                Some(says) => says.to_owned(),
                None => self.result.clone(),
            },
            _ => self.result.clone(),
        }
    }
}
