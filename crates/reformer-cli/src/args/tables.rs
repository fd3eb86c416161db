//! Flags of what has to do with tables.

use std::path::PathBuf;

use clap::Args;

/// `reformer data tables`.
#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    /// The folder with NAME.csv and NAME.json, one table each, packed with gzip or not
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Which tables and columns may be asked [default: all of them, as text]
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// The SQLite file to make; the schema is written beside it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// `reformer data ground`.
#[derive(Debug, Args)]
pub(crate) struct GroundArgs {
    /// Dialogues with a state after each user turn: JSONL, or files of Schema-Guided Dialogue and MultiWOZ 2.2
    #[arg(value_name = "FILE", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Dialogues without states: those that ask for a table by its `mentions` in the schema, and that are in none of
    /// the other files, are grounded too
    #[arg(long, value_name = "FILE")]
    pub(crate) plain: Option<PathBuf>,
    /// The database that `data tables` made
    #[arg(long, value_name = "FILE")]
    pub(crate) tables: PathBuf,
    /// Where to write the dialogues with their lookups, JSONL of messages (.gz packs it)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Dialogues to read at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}
