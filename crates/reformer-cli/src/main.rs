//! The binary `reformer`: glue between what was typed and the libraries.
//!
//! ```text
//! args → resolved plan → run → exit code
//! ```
//!
//! Only this crate prints, reads the clock, watches signals and looks at the environment.

#![forbid(unsafe_code)]

mod args;
mod command;
mod decoding;
mod demo_tables;
mod desk;
mod exit;
mod figure;
mod harmless;
mod interrupt;
mod json;
mod machine;
mod number;
mod open_model;
mod process;
mod progress;
mod prompt_text;
mod repl;
mod sampling;
mod shipped;
mod stream;
mod style;
mod terminal;
mod user_folder;
mod waiting;
mod wrap;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use terminal::Terminal;

fn main() -> ExitCode {
    exit::conclude(run(&Cli::parse()))
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    machine::choose_instructions(global)?;
    let terminal = Terminal::resolve(global);
    match &cli.command {
        Command::Train(args) => command::train::run(args, global, terminal),
        Command::Eval(args) => command::eval::run(args, global, terminal),
        Command::Generate(args) => command::generate::run(args, global, terminal),
        Command::Chat(args) => command::chat::run(args, global, terminal),
        Command::Serve(args) => command::serve::run(args, global, terminal),
        Command::Inspect(args) => command::inspect::run(args, global, terminal),
        Command::Data(data) => command::data::run(data, global, terminal),
        Command::Bench(what) => command::bench::run(what, global, terminal),
        Command::Recipe(args) => command::recipe::run(args),
        Command::Plan(args) => command::plan::run(args, global, terminal),
        Command::Plot(args) => command::plot::run(args, terminal),
        Command::Explain(args) => command::explain::run(args, global, terminal),
        Command::Completions { shell } => command::completions::run(*shell),
    }
}
