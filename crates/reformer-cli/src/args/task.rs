//! Flags of `reformer eval` that measure how well a model helps: Inform, Success, BLEU, joint goal accuracy.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is measured, and against what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Helping: Inform, Success, BLEU, joint goal accuracy")]
pub(crate) struct TaskArgs {
    /// Dialogues with states, as `data ground` reads them: the model replies to each user turn, by its own lookups
    #[arg(long, value_name = "FILE", requires = "tables", conflicts_with_all = ["data", "length", "decode"])]
    pub(crate) dialogues: Option<PathBuf>,
    /// The database that they are about; `data tables` makes it
    #[arg(long, value_name = "FILE")]
    pub(crate) tables: Option<PathBuf>,
    /// What each user was told to want: for Inform and Success
    #[arg(long, value_name = "FILE", requires = "tables")]
    pub(crate) goals: Option<PathBuf>,
    /// Which domains are booked by each turn, the evaluator's booked_domains.json [default: as the dialogues tell]
    #[arg(long, value_name = "FILE", requires = "goals")]
    pub(crate) booked: Option<PathBuf>,
    /// Score these predictions instead of a model's
    #[arg(long, value_name = "FILE", requires = "tables", conflicts_with_all = ["oracle", "data", "num_hashes"])]
    pub(crate) score: Option<PathBuf>,
    /// Score the dialogues' own lookups and words instead of a model's: what can be reached
    #[arg(long, requires = "dialogues", conflicts_with = "num_hashes")]
    pub(crate) oracle: bool,
    /// Where to write the predictions, in the form of MultiWOZ's public evaluator
    #[arg(long, value_name = "FILE", requires = "dialogues", conflicts_with = "score")]
    pub(crate) predictions: Option<PathBuf>,
    /// Where to write the dialogues as the model held them, with its lookups, JSONL of messages
    #[arg(long, value_name = "FILE", requires = "dialogues", conflicts_with_all = ["score", "oracle"])]
    pub(crate) transcripts: Option<PathBuf>,
    /// Dialogues to hold at most, the first ones
    #[arg(long, value_name = "N", requires = "dialogues", conflicts_with = "score", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// What a reply follows: the model's own earlier replies, as in use, or the corpus's, as state trackers are
    /// measured
    #[arg(long, value_name = "WHOSE", default_value = "own", requires = "dialogues", conflicts_with_all = ["score", "oracle"])]
    pub(crate) follow: Whose,
    /// Divides the logits of replies; 0 always takes the most likely token
    #[arg(long, visible_alias = "temp", value_name = "T", default_value_t = 0.0, requires = "dialogues")]
    pub(crate) temperature: f32,
}

/// Whose replies stand in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Whose {
    /// The model's.
    Own,
    /// The corpus's; lookups are the model's all the same.
    Corpus,
}

impl TaskArgs {
    /// Whether it is help that is measured.
    pub(crate) fn asked(&self) -> bool {
        self.dialogues.is_some() || self.score.is_some()
    }
}
