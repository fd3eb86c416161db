//! Which checkpoints a run directory holds: names and files, no contents.
//!
//! ```text
//! checkpoints/step-000200/       complete when every one of [`FILES`] is there
//! ```
//! Below everything that reads, writes or complains about checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder's name in a run directory.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const STATE: &str = "training_state.json";
pub(crate) const MOMENTS: &str = "training_state.safetensors";
/// What a complete checkpoint has in any case; a tokenizer of bytes has no tokenizer.json.
pub(crate) const FILES: [&str; 6] =
    ["config.json", "model.safetensors", "tokenizer_config.json", "generation_config.json", STATE, MOMENTS];

/// Whether a directory holds every file of a checkpoint that training can go on from.
pub fn is_complete(checkpoint: &Path) -> bool {
    FILES.iter().all(|name| checkpoint.join(name).is_file())
}

/// Everything under a checkpoint's name in a `checkpoints/` folder, complete or not, oldest first.
pub(crate) fn stepped(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = |entry: fs::DirEntry| {
        let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
        Some((step, entry.path()))
    };
    let mut steps: Vec<_> = entries.filter_map(named).collect();
    steps.sort();
    steps
}

/// The complete checkpoints of a `checkpoints/` folder, oldest first.
pub(crate) fn complete(folder: &Path) -> Vec<(u64, PathBuf)> {
    stepped(folder).into_iter().filter(|(_, path)| is_complete(path)).collect()
}
