//! What can go wrong while training.

use std::path::{Path, PathBuf};

use reformer_model::ModelError;
use reformer_text::TextError;

use crate::recipe::RecipeError;

/// The one error type of the crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The model refuses.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A corpus or tokenizer cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The threads cannot be had.
    #[error("cannot start {count} threads: {reason}; pass a smaller --threads")]
    Threads {
        /// How many were asked for.
        count: usize,
        /// Why not.
        reason: String,
    },
    /// `packing.longer = "drop"` leaves nothing.
    #[error(
        "each of the {dialogues} training dialogues is longer than {length} tokens, so packing.longer = \"drop\" leaves \
         none; raise length, or write longer = \"split\""
    )]
    AllTooLong {
        /// Dialogues of the corpus.
        dialogues: usize,
        /// Tokens of a row.
        length: usize,
    },
    /// A corpus holds no token.
    #[error(
        "the {name} corpus is empty: {dialogues} dialogues and not one token; name a file with dialogues in it"
    )]
    EmptyCorpus {
        /// Which corpus.
        name: String,
        /// Its dialogues.
        dialogues: usize,
    },
    /// A corpus shorter than one row.
    #[error(
        "the corpus has {tokens} tokens, too few for one row of {len} and its next token; use a shorter length"
    )]
    ShortCorpus {
        /// Its tokens.
        tokens: usize,
        /// Tokens of a row.
        len: usize,
    },
    /// A corpus whose every loss weight is zero.
    #[error(
        "the {name} corpus has no assistant turn, so packing.loss_on = \"assistant\" leaves nothing to learn; \
         use packing.loss_on = \"all\""
    )]
    NothingToLearn {
        /// Which corpus.
        name: String,
    },
    /// A fresh run would overwrite another one.
    #[error("{} already holds a run; continue it with --resume, or choose another --out", .0.display())]
    Occupied(PathBuf),
    /// Resuming would go back behind a later checkpoint of the same run.
    #[error(
        "{} is not the newest checkpoint of its run, {} is; resume that one, or go on from this one in a directory of \
         its own with --out",
        path.display(),
        newest.display()
    )]
    NotNewest {
        /// The checkpoint asked for.
        path: PathBuf,
        /// The run's newest.
        newest: PathBuf,
    },
    /// There is nothing to resume or to load.
    #[error("no complete checkpoint in {}; expected checkpoints/step-…, or config.json and model.safetensors", .0.display())]
    NoCheckpoint(PathBuf),
    /// A recipe that does not fit the checkpoint.
    #[error(
        "cannot resume: `{key}` was {was} and is now {now}; restore it, or start a new run with another --out"
    )]
    Changed {
        /// The recipe's key.
        key: String,
        /// Its value in the checkpoint.
        was: String,
        /// Its value now.
        now: String,
    },
    /// A checkpoint's training state cannot be used.
    #[error("{}: {problem}; remove this checkpoint to resume from the one before", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The loss, a gradient or a parameter is NaN or infinite.
    #[error("step {step}: {what}{place}; {}", last_good(kept.as_deref(), "try a lower learning_rate or optimizer.clip"))]
    NonFinite {
        /// The step.
        step: u64,
        /// What is not finite.
        what: String,
        /// ` in layer 3 (tensor …)`, or empty.
        place: String,
        /// The last good checkpoint.
        kept: Option<PathBuf>,
    },
    /// A checkpoint cannot be written.
    #[error("cannot save {}: {problem}; {}", path.display(), last_good(kept.as_deref(), "free space or change --out"))]
    Save {
        /// The directory or file that was being written.
        path: PathBuf,
        /// Why it failed.
        problem: String,
        /// The last good checkpoint.
        kept: Option<PathBuf>,
    },
}

fn last_good(kept: Option<&Path>, advice: &str) -> String {
    match kept {
        Some(path) => format!("the last good checkpoint is {}; {advice} and --resume", path.display()),
        None => format!("no checkpoint was saved yet; {advice}"),
    }
}
