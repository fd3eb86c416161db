//! The rooms: who may depend on whom, who may hold `unsafe`, who knows files. The drawing stands in `ARCHITECTURE.md`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::tree::read;

/// Who may depend on whom: a crate and everything of ours it may name in `[dependencies]`.
pub(super) const DIRECTIONS: &[(&str, &[&str])] = &[
    ("reformer-tensor", &[]),
    ("reformer-lsh", &["reformer-tensor"]),
    ("reformer-attention", &["reformer-tensor", "reformer-lsh"]),
    ("reformer-reversible", &["reformer-tensor"]),
    (
        "reformer-model",
        &["reformer-files", "reformer-tensor", "reformer-lsh", "reformer-attention", "reformer-reversible"],
    ),
    ("reformer-files", &[]),
    ("reformer-text", &["reformer-files"]),
    ("reformer-tables", &["reformer-files", "reformer-text"]),
    ("reformer-images", &["reformer-files"]),
    (
        "reformer-train",
        &[
            "reformer-files",
            "reformer-images",
            "reformer-tensor",
            "reformer-lsh",
            "reformer-model",
            "reformer-text",
        ],
    ),
    ("reformer-generate", &["reformer-tensor", "reformer-model", "reformer-text"]),
    (
        "reformer-server",
        &["reformer-tensor", "reformer-lsh", "reformer-model", "reformer-text", "reformer-generate"],
    ),
    (
        "reformer",
        &[
            "reformer-files",
            "reformer-images",
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
    ("reformer-cli", &["reformer", "reformer-server", "reformer-tables"]),
    // For tests alone: no crate may name it in `[dependencies]`.
    ("reformer-testing", &["reformer-tensor", "reformer-lsh", "reformer-model"]),
];

/// Crates that may hold `unsafe`.
const UNSAFE_FLOOR: &[&str] = &["reformer-tensor"];

/// Crates below the model must not know of files, serialisation or text.
pub(super) const NO_FILES: &[&str] =
    &["reformer-tensor", "reformer-lsh", "reformer-attention", "reformer-reversible"];

/// Holds one crate to the drawing.
pub(super) fn check(folder: &Path, name: &str, faults: &mut Vec<String>) -> Result<()> {
    check_root(folder, name, faults)?;
    check_directions(folder, name, faults)
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
            "crates/{name}: not in the drawing; add it to ARCHITECTURE.md and to xtask/src/tidy/rooms.rs"
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
