//! A run: the trainer over a directory, with events, checkpoints, evaluations, stopping and resuming.
//!
//! ```text
//! runs/<name>/recipe.toml       resolved        metrics.jsonl, train.log    see journal
//!             checkpoints/      see checkpoint
//! ```
//!
//! One process trains in a directory at a time ([`lock`]). Nothing is written, and nothing of an older run touched,
//! before everything that can fail has been checked ([`prepare`], [`replaced`]); then steps follow ([`session`]). The
//! clock, the events' reader, the sampler and the wish to stop are arguments.

mod changes;
mod lock;
mod options;
mod prepare;
mod replaced;
mod session;

use std::path::{Path, PathBuf};

use reformer_text::TextError;

use crate::checkpoint::{self, Checkpoints};
use crate::error::TrainError;
use crate::recipe::Recipe;
use lock::Lock;
pub use options::{Outcome, RECIPE, Resume, Sampler, Surroundings, TrainOptions};
use session::Session;

/// Trains; see the module's documentation.
pub fn train(options: TrainOptions, around: Surroundings<'_>) -> Result<Outcome, TrainError> {
    let (out, checkpoints) = (options.out.clone(), Checkpoints::of(&options.out));
    let mut lock = Lock::take(&out, &options.holder)?;
    let aside = |error: std::io::Error| TrainError::saving(&out, &error);
    // An overwriting that was killed on its way: the old run counts until the new one has saved something.
    if checkpoints.newest().is_some() { replaced::forget(&out) } else { replaced::put_back(&out) }
        .map_err(aside)?;
    let from = beginning(&options, &checkpoints)?;
    if let Some(from) = &from
        && let Some(complete) = complete(&options.recipe, &checkpoints, from)?
    {
        return Ok(complete);
    }
    let overwrite = options.resume == Resume::Overwrite;
    let outcome = match Session::begin(options, &checkpoints, &mut lock, from, around) {
        // Nothing was begun, so nothing is lost: the newest checkpoint, if there is one, is where it was.
        Err(TrainError::Text(TextError::Stopped)) => interrupted(&checkpoints),
        begun => begun.and_then(Session::go),
    };
    let nothing_saved = match &outcome {
        Ok(outcome) => matches!(outcome, Outcome::Interrupted { checkpoint: None, .. }),
        Err(_) => true,
    };
    if overwrite && nothing_saved && checkpoints.newest().is_none() {
        replaced::put_back(&out).map_err(aside)?;
    }
    // Whatever ended the run early, the message names what is left to continue from.
    outcome.map_err(|error| error.with_kept(checkpoints.newest()))
}

/// What a wish to stop before the first step leaves.
fn interrupted(checkpoints: &Checkpoints) -> Result<Outcome, TrainError> {
    let checkpoint = checkpoints.newest();
    let state = checkpoint.as_deref().map(checkpoint::read_state).transpose()?;
    Ok(Outcome::Interrupted { checkpoint, step: state.map_or(0, |state| state.step) })
}

/// The checkpoint to begin at, if any. Changes nothing.
fn beginning(options: &TrainOptions, checkpoints: &Checkpoints) -> Result<Option<PathBuf>, TrainError> {
    match &options.resume {
        Resume::Fresh | Resume::Init(_) if checkpoints.any() => {
            Err(TrainError::Occupied(options.out.clone()))
        }
        Resume::Fresh | Resume::Init(_) | Resume::Overwrite => Ok(None),
        Resume::Newest => {
            checkpoints.newest().map(Some).ok_or_else(|| TrainError::NoCheckpoint(options.out.clone()))
        }
        Resume::From(path) => branch(path, &options.out, checkpoints).map(Some),
    }
}

/// A named checkpoint to begin at: its own run's newest, or one of another run to begin a new directory with. Going
/// back inside a run would leave checkpoints of two pasts side by side.
fn branch(path: &Path, out: &Path, checkpoints: &Checkpoints) -> Result<PathBuf, TrainError> {
    let path = path.canonicalize().map_err(|_| TrainError::NoCheckpoint(path.to_owned()))?;
    if !checkpoint::is_complete(&path) {
        return Err(TrainError::NoTrainingState(path));
    }
    match checkpoints.newest().and_then(|newest| newest.canonicalize().ok()) {
        None => Ok(path),
        Some(newest) if newest == path => Ok(path),
        Some(newest) if newest.parent() == path.parent() => Err(TrainError::NotNewest { path, newest }),
        Some(_) => Err(TrainError::Occupied(out.to_owned())),
    }
}

/// The outcome of going on from a checkpoint after which nothing is left to do; an error where that would begin a
/// directory that holds nothing.
fn complete(recipe: &Recipe, checkpoints: &Checkpoints, from: &Path) -> Result<Option<Outcome>, TrainError> {
    let step = checkpoint::read_state(from)?.step;
    // How many steps epochs are only the corpus tells.
    if recipe.epochs > 0.0 || step < recipe.steps {
        return Ok(None);
    }
    let newest = checkpoints.newest().and_then(|newest| newest.canonicalize().ok());
    if newest != from.canonicalize().ok() {
        return Err(TrainError::NothingLeft { path: from.to_owned(), step, steps: recipe.steps });
    }
    if checkpoint::read_eval(from).is_none() {
        return Ok(None);
    }
    checkpoints.tidy(recipe.keep)?;
    let (best, steps) = (checkpoints.best(), recipe.steps);
    Ok(Some(Outcome::Complete { checkpoint: from.to_owned(), best, step, steps }))
}

/// The recipe of a run directory with overrides laid over it: what `--resume` continues with.
pub fn recipe_of_run(run: &Path, sets: &[(String, String)]) -> Result<Recipe, TrainError> {
    Ok(Recipe::load(&run.join(RECIPE), sets)?)
}
