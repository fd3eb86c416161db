//! Which files of a folder are a corpus.
//!
//! Its own files with an ending that corpora have, in the order of their names; what only describes a corpus is left
//! out, and said. A folder of parts to train and to test on is refused: reading them as one would test on what was
//! learned.

use std::path::{Path, PathBuf};

use super::unpack::unpacked_name;
use crate::TextError;

const ENDINGS: [&str; 9] = ["json", "jsonl", "ndjson", "txt", "text", "md", "csv", "tsv", "zip"];
/// Files that lie beside a corpus in its distribution.
const BESIDE: [&str; 11] = [
    "schema",
    "ontology",
    "dialog_acts",
    "slot_descriptions",
    "vallistfile",
    "testlistfile",
    "readme",
    "license",
    "licence",
    "changelog",
    "attribution",
];
/// How the names of parts begin.
const PARTS: [&str; 6] = ["train", "valid", "validation", "val", "dev", "test"];

/// The files to read, and those left out.
pub(super) fn files(folder: &Path) -> Result<(Vec<PathBuf>, Vec<String>), TextError> {
    let failed = |error| TextError::io("read", folder, error);
    // MultiWOZ's own folder: lists and ontologies lie around one file.
    if folder.join("data.json").is_file() {
        return Ok((vec![folder.join("data.json")], Vec::new()));
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    let (mut files, mut left_out, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let path = folder.join(&name);
        let name = name.to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(name);
        } else if is_corpus(&name) {
            files.push(path);
        } else {
            left_out.push(name);
        }
    }
    let refused = |problem: String| Err(TextError::Folder { path: folder.to_owned(), problem });
    if files.is_empty() {
        return refused(match folders.first() {
            Some(first) => format!(
                "without a corpus of its own, but with folders in it: name one of them, perhaps {}",
                folder.join(first).display()
            ),
            None => format!("without a corpus; expected files that end in {}", ENDINGS.join(", ")),
        });
    }
    let part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let word = name.split(|c: char| !c.is_alphabetic()).next().unwrap_or("").to_owned();
        PARTS.into_iter().find(|part| *part == word)
    };
    let first = files.iter().find_map(part);
    if let (Some(first), Some(other)) = (first, files.iter().filter_map(part).find(|p| Some(*p) != first)) {
        return refused(format!(
            "of parts ({first} and {other} among them): name the file to read, perhaps {}",
            files[files.iter().position(|file| part(file) == Some("train")).unwrap_or(0)].display()
        ));
    }
    let mut notes = Vec::new();
    if !left_out.is_empty() {
        let shown = left_out.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if left_out.len() > 5 { ", …" } else { "" };
        let files = if left_out.len() == 1 {
            "1 file of the folder is".to_owned()
        } else {
            format!("{} files of the folder are", left_out.len())
        };
        notes.push(format!("{files} not read: {shown}{more}"));
    }
    if !folders.is_empty() {
        notes.push(format!("{} folders in it are not read: {}", folders.len(), folders.join(", ")));
    }
    Ok((files, notes))
}

fn is_corpus(name: &str) -> bool {
    let name = name.to_lowercase();
    let Some((stem, ending)) = unpacked_name(&name).rsplit_once('.') else {
        return false;
    };
    let database = stem.ends_with("_db");
    (ENDINGS.contains(&ending) || ending == "zip") && !BESIDE.contains(&stem) && !database
}
