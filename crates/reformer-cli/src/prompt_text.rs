//! A text from the command line, from a file, from a pipe, or from `-`.

use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;

use crate::exit::usage;
use crate::terminal::Terminal;

/// All of stdin as text, without the newline that `echo` and editors put at the end.
pub(crate) fn read() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
    decode(bytes, "stdin")
}

/// All of a file as text, without the newline at its end.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<String> {
    let name = path.display().to_string();
    decode(std::fs::read(path).with_context(|| format!("cannot read {name}"))?, &name)
}

fn decode(bytes: Vec<u8>, name: &str) -> anyhow::Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!(
            "{name} is not UTF-8 at byte {at}; convert it, for example with `iconv -f WINDOWS-1252 -t UTF-8`"
        )
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// The prompt that was typed, or piped.
pub(crate) fn prompt(typed: Option<&str>, terminal: Terminal) -> anyhow::Result<String> {
    match typed {
        Some("-") => read(),
        Some(text) => Ok(text.to_owned()),
        None if !terminal.stdin => read(),
        None => Err(usage(anyhow::anyhow!("no prompt: give one with -p TEXT, or pipe it in"))),
    }
}
