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

const USAGE: &str = "usage: cargo xtask <ci [--data]|tidy>

  ci     format, tidy, clippy, tests, doctests and rustdoc, warnings denied (what .ci/run calls)
         --data runs the tests on corpora and vectors too; REFORMER_DATA names their folder
  tidy   module docs, unsafe fence, printing in libraries, dependency directions, circles between files,
         words with two meanings, lengths and widths, comments that say why";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["ci"] => ci::run(&workspace_root(), false),
        ["ci", "--data"] => ci::run(&workspace_root(), true),
        ["tidy"] => tidy::run(&workspace_root()),
        _ => {
            if !arguments.is_empty() {
                eprintln!("xtask: there is no task `{}`", arguments.join(" "));
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
