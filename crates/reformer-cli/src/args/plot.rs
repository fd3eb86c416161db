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
    /// Tokens of training.
    Tokens,
}

/// An axis of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AxisChoice {
    /// Across.
    X,
    /// Up.
    Y,
}

/// `reformer plot`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    reformer bench attention --kind lsh,full --length 1024,4096,16384 --json | reformer plot -o attention.svg\n  \
    reformer plot runs/a runs/b --x tokens --log y -o loss.png\n  \
    reformer eval runs/a --data test.jsonl --num-hashes 1,2,4,8 --json | reformer plot -o rounds.svg")]
pub(crate) struct PlotArgs {
    /// Files of JSON lines from `bench attention --json` or `eval --json` (`-` is stdin), or run directories
    /// [default: -]
    #[arg(value_name = "FILE|RUN")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where to, a PNG by its name, else an SVG [default: stdout]
    #[arg(short, long, value_name = "FILE.svg|FILE.png")]
    pub(crate) output: Option<PathBuf>,
    /// The figure's title
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What the loss of runs is drawn over
    #[arg(long, value_name = "WHAT", default_value = "step")]
    pub(crate) x: XChoice,
    /// Which linear axes become logarithmic
    #[arg(long, value_name = "AXIS,…", value_delimiter = ',')]
    pub(crate) log: Vec<AxisChoice>,
}
