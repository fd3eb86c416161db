//! The filter where text meets a terminal: what a terminal would obey becomes `�`.
//!
//! A model of bytes, a loaded conversation, a tensor's name or a key of a recipe may hold escape sequences: they move
//! the cursor, rename the window (OSC 0) or fill the clipboard (OSC 52). Lines, tabs and the program's own styles
//! pass.
//!
//! ```text
//! C0 but \n and \t · DEL · C1 (U+0080 to U+009F) · ESC that begins none of our styles   →   U+FFFD
//! ```

use std::io::{self, Write};

use crate::style::{BOLD, DIM, PLAIN, REPLY};

/// The escape sequences that this program writes itself; they change nothing but how letters look.
const OURS: [&str; 4] = [BOLD, DIM, PLAIN, REPLY];
const REPLACEMENT: &str = "\u{fffd}";

/// A stream to a terminal, if it is one.
pub(crate) struct Harmless<W: Write> {
    to: W,
    filters: bool,
    /// The beginning of something that may be ours, or of a character.
    held: Vec<u8>,
}

impl<W: Write> Harmless<W> {
    /// Filters what goes `to` there if `filters`, else passes everything on.
    pub(crate) fn new(to: W, filters: bool) -> Self {
        Self { to, filters, held: Vec::new() }
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.filters {
            return self.to.write(bytes);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let (shown, held) = filter(&all);
        self.held = all.split_off(all.len() - held);
        self.to.write_all(&shown)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.held.is_empty() {
            self.held.clear();
            self.to.write_all(REPLACEMENT.as_bytes())?;
        }
        self.to.flush()
    }
}

/// What may be shown of `bytes`, and how many at their end must wait for what follows.
fn filter(bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut shown = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let taken = match rest[0] {
            0x1b => {
                if let Some(style) = OURS.iter().find(|style| rest.starts_with(style.as_bytes())) {
                    shown.extend_from_slice(style.as_bytes());
                    style.len()
                } else if OURS.iter().any(|style| style.as_bytes().starts_with(rest)) {
                    return (shown, rest.len());
                } else {
                    shown.extend_from_slice(REPLACEMENT.as_bytes());
                    1
                }
            }
            0xc2 if rest.len() == 1 => return (shown, 1),
            0xc2 if (0x80..0xa0).contains(&rest[1]) => {
                shown.extend_from_slice(REPLACEMENT.as_bytes());
                2
            }
            b'\n' | b'\t' | b' '..=b'~' | 0x80.. => {
                shown.push(rest[0]);
                1
            }
            _ => {
                shown.extend_from_slice(REPLACEMENT.as_bytes());
                1
            }
        };
        at += taken;
    }
    (shown, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut stream = Harmless::new(&mut out, true);
        for piece in pieces {
            stream.write_all(piece.as_bytes()).unwrap();
        }
        stream.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_obeys_is_replaced_and_lines_tabs_and_letters_pass() {
        assert_eq!(shown(&["a\x1b[2J\x07é\n\t日本🚂"]), "a\u{fffd}[2J\u{fffd}é\n\t日本🚂");
        assert_eq!(shown(&["\x1b]0;title\x07"]), "\u{fffd}]0;title\u{fffd}");
        assert_eq!(shown(&["\x1b]52;c;eA==\x1b\\"]), "\u{fffd}]52;c;eA==\u{fffd}\\");
        assert_eq!(shown(&["\u{9b}2J\u{85}\u{7f}\r"]), "\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(shown(&["\u{a0}ÿ"]), "\u{a0}ÿ");
    }

    #[test]
    fn the_programs_own_styles_pass() {
        let styled = format!("{BOLD}a{PLAIN} {DIM}b{PLAIN}");
        assert_eq!(shown(&[&styled]), styled);
    }

    #[test]
    fn a_sequence_in_two_pieces_is_one() {
        assert_eq!(shown(&["a\x1b", "[2Jb"]), "a\u{fffd}[2Jb");
        assert_eq!(shown(&["a\x1b[", "1mb"]), format!("a{BOLD}b"));
        assert_eq!(shown(&["end\x1b"]), "end\u{fffd}");
    }

    #[test]
    fn bytes_to_a_file_are_as_they_are() {
        let mut out = Vec::new();
        Harmless::new(&mut out, false).write_all(b"\x1b[2J\xff").unwrap();
        assert_eq!(out, b"\x1b[2J\xff");
    }
}
