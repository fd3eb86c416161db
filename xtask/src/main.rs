//! Project tasks: `cargo xtask ci` runs every check, `cargo xtask tidy` the house rules alone.
//!
//! Knows the tree and cargo, nothing of the code it checks. Plain `std::process`: a task is a list of
//! commands, and the first that fails ends the run with its exit code visible.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // a task runner talks

mod ci;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <ci|tidy>

  ci     format, clippy, tests, doctests, rustdoc and tidy, warnings denied (what .ci/run calls)
  tidy   module docs, unsafe fence, printing in libraries, dependency directions, file lengths";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let outcome = match task.as_deref() {
        Some("ci") => ci::run(&workspace_root()),
        Some("tidy") => tidy::run(&workspace_root()),
        other => {
            if let Some(unknown) = other {
                eprintln!("xtask: there is no task `{unknown}`");
            }
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}
