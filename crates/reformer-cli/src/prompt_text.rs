//! A text from the command line, from a file, from a pipe, or from `-`; packed or in UTF-16 as corpora may be.

use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use reformer::text::{parse_text, read_text};

use crate::exit::usage;
use crate::terminal::Terminal;

/// Bytes of a prompt at most. No model here reads as many, and a device like `/dev/zero` never ends.
const LIMIT: u64 = 1 << 28;

/// All of stdin as text, without the newline that `echo` and editors put at the end.
pub(crate) fn read() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes).context("cannot read stdin")?;
    if bytes.len() as u64 > LIMIT {
        return Err(usage(anyhow::anyhow!("stdin has more than {LIMIT} bytes, too many for a prompt")));
    }
    Ok(trimmed(&parse_text(Path::new("stdin"), bytes)?).to_owned())
}

/// All of a file as text, without the newline at its end.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<String> {
    Ok(trimmed(&read_text(path)?).to_owned())
}

fn trimmed(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// The text without the byte order mark that some editors put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The prompt that was typed, or piped.
pub(crate) fn prompt(typed: Option<&str>, terminal: Terminal) -> anyhow::Result<String> {
    match typed {
        Some("-") => read(),
        Some(text) => Ok(without_mark(text).to_owned()),
        None if !terminal.stdin => read(),
        None => Err(usage(anyhow::anyhow!("no prompt: give one with -p TEXT, or pipe it in"))),
    }
}

#[cfg(test)]
mod tests {
    use super::trimmed;

    #[test]
    fn the_last_newline_is_no_part_of_a_text() {
        assert_eq!(trimmed("one\ntwo\r\n"), "one\ntwo");
        assert_eq!(trimmed("one\n\n"), "one\n");
    }
}
