//! What is saved, when it counts as saved, and how it is found again.
//!
//! ```text
//! runs/<name>/checkpoints/
//!   step-000500/        config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json
//!                       training_state.json, training_state.safetensors, and eval.json once it was evaluated
//!   best  -> step-000500
//!   last  -> step-001000
//! ```
//!
//! A checkpoint is a Hugging Face directory with the training state beside it. It is written under a name that
//! nobody reads, every file and the directory are synced, and then it is renamed: under its own name it is complete
//! or absent, whatever moment a kill or a power cut chooses. `best` and `last` are symbolic links, because a link can
//! be replaced in one rename and a directory cannot; where there are none (Windows) they are files that hold the
//! name. They are conveniences: a resume goes by the newest `step-` directory, and a reader that finds a link broken
//! falls back to it.
//!
//! The best evaluation is remembered where it was measured, as `eval.json` in the checkpoint (saved *before* it was
//! evaluated), so the training state never has to be rewritten.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use reformer_model::Model;
use reformer_text::Tokenizer;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::evaluate::EvalReport;
use crate::optimizer::Optimizer;
use crate::packing::Fingerprint;
use crate::saved::{CHECKPOINTS, MOMENTS, STATE, complete, stepped};

pub use crate::saved::is_complete;

const EVAL: &str = "eval.json";
/// Prefix of names that are being written or removed; readers skip them, the next run clears them away.
const HIDDEN: &str = ".unfinished-";

/// Where a run stands, beside the weights and the optimizer's moments. The data's position follows from the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Steps done.
    pub step: u64,
    /// Tokens since the run's beginning.
    pub tokens: u64,
    /// Training seconds since the run's beginning.
    pub seconds: f64,
    /// The resolved recipe.
    pub recipe: String,
    /// What the corpora were; absent from older checkpoints.
    #[serde(default)]
    pub corpora: Option<Fingerprints>,
    /// The vector instructions that computed it, whose results differ in last bits; absent from older checkpoints.
    #[serde(default)]
    pub simd: Option<String>,
}

/// What a run's corpora are, to know them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// Of the training corpus.
    pub train: Fingerprint,
    /// Of what evaluations measure.
    pub valid: Fingerprint,
}

/// An evaluation as it is remembered: losses on different tokens do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// What was found.
    #[serde(flatten)]
    pub report: EvalReport,
    /// On what; absent from older checkpoints.
    #[serde(default)]
    pub corpus: Option<Fingerprint>,
}

/// A run's `checkpoints/` folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// The folder of a run directory; it need not exist.
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join(CHECKPOINTS) }
    }

    /// Creates the folder and clears away what a kill left unfinished.
    pub fn prepare(&self) -> Result<(), TrainError> {
        let failed = |error| self.failed(&self.folder, error);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        for entry in fs::read_dir(&self.folder).map_err(failed)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(HIDDEN) {
                remove(&entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether there is a checkpoint, complete or damaged.
    pub fn any(&self) -> bool {
        !stepped(&self.folder).is_empty()
    }

    /// After a kill around a save: points `last` at the newest and removes what [`Checkpoints::prune`] would have.
    pub(crate) fn tidy(&self, keep: usize) -> Result<(), TrainError> {
        if let Some((step, path)) = self.steps().pop()
            && self.named("last").is_none_or(|last| last != path)
        {
            let name = format!("step-{step:06}");
            self.point("last", &name).map_err(|error| self.failed(&path, error))?;
        }
        self.prune(keep)
    }

    /// The complete checkpoints, oldest first.
    pub fn steps(&self) -> Vec<(u64, PathBuf)> {
        complete(&self.folder)
    }

    /// The newest complete checkpoint.
    pub fn newest(&self) -> Option<PathBuf> {
        self.steps().pop().map(|(_, path)| path)
    }

    /// What `best` or `last` names, if it is complete.
    pub fn named(&self, name: &str) -> Option<PathBuf> {
        let link = self.folder.join(name);
        let target = fs::read_link(&link)
            .or_else(|_| fs::read_to_string(&link).map(|text| text.trim().into()))
            .ok()?;
        let path = self.folder.join(target);
        is_complete(&path).then_some(path)
    }

    /// The best checkpoint's evaluation.
    pub fn best(&self) -> Option<EvalReport> {
        read_eval(&self.named("best")?)
    }

    /// Saves a checkpoint and points `last` at it. One that is there already under this step is replaced. On a full
    /// disk what `keep` would remove afterwards is removed first, and the save tried again.
    pub fn save(
        &self,
        state: &TrainingState,
        model: &Model,
        tokenizer: &Tokenizer,
        optimizer: &mut Optimizer,
        keep: usize,
    ) -> Result<PathBuf, TrainError> {
        let name = format!("step-{:06}", state.step);
        let (unfinished, path) = (self.hidden(&name), self.folder.join(&name));
        let attempt = || {
            let done = write(&unfinished, state, model, tokenizer, optimizer)
                .and_then(|()| Ok(self.publish(&unfinished, &path)?))
                .and_then(|()| Ok(self.point("last", &name)?));
            // Gives the space back; the cause is what matters.
            done.inspect_err(|_| drop(remove(&unfinished)))
        };
        let problem = |error: Fault| self.problem(&path, error.to_string());
        self.with_room(keep, attempt).map_err(problem)?;
        Ok(path)
    }

    /// Tries once more if the disk was full and something may go.
    fn with_room(&self, keep: usize, mut attempt: impl FnMut() -> Result<(), Fault>) -> Result<(), Fault> {
        attempt()
            .or_else(|error| if is_full(&*error) && self.make_room(keep)? { attempt() } else { Err(error) })
    }

    /// Removes what may go once the next checkpoint is there, if that is anything; the newest stays.
    fn make_room(&self, keep: usize) -> Result<bool, TrainError> {
        let before = self.steps().len();
        self.prune(keep.saturating_sub(1))?;
        Ok(self.steps().len() < before)
    }

    /// A name that nobody reads and no other process writes to.
    fn hidden(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{HIDDEN}{}-{name}", std::process::id()))
    }

    /// Gives a complete directory its name. If the name is taken (a step taken again after resuming from an older
    /// one), the old directory steps aside first: a kill between the two renames leaves the step absent, never mixed.
    fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        let aside = self.hidden("replaced");
        if to.exists() {
            remove(&aside)?;
            fs::rename(to, &aside)?;
        }
        fs::rename(from, to)?;
        sync(&self.folder)?;
        remove(&aside)
    }

    fn point(&self, link: &str, name: &str) -> io::Result<()> {
        let unfinished = self.hidden(link);
        remove(&unfinished)?;
        make_link(name, &unfinished)?;
        fs::rename(&unfinished, self.folder.join(link))?;
        sync(&self.folder)
    }

    /// Whether a checkpoint with this evaluation is better than the one `best` names. What is not a number is never the
    /// best, and neither stays it; one of other tokens says nothing about these.
    pub fn is_best(&self, step: u64, evaluated: &Evaluated) -> bool {
        let path = self.folder.join(format!("step-{step:06}"));
        let best = self.named("best").filter(|best| *best != path).and_then(|best| read_evaluated(&best));
        let comparable = |best: &Evaluated| {
            let same = best.corpus.is_none() || best.corpus == evaluated.corpus;
            same && best.report.loss.is_finite()
        };
        let better = |best: Evaluated| evaluated.report.loss < best.report.loss;
        evaluated.report.loss.is_finite() && best.filter(comparable).is_none_or(better)
    }

    /// Records a checkpoint's evaluation; `best` points at it if it is the best. The evaluation's own file comes
    /// last: a kill before it leaves a checkpoint that still owes its evaluation.
    pub fn record_eval(&self, step: u64, evaluated: &Evaluated, best: bool) -> Result<(), TrainError> {
        let name = format!("step-{step:06}");
        if best {
            self.point("best", &name).map_err(|error| self.failed(&self.folder.join("best"), error))?;
        }
        write_whole(&self.folder.join(&name).join(EVAL), pretty(evaluated).as_bytes())
    }

    /// Removes all but the newest `keep` checkpoints and the one `best` names.
    pub fn prune(&self, keep: usize) -> Result<(), TrainError> {
        let best = self.named("best");
        let mut steps = self.steps();
        steps.truncate(steps.len().saturating_sub(keep.max(1)));
        for (step, path) in steps.into_iter().filter(|(_, path)| Some(path) != best.as_ref()) {
            // Under a hidden name first: a checkpoint half removed must not look like one.
            let doomed = self.hidden(&format!("pruned-{step}"));
            fs::rename(&path, &doomed)
                .and_then(|()| remove(&doomed))
                .map_err(|error| self.failed(&path, error))?;
        }
        Ok(())
    }

    fn failed(&self, path: &Path, error: io::Error) -> TrainError {
        self.problem(path, error.to_string())
    }

    fn problem(&self, path: &Path, problem: String) -> TrainError {
        TrainError::Save { path: path.to_owned(), problem, kept: self.newest() }
    }
}

/// Any of the faults that writing a checkpoint has.
type Fault = Box<dyn Error + Send + Sync>;

/// Whether the disk is full, by the causes of a fault.
fn is_full(fault: &(dyn Error + 'static)) -> bool {
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    let mut cause = Some(fault);
    while let Some(now) = cause {
        if now.downcast_ref::<io::Error>().is_some_and(|error| kinds.contains(&error.kind())) {
            return true;
        }
        cause = now.source();
    }
    false
}

/// Writes a checkpoint's files and syncs them and their directory.
fn write(
    folder: &Path,
    state: &TrainingState,
    model: &Model,
    tokenizer: &Tokenizer,
    optimizer: &mut Optimizer,
) -> Result<(), Fault> {
    remove(folder)?;
    fs::create_dir(folder)?;
    model.save(folder)?;
    tokenizer.save(folder)?;
    // A pixel is drawn as it is: cutting off the unlikely makes pictures dark and flat.
    let (temperature, top_k, top_p) =
        if tokenizer.raster().is_some() { (1.0, 0, 1.0) } else { (0.8, 40, 0.95) };
    let generation = serde_json::json!({
        "do_sample": true,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "eos_token_id": tokenizer.stop_tokens(tokenizer.form()),
        "pad_token_id": tokenizer.pad_token(),
    });
    fs::write(folder.join("generation_config.json"), pretty(&generation))?;
    fs::write(folder.join(STATE), pretty(state))?;
    let arrays = optimizer.state();
    let views = arrays.iter().map(|(name, values)| {
        let view = TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values));
        view.map(|view| (name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize_to_file(views, None, &folder.join(MOMENTS))?;
    for entry in fs::read_dir(folder)?.flatten() {
        sync(&entry.path())?;
    }
    Ok(sync(folder)?)
}

/// A checkpoint's evaluation, if it has one.
pub fn read_eval(checkpoint: &Path) -> Option<EvalReport> {
    read_evaluated(checkpoint).map(|evaluated| evaluated.report)
}

fn read_evaluated(checkpoint: &Path) -> Option<Evaluated> {
    serde_json::from_str(&fs::read_to_string(checkpoint.join(EVAL)).ok()?).ok()
}

/// A checkpoint's training state.
pub fn read_state(checkpoint: &Path) -> Result<TrainingState, TrainError> {
    let path = checkpoint.join(STATE);
    let text = fs::read_to_string(&path).map_err(|error| TrainError::State {
        path: path.clone(),
        problem: format!("cannot be read: {error}"),
    })?;
    serde_json::from_str(&text)
        .map_err(|error| TrainError::State { path, problem: format!("is no training state: {error}") })
}

/// Fills an optimizer with a checkpoint's moments.
pub fn read_moments(checkpoint: &Path, optimizer: &mut Optimizer) -> Result<(), TrainError> {
    let path = checkpoint.join(MOMENTS);
    let bad = |problem: String| TrainError::State { path: path.clone(), problem };
    let bytes =
        reformer_files::read(&path, u64::MAX).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|error| bad(format!("is no safetensors file: {error}")))?;
    for (name, values) in optimizer.state() {
        let tensor =
            file.tensor(&name).map_err(|_| bad(format!("has no \"{name}\"; was optimizer.kind changed?")))?;
        if tensor.dtype() != Dtype::F32 || tensor.data().len() != 4 * values.len() {
            let got = format!("\"{name}\" is {:?} of {} bytes", tensor.dtype(), tensor.data().len());
            return Err(bad(format!("{got}, expected F32 of {} bytes", 4 * values.len())));
        }
        bytemuck::cast_slice_mut::<f32, u8>(values).copy_from_slice(tensor.data());
        if !reformer_tensor::elementwise::all_finite(values) {
            return Err(bad(format!("\"{name}\" holds a number that is not finite")));
        }
    }
    Ok(())
}

/// A directory a model can be loaded from: a checkpoint itself; of a run the best checkpoint, else the last, else
/// the newest.
pub fn resolve_checkpoint(dir: &Path) -> Result<PathBuf, TrainError> {
    if dir.join("config.json").is_file() {
        return Ok(dir.to_owned());
    }
    let run = Checkpoints::of(dir);
    // An evaluation that is there and cannot be read was of a model whose loss was no number.
    let sound = |path: &PathBuf| !path.join(EVAL).exists() || read_eval(path).is_some();
    let found = run.named("best").filter(sound).or_else(|| run.named("last")).or_else(|| run.newest());
    found.ok_or_else(|| TrainError::NoCheckpoint(dir.to_owned()))
}

/// Puts a file at its place whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    reformer_files::replace(path, bytes).map_err(|error| TrainError::Save {
        path: path.to_owned(),
        problem: error.to_string(),
        kept: None,
    })
}

fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain values can be written");
    text.push('\n');
    text
}

/// Flushes a file or directory to the disk. Directories cannot be opened everywhere; where they can, a rename in
/// them is durable only after this.
fn sync(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn make_link(name: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(name, link)
}

#[cfg(not(unix))]
fn make_link(name: &str, link: &Path) -> io::Result<()> {
    fs::write(link, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::FILES;

    /// Three checkpoints, and how often a save on a disk with room for `fits` of them was tried.
    fn saves(fits: usize, keep: usize, kind: io::ErrorKind) -> (Vec<u64>, usize, bool) {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(run.path());
        for step in 1..=3 {
            let path = checkpoints.folder.join(format!("step-{step:06}"));
            fs::create_dir_all(&path).unwrap();
            for file in FILES {
                fs::write(path.join(file), "").unwrap();
            }
        }
        let mut tried = 0;
        let saved = checkpoints.with_room(keep, || {
            tried += 1;
            // As a checkpoint's writing reports it, with a cause below.
            let full = TrainError::saving(run.path(), &io::Error::from(kind));
            if checkpoints.steps().len() < fits { Ok(()) } else { Err(io::Error::new(kind, full).into()) }
        });
        (checkpoints.steps().into_iter().map(|(step, _)| step).collect(), tried, saved.is_ok())
    }

    #[test]
    fn a_full_disk_is_given_what_keep_would_remove_and_no_more() {
        let full = io::ErrorKind::StorageFull;
        assert_eq!(saves(4, 1, full), (vec![1, 2, 3], 1, true), "there is room");
        assert_eq!(saves(3, 3, full), (vec![2, 3], 2, true), "one goes");
        assert_eq!(saves(3, 1, full), (vec![3], 2, true), "all but the newest go");
        assert_eq!(saves(1, 1, full), (vec![3], 2, false), "the newest stays though it does not fit");
        assert_eq!(saves(3, 4, full), (vec![1, 2, 3], 1, false), "nothing may go");
        assert_eq!(saves(3, 1, io::ErrorKind::PermissionDenied), (vec![1, 2, 3], 1, false), "another fault");
    }
}
