//! What people's files write for a name: a string, a number, nothing.

use serde::{Deserialize, Deserializer};
use serde_json::Number;

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a number")]
enum Name {
    Text(String),
    Number(Number),
}

impl Name {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// An id: a string, a number (its digits), or null for none.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Name>::deserialize(deserializer)?.map(Name::text))
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a list of strings, or null")]
enum Names {
    One(Name),
    Many(Vec<Name>),
}

/// A list of names: one name is a list of it, null an empty one.
pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Option::<Names>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Names::One(name)) => vec![name.text()],
        Some(Names::Many(names)) => names.into_iter().map(Name::text).collect(),
    })
}

/// A turn's weight in the loss, 0 or 1 as in OpenAI's fine-tuning files: whether it is learned.
pub(super) fn learned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Option::<f64>::deserialize(deserializer)? {
        Some(0.0) => Ok(false),
        None | Some(1.0) => Ok(true),
        Some(other) => Err(serde::de::Error::custom(format!("the weight {other}, expected 0 or 1"))),
    }
}

/// A turn without a weight is learned.
pub(super) fn yes() -> bool {
    true
}
