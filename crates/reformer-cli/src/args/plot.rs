//! `reformer plot`: what is drawn, and along what.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What training curves are drawn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum XChoice {
    /// Optimizer steps.
    Step,
    /// Seconds of training.
    Seconds,
}

/// `reformer plot`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    reformer bench attention --kind lsh,full --length 1024,4096,16384 --json | reformer plot -o attention.svg\n  \
    reformer plot runs/a runs/b -o loss.svg")]
pub(crate) struct PlotArgs {
    /// Files of JSON lines from `reformer bench attention --json` (`-` is stdin), or run directories [default: -]
    #[arg(value_name = "FILE|RUN")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where to [default: stdout]
    #[arg(short, long, value_name = "FILE.svg")]
    pub(crate) output: Option<PathBuf>,
    /// The figure's title
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What the loss of runs is drawn over
    #[arg(long, value_name = "WHAT", default_value = "step")]
    pub(crate) x: XChoice,
}
