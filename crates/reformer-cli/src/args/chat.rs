//! `reformer chat`: whom to talk to, and from where on.

use std::path::PathBuf;

use clap::Args;

use super::decoding::{DecodingArgs, SamplingArgs};

/// `reformer chat`.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// A run or a checkpoint directory [default: the chatbot that the command brings along]
    #[arg(value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Tell a story in turn, with a model of plain text: your line, then its paragraph
    #[arg(long, conflicts_with_all = ["system", "tables"])]
    pub(crate) story: bool,
    /// An instruction that stands before the conversation
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Say this, print the reply and leave; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Continue a conversation that /save wrote, or a story
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,
    /// Let the model look things up in this SQLite file (see `reformer data tables`); -v shows what it asks [default:
    /// tables.sqlite in the run, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) tables: Option<PathBuf>,
    /// Keep bookings in this file, which is made if it is not there [default: bookings.sqlite beside the run's tables;
    /// with --tables, forget them at the end]
    #[arg(long, value_name = "FILE")]
    pub(crate) bookings: Option<PathBuf>,
    /// Print the speed after every reply
    #[arg(long)]
    pub(crate) stats: bool,
    /// Neither read nor write the history file
    #[arg(long)]
    pub(crate) no_history: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
    /// Print each reply as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
