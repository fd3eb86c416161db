//! The house rules that a machine can check.
//!
//! - every Rust file opens with a module doc (`//!`), so that a reader learns what it is for;
//! - `#![forbid(unsafe_code)]` stands in every crate root outside the numerics floor;
//! - libraries do not print, exit or read the environment;
//! - dependencies between our crates follow the drawing in `ARCHITECTURE.md`;
//! - no file is longer than [`LONGEST`] lines, none has a name that means nothing.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longer files are an error; the aim is a median of 130 to 260 lines.
const LONGEST: usize = 1_000;

/// Who may depend on whom: a crate and everything of ours it may name in `[dependencies]`.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("reformer-tensor", &[]),
    ("reformer-lsh", &["reformer-tensor"]),
    ("reformer-attention", &["reformer-tensor", "reformer-lsh"]),
    ("reformer-reversible", &["reformer-tensor"]),
    ("reformer-model", &["reformer-tensor", "reformer-lsh", "reformer-attention", "reformer-reversible"]),
    ("reformer-text", &[]),
    ("reformer-train", &["reformer-tensor", "reformer-lsh", "reformer-model", "reformer-text"]),
    ("reformer-generate", &["reformer-tensor", "reformer-model", "reformer-text"]),
    (
        "reformer",
        &[
            "reformer-tensor",
            "reformer-lsh",
            "reformer-attention",
            "reformer-reversible",
            "reformer-model",
            "reformer-text",
            "reformer-train",
            "reformer-generate",
        ],
    ),
    ("reformer-cli", &["reformer"]),
];

/// Crates that may hold `unsafe`.
const UNSAFE_FLOOR: &[&str] = &["reformer-tensor"];

/// Crates whose job is to talk to a person.
const TALKERS: &[&str] = &["reformer-cli"];

/// Crates below the model must not know of files, serialisation or text.
const NO_FILES: &[&str] = &["reformer-tensor", "reformer-lsh", "reformer-attention", "reformer-reversible"];

/// Names of size, not of meaning.
const EMPTY_NAMES: &[&str] =
    &["utils.rs", "util.rs", "common.rs", "helpers.rs", "base.rs", "types.rs", "misc.rs"];

/// Runs every rule and reports all faults at once.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut faults = Vec::new();
    let mut lengths = Vec::new();
    for entry in read_dir(&root.join("crates"))? {
        let name = file_name(&entry);
        let mut files = Vec::new();
        rust_files(&entry, &mut files)?;
        check_root(&entry, &name, &mut faults)?;
        check_directions(&entry, &name, &mut faults)?;
        for file in files {
            check_file(root, &file, &name, &mut faults, &mut lengths)?;
        }
    }
    let mut files = Vec::new();
    rust_files(&root.join("xtask"), &mut files)?;
    for file in files {
        check_file(root, &file, "xtask", &mut faults, &mut lengths)?;
    }
    lengths.sort_unstable();
    println!(
        "tidy: {} files, median {} lines, longest {}",
        lengths.len(),
        lengths.get(lengths.len() / 2).copied().unwrap_or(0),
        lengths.last().copied().unwrap_or(0)
    );
    if faults.is_empty() {
        return Ok(());
    }
    for fault in &faults {
        println!("tidy: {fault}");
    }
    bail!("tidy found {} faults", faults.len())
}

fn check_root(folder: &Path, name: &str, faults: &mut Vec<String>) -> Result<()> {
    if UNSAFE_FLOOR.contains(&name) {
        return Ok(());
    }
    for candidate in ["src/lib.rs", "src/main.rs"] {
        let path = folder.join(candidate);
        if path.exists() && !read(&path)?.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("crates/{name}/{candidate}: #![forbid(unsafe_code)] is missing"));
        }
    }
    Ok(())
}

fn check_directions(folder: &Path, name: &str, faults: &mut Vec<String>) -> Result<()> {
    let allowed: BTreeMap<_, _> = DIRECTIONS.iter().copied().collect();
    let Some(allowed) = allowed.get(name) else {
        faults.push(format!(
            "crates/{name}: not in the drawing; add it to ARCHITECTURE.md and to xtask/src/tidy.rs"
        ));
        return Ok(());
    };
    let manifest = read(&folder.join("Cargo.toml"))?;
    let mut section = String::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            line.clone_into(&mut section);
        }
        let key: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
        let ours = key == "reformer" || key.starts_with("reformer-");
        if section == "[dependencies]" && ours && !allowed.contains(&key.as_str()) {
            faults.push(format!(
                "crates/{name}/Cargo.toml: `{key}` points up or sideways; allowed are {allowed:?}"
            ));
        }
        let files = ["serde", "serde_json", "safetensors", "toml", "tokenizers"].contains(&key.as_str());
        if section == "[dependencies]" && files && NO_FILES.contains(&name) {
            faults.push(format!("crates/{name}/Cargo.toml: `{key}`, but this room knows no files"));
        }
    }
    Ok(())
}

fn check_file(
    root: &Path,
    file: &Path,
    krate: &str,
    faults: &mut Vec<String>,
    lengths: &mut Vec<usize>,
) -> Result<()> {
    let text = read(file)?;
    let shown = file.strip_prefix(root).unwrap_or(file).display();
    let lines = text.lines().count();
    lengths.push(lines);
    if lines > LONGEST {
        faults.push(format!("{shown}: {lines} lines, {LONGEST} are allowed; split it by ideas"));
    }
    if EMPTY_NAMES.contains(&file_name(file).as_str()) {
        faults.push(format!("{shown}: name the file for what it holds"));
    }
    if !text.trim_start().starts_with("//!") {
        faults.push(format!("{shown}: does not open with a module doc (//!)"));
    }
    let library = file.components().any(|part| part.as_os_str() == "src")
        && krate != "xtask"
        && !TALKERS.contains(&krate);
    if !library {
        return Ok(());
    }
    // Tests stand below the code; what they print is theirs.
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    for (number, line) in code.lines().enumerate() {
        let line = line.split("//").next().unwrap_or("");
        for word in [
            "println!",
            "eprintln!",
            "print!(",
            "process::exit",
            "env::var",
            "Instant::now",
            "SystemTime::now",
        ] {
            if line.contains(word) {
                faults.push(format!("{shown}:{}: `{word}` in a library", number + 1));
            }
        }
        if NO_FILES.contains(&krate) && line.contains("std::fs") {
            faults.push(format!("{shown}:{}: this room does no I/O", number + 1));
        }
    }
    Ok(())
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for path in read_dir(folder)? {
        if path.is_dir() && file_name(&path) != "target" {
            rust_files(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

fn read_dir(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
