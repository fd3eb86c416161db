//! From a path to text: unpacking gzip, zstd and zip, whatever the file is called.

use std::collections::HashSet;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::encoding::{self, Decoded, utf8};
use super::foreign;
use super::split::Split;
use crate::{Dialogue, TextError};

/// Bytes of a corpus file at most, packed or not: one of a few kilobytes can unpack to petabytes.
const LIMIT: u64 = 1 << 32;
/// How often something packed may be packed in itself.
const DEPTH: usize = 3;

/// A corpus's text, and the list files that lay beside it.
#[derive(Debug)]
pub(super) struct Source {
    /// The file, or `archive.zip/entry`.
    pub(super) path: PathBuf,
    pub(super) decoded: Decoded,
    pub(super) lists: Lists,
}

/// The ids that MultiWOZ's list files name, without `.json`.
#[derive(Debug, Default)]
pub(super) struct Lists {
    valid: Option<HashSet<String>>,
    test: Option<HashSet<String>>,
}

impl Lists {
    pub(super) fn select(
        &self,
        path: &Path,
        dialogues: Vec<Dialogue>,
        split: Split,
    ) -> Result<Vec<Dialogue>, TextError> {
        let missing = |missing| TextError::NoSplit { path: path.to_owned(), split: split.name(), missing };
        let need = |list: &Self, wanted: Split| match wanted {
            Split::Test => list.test.clone().ok_or(missing("testListFile.txt")),
            _ => list.valid.clone().ok_or(missing("valListFile.txt")),
        };
        let (ids, inside) = match split {
            Split::Train => {
                let mut held_out = need(self, Split::Valid)?;
                held_out.extend(need(self, Split::Test)?);
                (held_out, false)
            }
            _ => (need(self, split)?, true),
        };
        let chosen = dialogues.into_iter();
        Ok(chosen.filter(|dialogue| ids.contains(bare_id(&dialogue.id)) == inside).collect())
    }
}

fn bare_id(id: &str) -> &str {
    id.strip_suffix(".json").unwrap_or(id)
}

fn ids_of(text: &str) -> HashSet<String> {
    let lines = text.lines().map(|line| bare_id(line.trim()).to_owned());
    lines.filter(|id| !id.is_empty()).collect()
}

/// Reads and unpacks a file, and the list files beside a `data.json`.
pub(super) fn open(path: &Path) -> Result<Source, TextError> {
    let mut source = unpack(path, read(path)?)?;
    for (list, stem) in [(&mut source.lists.valid, "valListFile"), (&mut source.lists.test, "testListFile")] {
        for extension in ["txt", "json"] {
            let beside = path.with_file_name(format!("{stem}.{extension}"));
            if list.is_none() && beside != path && beside.is_file() {
                *list = Some(ids_of(&utf8(&beside, read(&beside)?)?));
            }
        }
    }
    Ok(source)
}

fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    reformer_files::read(path, LIMIT).map_err(|e| TextError::io("read", path, e))
}

/// A text file as a text, whatever it is packed and encoded in. Its form is not looked at, but what is no text is
/// refused by its name.
pub fn read_text(path: &Path) -> Result<String, TextError> {
    parse_text(path, read(path)?)
}

/// The text in `bytes`, packed or not, as if they were the file `name`.
pub fn parse_text(name: &Path, bytes: Vec<u8>) -> Result<String, TextError> {
    Ok(unpack(name, bytes)?.decoded.text)
}

/// Unpacks by the first bytes of the content.
pub(super) fn unpack(path: &Path, bytes: Vec<u8>) -> Result<Source, TextError> {
    unpack_to(path, bytes, DEPTH)
}

fn unpack_to(path: &Path, bytes: Vec<u8>, depth: usize) -> Result<Source, TextError> {
    match bytes.as_slice() {
        [0x1f, 0x8b, ..] if depth > 0 => unpack_to(path, gunzip(path, &bytes)?, depth - 1),
        [0x28, 0xb5, 0x2f, 0xfd, ..] if depth > 0 => {
            let decoder = zstd::stream::read::Decoder::new(bytes.as_slice())
                .map_err(|e| damaged(path, "zstd", 0, &e))?;
            let bytes = drain(path, "zstd", decoder, Vec::new())?;
            unpack_to(path, bytes, depth - 1)
        }
        [b'P', b'K', 3 | 5, ..] => unzip(path, bytes),
        _ => plain(path, bytes),
    }
}

/// Every member of a gzip file; tapes and disks fill it up with zeros, which mean nothing.
fn gunzip(path: &Path, mut rest: &[u8]) -> Result<Vec<u8>, TextError> {
    let mut bytes = Vec::new();
    loop {
        let mut decoder = GzDecoder::new(rest);
        bytes = drain(path, "gzip", &mut decoder, bytes)?;
        rest = decoder.into_inner();
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(bytes);
        }
        if !rest.starts_with(&[0x1f, 0x8b]) {
            let reason = format!("{} bytes behind its end are no gzip", rest.len());
            return Err(TextError::Damaged {
                path: path.to_owned(),
                codec: "gzip",
                produced: bytes.len(),
                reason,
            });
        }
    }
}

/// The name without the ending of its packing.
pub(super) fn unpacked_name(name: &str) -> &str {
    [".gz", ".zst", ".zip"].into_iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

fn plain(path: &Path, bytes: Vec<u8>) -> Result<Source, TextError> {
    foreign::refuse(path, &bytes)?;
    let decoded = encoding::decode(path, bytes)?;
    Ok(Source { path: path.to_owned(), decoded, lists: Lists::default() })
}

fn unzip(path: &Path, bytes: Vec<u8>) -> Result<Source, TextError> {
    let broken = |error: &dyn std::fmt::Display| TextError::Damaged {
        path: path.to_owned(),
        codec: "zip",
        produced: 0,
        reason: error.to_string(),
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let names = archive
        .file_names()
        .map(|name| name.map(std::borrow::Cow::into_owned))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| broken(&e))?;
    let files: Vec<&String> =
        names.iter().filter(|name| !name.ends_with('/') && !name.starts_with("__MACOSX/")).collect();
    let base = |name: &str| name.rsplit('/').next().unwrap_or("").to_owned();
    let named = |wanted: &str| files.iter().find(|name| base(name) == wanted).copied();
    let corpus = match (named("data.json"), files.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => *only,
        _ => {
            return Err(TextError::MissingEntry {
                path: path.to_owned(),
                wanted: "data.json".to_owned(),
                found: listed(&files),
                advice: "give MultiWOZ's own zip, or unpack it and name the file to read",
            });
        }
    };
    let mut entry = |name: &str| -> Result<(PathBuf, Vec<u8>), TextError> {
        let inner = path.join(name);
        let file = archive.by_name(name).map_err(|e| broken(&e))?;
        let bytes = drain(&inner, "zip", file, Vec::new())?;
        Ok((inner, bytes))
    };
    let mut list = |stem: &str| -> Result<Option<HashSet<String>>, TextError> {
        let name = named(&format!("{stem}.txt")).or_else(|| named(&format!("{stem}.json")));
        let entry = name.map(|name| entry(name)).transpose()?;
        entry.map(|(inner, bytes)| Ok(ids_of(&utf8(&inner, bytes)?))).transpose()
    };
    let lists = Lists { valid: list("valListFile")?, test: list("testListFile")? };
    let (inner, bytes) = entry(corpus)?;
    Ok(Source { lists, ..plain(&inner, bytes)? })
}

fn listed(files: &[&String]) -> String {
    match files {
        [] => "nothing".to_owned(),
        [first @ .., last] if files.len() <= 6 => {
            first.iter().map(|name| format!("{name}, ")).chain([(*last).clone()]).collect()
        }
        _ => format!("{} files, among them {}", files.len(), files[0]),
    }
}

/// Adds all that `reader` gives to `bytes`.
fn drain(
    path: &Path,
    codec: &'static str,
    reader: impl Read,
    mut bytes: Vec<u8>,
) -> Result<Vec<u8>, TextError> {
    let room = (LIMIT + 1).saturating_sub(bytes.len() as u64);
    match reader.take(room).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > LIMIT => {
            Err(TextError::TooLarge { path: path.to_owned(), limit: LIMIT })
        }
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
            Err(TextError::Memory { path: path.to_owned(), unpacked: bytes.len() })
        }
        Err(error) => Err(damaged(path, codec, bytes.len(), &error)),
    }
}

fn damaged(path: &Path, codec: &'static str, produced: usize, error: &std::io::Error) -> TextError {
    TextError::Damaged { path: path.to_owned(), codec, produced, reason: error.to_string() }
}
