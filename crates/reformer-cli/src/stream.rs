//! Streaming a reply to stdout: every piece at once, Ctrl-C in between, a closed pipe remembered.

use std::io::{self, Write};
use std::ops::ControlFlow;

use crate::interrupt::Interrupt;

/// A consumer of generated text.
pub(crate) struct Stream<'a> {
    out: Option<io::StdoutLock<'static>>,
    interrupt: &'a Interrupt,
    fault: Option<io::Error>,
    ends_line: bool,
}

impl<'a> Stream<'a> {
    /// Prints as it comes.
    pub(crate) fn printing(interrupt: &'a Interrupt) -> Self {
        Self { out: Some(io::stdout().lock()), interrupt, fault: None, ends_line: true }
    }

    /// Only watches for Ctrl-C.
    pub(crate) fn silent(interrupt: &'a Interrupt) -> Self {
        Self { out: None, interrupt, fault: None, ends_line: true }
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &str) -> ControlFlow<()> {
        if let Some(out) = self.out.as_mut().filter(|_| !piece.is_empty()) {
            self.ends_line = piece.ends_with('\n');
            if let Err(error) = out.write_all(piece.as_bytes()).and_then(|()| out.flush()) {
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
