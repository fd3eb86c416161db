//! What the terminal is like: who reads stdout, who types on stdin, colour or not, how much to say.
//!
//! Data goes to stdout, talk to stderr. Both streams come from `anstream`, which strips styles where nobody wants them.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use crate::args::{Global, When};

/// Style of emphasis.
pub(crate) const BOLD: &str = "\x1b[1m";
/// Style of asides.
pub(crate) const DIM: &str = "\x1b[2m";
/// Back to normal.
pub(crate) const PLAIN: &str = "\x1b[0m";

/// How much to say on stderr, and to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    quiet: bool,
    verbose: u8,
    /// Someone types on stdin.
    pub(crate) stdin: bool,
    /// Someone looks at stdout.
    pub(crate) stdout: bool,
    /// Someone looks at stderr.
    pub(crate) stderr: bool,
    /// Styles are wanted on stdout.
    pub(crate) colour: bool,
}

impl Terminal {
    /// Looks at the streams and sets the colour choice for the whole program.
    pub(crate) fn resolve(global: &Global) -> Self {
        let choice = match global.color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::AlwaysAnsi,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            colour,
        }
    }

    /// Something worth saying, unless quiet. A stderr that is gone is no reason to fail.
    pub(crate) fn say(self, words: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{words}");
        }
    }

    /// Something for those who asked for more.
    pub(crate) fn detail(self, words: impl fmt::Display) {
        if self.verbose > 0 {
            let _ = writeln!(anstream::stderr(), "{DIM}{words}{PLAIN}");
        }
    }

    /// Something that must be said, quiet or not.
    #[expect(clippy::unused_self, reason = "a sister of `say` and `detail`, called like them")]
    pub(crate) fn warn(self, words: impl fmt::Display) {
        let _ = writeln!(anstream::stderr(), "reformer: {words}");
    }

    /// Whether to draw bars and hints.
    pub(crate) fn quiet(self) -> bool {
        self.quiet
    }
}
