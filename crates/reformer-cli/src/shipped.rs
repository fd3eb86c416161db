//! The chatbot in the box: a model with its tables that the command carries, for a chat without a model's name.
//!
//! It is unpacked to `reformer/multiwoz` in the user's data folder, where its bookings are kept too. Files that are
//! there already are compared and left alone; where nothing can be written it is unpacked for this one chat.

use std::path::{Path, PathBuf};

use anyhow::Context;
use reformer::files;
use tempfile::TempDir;

use crate::user_folder::user_folder;

/// The files of `models/multiwoz`.
const FILES: [(&str, &[u8]); 7] = [
    ("config.json", include_bytes!("../../../models/multiwoz/config.json")),
    ("generation_config.json", include_bytes!("../../../models/multiwoz/generation_config.json")),
    ("model.safetensors", include_bytes!("../../../models/multiwoz/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../../models/multiwoz/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../../models/multiwoz/tokenizer_config.json")),
    ("tables.schema.json", include_bytes!("../../../models/multiwoz/tables.schema.json")),
    ("tables.sqlite", include_bytes!("../../../models/multiwoz/tables.sqlite")),
];

/// The unpacked model.
pub(crate) struct Shipped {
    /// Its checkpoint directory.
    pub(crate) folder: PathBuf,
    /// Removes what was unpacked for one chat only.
    _for_once: Option<TempDir>,
}

/// Unpacks the model, where that was not done before.
pub(crate) fn unpack() -> anyhow::Result<Shipped> {
    if let Some(folder) =
        user_folder("XDG_DATA_HOME", ".local/share").map(|data| data.join("reformer/multiwoz"))
        && write(&folder).is_ok()
    {
        return Ok(Shipped { folder, _for_once: None });
    }
    let cannot = "cannot unpack the chatbot, neither into the user's data folder (XDG_DATA_HOME, or ~/.local/share) nor \
                  into a temporary one; make room, or set XDG_DATA_HOME to a folder that can be written";
    let once = tempfile::Builder::new().prefix("reformer-").tempdir().context(cannot)?;
    write(once.path()).context(cannot)?;
    Ok(Shipped { folder: once.path().to_owned(), _for_once: Some(once) })
}

fn write(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        let there = files::read(&path, bytes.len() as u64).is_ok_and(|there| there == bytes);
        if !there {
            files::replace(&path, bytes)?;
        }
    }
    Ok(())
}
