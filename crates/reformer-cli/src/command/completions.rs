//! `reformer completions`: a shell's completion script from the same definitions that parse the flags.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;

/// Prints the script.
pub(crate) fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    // Generated in memory first: clap_complete panics when its writer fails, and `| head` is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "reformer", &mut script);
    crate::terminal::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
