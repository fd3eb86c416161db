//! What the terminal is like: who reads stdout, who types on stdin, colour or not, how much to say.
//!
//! Data goes to stdout, talk to stderr. Both streams are opened here and nowhere else (`clippy.toml`): what goes to a
//! person passes the filter of [`Harmless`], and `anstream` strips styles where nobody wants them.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use crate::args::{Global, When};
use crate::harmless::Harmless;
pub(crate) use crate::style::{BOLD, DIM, PLAIN, REPLY};

/// Columns where the terminal does not tell.
const WIDTH: usize = 80;

/// Stdout: data as it is for a program, harmless for a terminal.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn stdout() -> Harmless<io::StdoutLock<'static>> {
    let stdout = io::stdout();
    let filters = stdout.is_terminal();
    Harmless::new(stdout.lock(), filters)
}

/// The same for text with styles, which only a person gets.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn styled_stdout() -> Harmless<anstream::AutoStream<io::StdoutLock<'static>>> {
    let stdout = anstream::stdout();
    let filters = stdout.is_terminal();
    Harmless::new(stdout.lock(), filters)
}

/// Stderr: talk, harmless wherever it goes, since logs are read on terminals too.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn stderr() -> Harmless<anstream::AutoStream<io::StderrLock<'static>>> {
    Harmless::new(anstream::stderr().lock(), true)
}

/// Columns of the terminal.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0))
}

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
    #[expect(clippy::disallowed_methods, reason = "asks what the streams are, and writes nothing")]
    pub(crate) fn resolve(global: &Global) -> Self {
        let choice = match global.color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::AlwaysAnsi,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            stdin: io::stdin().is_terminal(),
            stdout: stdout.is_terminal(),
            stderr: stderr.is_terminal(),
            colour,
        }
    }

    /// Something worth saying, unless quiet. A stderr that is gone is no reason to fail.
    pub(crate) fn say(self, words: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(stderr(), "{words}");
        }
    }

    /// Something for those who asked for more.
    pub(crate) fn detail(self, words: impl fmt::Display) {
        if self.verbose > 0 {
            let _ = writeln!(stderr(), "{DIM}{words}{PLAIN}");
        }
    }

    /// Something that must be said, quiet or not.
    #[expect(clippy::unused_self, reason = "a sister of `say` and `detail`, called like them")]
    pub(crate) fn warn(self, words: impl fmt::Display) {
        let _ = writeln!(stderr(), "reformer: {words}");
    }

    /// Whether to draw bars and hints.
    pub(crate) fn quiet(self) -> bool {
        self.quiet
    }
}
