//! Streaming a text to stdout: every piece at once, Ctrl-C in between, a closed pipe remembered.

use std::io::{self, StdoutLock, Write};
use std::ops::ControlFlow;

use crate::harmless::Harmless;
use crate::interrupt::Interrupt;
use crate::terminal::{self, PLAIN, REPLY, Terminal};
use crate::wrap::Wrap;

/// Columns that a reply stands in from the left, so that it does not look like what was typed.
const INDENT: usize = 2;

/// A consumer of generated text.
pub(crate) struct Stream<'a> {
    out: Option<Harmless<StdoutLock<'static>>>,
    wrap: Option<Wrap>,
    coloured: bool,
    interrupt: &'a Interrupt,
    fault: Option<io::Error>,
    ends_line: bool,
}

impl<'a> Stream<'a> {
    /// Prints as it comes.
    pub(crate) fn printing(interrupt: &'a Interrupt) -> Self {
        let out = Some(terminal::stdout());
        Self { out, wrap: None, coloured: false, interrupt, fault: None, ends_line: true }
    }

    /// Prints a reply of a chat: on a terminal wrapped at words, indented and in a colour of its own.
    pub(crate) fn reply(interrupt: &'a Interrupt, terminal: Terminal) -> Self {
        let wrap = terminal.stdout.then(|| Wrap::new(terminal::width(), INDENT));
        let coloured = terminal.stdout && terminal.colour;
        let mut stream = Self { wrap, coloured, ..Self::printing(interrupt) };
        if coloured {
            stream.write(REPLY);
        }
        stream
    }

    /// Only watches for Ctrl-C.
    pub(crate) fn silent(interrupt: &'a Interrupt) -> Self {
        Self { out: None, wrap: None, coloured: false, interrupt, fault: None, ends_line: true }
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &str) -> ControlFlow<()> {
        if !piece.is_empty() {
            self.ends_line = piece.ends_with('\n');
            match &mut self.wrap {
                Some(wrap) => {
                    let shown = wrap.push(piece);
                    self.write(&shown);
                }
                None => self.write(piece),
            }
        }
        if self.fault.is_some() || self.interrupt.raised() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn write(&mut self, text: &str) {
        let Some(out) = &mut self.out else { return };
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.fault = Some(error);
        }
    }

    /// Ends the line, and tells whether writing failed.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let last = self.wrap.as_mut().map(Wrap::finish).unwrap_or_default();
        self.write(&last);
        if self.coloured {
            self.write(PLAIN);
        }
        if !self.ends_line {
            self.write("\n");
        }
        self.fault.map_or(Ok(()), Err)
    }
}
