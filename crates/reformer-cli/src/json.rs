//! JSON on stdout: one object a line, for programs.

use std::io::Write;

use serde::Serialize;

/// Prints `value` on a line of its own.
pub(crate) fn line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = crate::terminal::stdout();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}
