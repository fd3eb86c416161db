//! Reading dialogues with states, in whichever form the file has them.

use std::path::Path;

use super::states::Stated;
use super::{guided, states};
use crate::TablesError;
use crate::import::unpacked;

/// Reads a file, packed with gzip or not: a dialogue a line, or a list in the form of Schema-Guided Dialogue and
/// MultiWOZ 2.2.
pub fn read_states(path: &Path) -> Result<Vec<Stated>, TablesError> {
    let malformed = |problem: String, expected: &str| TablesError::Malformed {
        path: path.to_owned(),
        problem,
        expected: expected.to_owned(),
    };
    let text = String::from_utf8(unpacked(path)?).map_err(|e| malformed(e.to_string(), "text in UTF-8"))?;
    if text.trim_start().starts_with('[') {
        let expected = "a list of dialogues with dialogue_id and turns of speaker, utterance and frames";
        return guided::parse(&text).map_err(|problem| malformed(problem, expected));
    }
    states::parse(&text, path)
}
