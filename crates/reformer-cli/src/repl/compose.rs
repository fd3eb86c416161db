//! A message written in the person's own editor.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, bail};

/// Opens `$VISUAL`, `$EDITOR` or `vi` on `start` and returns what was written; `None` if that is nothing.
pub(crate) fn compose(start: &str) -> anyhow::Result<Option<String>> {
    let named = |key: &str| std::env::var(key).ok().filter(|value| !value.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut file = tempfile::Builder::new()
        .prefix("message-")
        .suffix(".txt")
        .tempfile()
        .context("cannot make a file for the message")?;
    file.write_all(start.as_bytes()).and_then(|()| file.flush()).context("cannot write the message")?;
    // Through a shell, because the variable may hold arguments: `code --wait`.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file.path())
        .status()
        .with_context(|| format!("cannot start the editor `{editor}`; set $EDITOR"))?;
    if !status.success() {
        bail!("the editor `{editor}` ended with {status}; nothing was sent");
    }
    // Editors replace files, so it is read by its name.
    let text = std::fs::read_to_string(file.path()).context("cannot read the message back")?;
    let text = text.trim_end().to_owned();
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}
