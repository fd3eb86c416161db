//! What can go wrong while training.

use std::path::{Path, PathBuf};

use reformer_images::{ImageError, Size};
use reformer_model::ModelError;
use reformer_text::{Raster, TextError};

use crate::recipe::RecipeError;
use crate::saved;

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
    /// Images cannot be read.
    #[error(transparent)]
    Images(ImageError),
    /// Images of another size than those that a model or a run has.
    #[error(
        "{name}: its images are {got} pixels, but {whose} are {expected}; bring them to that size, with `magick FILE \
         -resize {}x{}! FILE`",
        expected.width,
        expected.height
    )]
    ImageSize {
        /// The file.
        name: String,
        /// Its images' size.
        got: Size,
        /// What they should be.
        expected: Size,
        /// Whose size that is.
        whose: String,
    },
    /// A row that is not an image.
    #[error(
        "`length`: got {length}, but an image of {name} is {size} = {} pixels, and a row is one image; write length = {}",
        size.pixels(),
        size.pixels()
    )]
    ImageLength {
        /// The file.
        name: String,
        /// Its images' size.
        size: Size,
        /// Tokens of a row.
        length: usize,
    },
    /// Too few images to hold one out.
    #[error(
        "{name} has one image, and none of it can be held out for validation; name images to measure on with valid = \
         \"FILE\""
    )]
    NoImageToHoldOut {
        /// The file.
        name: String,
    },
    /// The built-in dialogues in place of images.
    #[error(
        "`{key}`: tokenizer.kind = \"pixels\" learns images, and \"demo\" is dialogues; name an IDX file or a folder of \
         PNGs"
    )]
    DemoOfImages {
        /// The recipe's key.
        key: &'static str,
    },
    /// A run's tokenizer of pixels that does not fit the images of its recipe.
    #[error(
        "the checkpoint learned images of {} × {} in {} levels, the recipe's are {} × {} in {}; train the others in a run \
         of their own",
        was.width, was.height, was.levels, is.width, is.height, is.levels
    )]
    OtherRaster {
        /// The checkpoint's.
        was: Raster,
        /// The recipe's.
        is: Raster,
    },
    /// Images for a model of text.
    #[error(
        "this model learned text and takes no images; one that does is trained with tokenizer.kind = \"pixels\""
    )]
    NoImages,
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
    /// Weights to begin with that have no tensor of the model's.
    #[error(
        "{}: no tensor of its model has a name and a shape that the recipe's model has, so there is nothing to begin with; \
         give the recipe the sizes of its config.json, or leave --init out",
        .0.display()
    )]
    NothingInCommon(PathBuf),
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
    /// A corpus that can give nothing up for validation.
    #[error(
        "{name}: {bytes} bytes of text are too little to hold any of it out for validation; name a corpus of its own with \
         valid = \"FILE\""
    )]
    NothingToHoldOut {
        /// The corpus.
        name: String,
        /// Its bytes.
        bytes: usize,
    },
    /// A corpus that is named and is not there.
    #[error("`{key}`: cannot read {}: {problem}", path.display())]
    Corpus {
        /// The recipe's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A step that does not fit.
    #[error(
        "a step needs {needed} bytes, {available} are free: {parts}; make batch, length or the model smaller (`reformer plan` \
         says what each costs and what to change)"
    )]
    Memory {
        /// Bytes by the formula.
        needed: usize,
        /// Bytes that there are.
        available: usize,
        /// The largest parts.
        parts: String,
    },
    /// A fresh run would overwrite another one.
    #[error("{} already holds a run; continue it with --resume, or choose another --out", .0.display())]
    Occupied(PathBuf),
    /// Somebody trains in the directory.
    #[error("{}: {holder} trains here; wait for it or stop it, or choose another --out", run.display())]
    Locked {
        /// The run directory.
        run: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The directory is not where it was when the run began.
    #[error(
        "{}: the run's directory was moved or replaced after step {step}; nothing more is written. Go on where it is now \
         with --resume=DIR",
        run.display()
    )]
    Moved {
        /// Where it was.
        run: PathBuf,
        /// The last step.
        step: u64,
    },
    /// A model without the state of a training.
    #[error(
        "{}: a model without training state (training_state.json, training_state.safetensors), as a pretrained one: there is \
         no training to resume",
        .0.display()
    )]
    NoTrainingState(PathBuf),
    /// A checkpoint to begin with after which no step is left.
    #[error(
        "{}: saved after step {step}, and the recipe has {steps}: nothing is left to train; give it more, for example \
         --set steps={}",
        path.display(),
        2 * step
    )]
    NothingLeft {
        /// The checkpoint.
        path: PathBuf,
        /// Its step.
        step: u64,
        /// The recipe's steps.
        steps: u64,
    },
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
    #[error("{}: {problem}; {}", path.display(), earlier(path))]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An evaluation came to no number.
    #[error("the loss of {tokens} tokens is {loss}: the model predicts nothing; use an earlier checkpoint")]
    EvaluatedToNothing {
        /// Tokens evaluated.
        tokens: usize,
        /// The loss.
        loss: f64,
    },
    /// The loss, a gradient or a parameter is NaN or infinite.
    #[error("step {step}: {what}{place}; {}", last_good(kept.as_deref(), "try a lower learning_rate or optimizer.clip"))]
    NonFinite {
        /// The step.
        step: u64,
        /// What is not finite.
        what: String,
        /// In brackets where it is, ` (block 3: output of attention)`, or nothing.
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

impl TrainError {
    /// A file or directory that cannot be written.
    pub(crate) fn saving(path: &Path, error: &std::io::Error) -> Self {
        Self::Save { path: path.to_owned(), problem: error.to_string(), kept: None }
    }

    /// The error with the checkpoint that is left to continue from.
    pub(crate) fn with_kept(mut self, newest: Option<PathBuf>) -> Self {
        if let Self::NonFinite { kept, .. } | Self::Save { kept, .. } = &mut self {
            *kept = newest;
        }
        self
    }
}

/// What a damaged checkpoint can be replaced by.
fn earlier(state: &Path) -> String {
    let damaged = state.parent().unwrap_or(state);
    let others = damaged.parent().map(saved::complete).unwrap_or_default();
    let before = others.into_iter().rev().map(|(_, path)| path).find(|path| path != damaged);
    match before {
        Some(path) => {
            format!("copy it again, or begin with --resume={} --out=DIR, another directory", path.display())
        }
        None => "copy it again, or begin anew with another --out".to_owned(),
    }
}

fn last_good(kept: Option<&Path>, advice: &str) -> String {
    match kept {
        Some(path) => format!("the last good checkpoint is {}; {advice} and --resume", path.display()),
        None => format!("no checkpoint was saved yet; {advice}"),
    }
}
