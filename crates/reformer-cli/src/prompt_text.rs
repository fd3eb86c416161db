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
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!(
            "{name} is not UTF-8 at byte {at}; convert it with `iconv -f ENCODING -t UTF-8`, \
             where ENCODING is the one that it was written in"
        )
    })?;
    let text = without_mark(&text);
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(text.to_owned())
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
    use super::decode;

    #[test]
    fn a_byte_order_mark_and_the_last_newline_are_no_part_of_a_text() {
        let text = |bytes: &str| decode(bytes.as_bytes().to_vec(), "stdin").unwrap();
        assert_eq!(text("\u{feff}one\ntwo\r\n"), "one\ntwo");
        assert_eq!(text("one \u{feff}\n\n"), "one \u{feff}\n");
        assert!(
            decode(b"caf\xe9".to_vec(), "a.txt")
                .unwrap_err()
                .to_string()
                .contains("a.txt is not UTF-8 at byte 3")
        );
    }
}
