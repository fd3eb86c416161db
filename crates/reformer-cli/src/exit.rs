//! How the program ends: exit codes and the last words on stderr.
//!
//! 0 done · 1 ran and failed · 2 usage or configuration · 130 interrupted. A closed pipe (`| head`) is a reader who has
//! seen enough, so it is 0. Errors are one line with the program's name, then the chain of causes.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Marks an error as the user's words or configuration: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) anyhow::Error);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Usage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// An error with exit code 2.
pub(crate) fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(Usage(error.into()))
}

/// The exit code of an interrupt: 128 + SIGINT, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Turns a command's result into an exit code, reporting an error on stderr.
pub(crate) fn conclude(result: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    report(&error);
    if error.chain().any(<dyn std::error::Error>::is::<Usage>) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        // serde_json wraps the error of a writer without handing it out as a source.
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

/// Prints the error and what caused it; a cause whose words the line above already holds is not repeated.
pub(crate) fn report(error: &anyhow::Error) {
    let mut stderr = crate::terminal::stderr();
    let mut said = error.to_string();
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(stderr, "reformer: {said}");
    for cause in error.chain().skip(1) {
        let words = cause.to_string();
        if !said.contains(&words) {
            let _ = writeln!(stderr, "  because: {words}");
            said = words;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn broken() -> io::Error {
        io::Error::from(io::ErrorKind::BrokenPipe)
    }

    #[test]
    fn a_broken_pipe_is_found_anywhere_in_the_chain() {
        assert!(is_broken_pipe(&anyhow::Error::new(broken()).context("writing")));
        assert!(is_broken_pipe(&anyhow::Error::new(serde_json::Error::io(broken()))));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }

    #[test]
    fn a_usage_error_is_recognised_below_added_context() {
        let error = Err::<(), _>(usage(anyhow::anyhow!("no such key"))).context("recipe.toml").unwrap_err();
        assert!(error.chain().any(<dyn std::error::Error>::is::<Usage>));
    }
}
