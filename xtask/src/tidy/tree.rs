//! Reading the tree: files below a folder, in an order that is the same everywhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Every file below `folder` whose name ends in `.extension`, `target` aside.
pub(super) fn files(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) -> Result<()> {
    for path in read_dir(folder)? {
        if path.is_dir() {
            if file_name(&path) != "target" && !file_name(&path).starts_with('.') {
                files(&path, extension, into)?;
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(path);
        }
    }
    Ok(())
}

/// What a folder holds, sorted.
pub(super) fn read_dir(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// A file's text.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A path's last part.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
