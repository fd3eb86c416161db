//! Streaming a reply to stdout: every piece at once, Ctrl-C in between, a closed pipe remembered.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use crate::interrupt::Interrupt;

/// A consumer of generated text.
pub(crate) struct Stream<'a> {
    out: Option<io::StdoutLock<'static>>,
    terminal: bool,
    interrupt: &'a Interrupt,
    fault: Option<io::Error>,
    ends_line: bool,
}

impl<'a> Stream<'a> {
    /// Prints as it comes.
    pub(crate) fn printing(interrupt: &'a Interrupt) -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            out: Some(io::stdout().lock()),
            interrupt,
            fault: None,
            ends_line: true,
        }
    }

    /// Only watches for Ctrl-C.
    pub(crate) fn silent(interrupt: &'a Interrupt) -> Self {
        Self { terminal: false, out: None, interrupt, fault: None, ends_line: true }
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &str) -> ControlFlow<()> {
        if let Some(out) = self.out.as_mut().filter(|_| !piece.is_empty()) {
            self.ends_line = piece.ends_with('\n');
            let shown = if self.terminal { harmless(piece) } else { Cow::Borrowed(piece) };
            if let Err(error) = out.write_all(shown.as_bytes()).and_then(|()| out.flush()) {
                self.fault = Some(error);
                return ControlFlow::Break(());
            }
        }
        if self.interrupt.raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Ends the line, and tells whether writing failed.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if let Some(error) = self.fault {
            return Err(error);
        }
        match self.out.as_mut() {
            Some(out) if !self.ends_line => out.write_all(b"\n").and_then(|()| out.flush()),
            _ => Ok(()),
        }
    }
}

/// A model of bytes may say escape sequences; a terminal must not obey them.
fn harmless(piece: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if piece.contains(obeyed) { Cow::Owned(piece.replace(obeyed, "\u{fffd}")) } else { Cow::Borrowed(piece) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal_but_lines_and_tabs_do() {
        assert_eq!(harmless("a\x1b[2J\x07é\n\t"), "a\u{fffd}[2J\u{fffd}é\n\t");
    }
}
