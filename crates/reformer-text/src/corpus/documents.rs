//! Texts without speakers: a file that is one, and records `{"text": "…"}` that hold one each.

use std::path::Path;

use serde::Deserialize;

use super::loose;
use super::records::each_record;
use crate::{Dialogue, TextError};

#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "loose::id")]
    id: Option<String>,
    #[serde(alias = "content", alias = "document")]
    text: String,
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Dialogue>, TextError> {
    each_record(path, text, "a JSON object {\"text\": …}", |line: Line, id| {
        Ok(Dialogue::of_text(line.id.unwrap_or(id), line.text))
    })
}

/// The whole file, as it is.
pub(super) fn whole(path: &Path, text: String) -> Vec<Dialogue> {
    vec![Dialogue::of_text(path.file_name().unwrap_or_default().to_string_lossy(), text)]
}

/// What a text looks like that is read as a document all the same.
pub(super) fn suspicion(text: &str) -> Option<String> {
    let lines = || text.lines().filter(|line| !line.trim().is_empty()).take(1000);
    let share = |wanted: &dyn Fn(&str) -> bool| {
        let (all, those) = (lines().count(), lines().filter(|line| wanted(line)).count());
        all > 0 && those * 10 >= all * 9
    };
    if share(&|line| line.matches('\t').count() == 1) {
        return Some(
            "every line has a tab, as in a table: name its columns in a first line (user, assistant) to read dialogues"
                .to_owned(),
        );
    }
    if lines().count() >= 4 && share(&|line| line.split_once(": ").is_some_and(|(name, _)| name.len() < 20)) {
        return Some(
            "most lines begin with a name, as in a script, but it is not clear who speaks: call the sides user and \
             assistant to read dialogues"
                .to_owned(),
        );
    }
    text.trim_start().starts_with("<?xml").then(|| "it is XML, and its tags are part of the text".to_owned())
}
