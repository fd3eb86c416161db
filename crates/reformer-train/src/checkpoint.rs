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

const STATE: &str = "training_state.json";
const MOMENTS: &str = "training_state.safetensors";
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
}

/// A run's `checkpoints/` folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// The folder of a run directory; it need not exist.
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join("checkpoints") }
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

    /// Removes every checkpoint, so that a run can begin anew.
    pub fn clear(&self) -> Result<(), TrainError> {
        remove(&self.folder).map_err(|error| self.failed(&self.folder, error))
    }

    /// The complete checkpoints, oldest first.
    pub fn steps(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut steps: Vec<_> = entries
            .filter_map(|entry| {
                let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
                entry.path().join(STATE).is_file().then(|| (step, entry.path()))
            })
            .collect();
        steps.sort();
        steps
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
        path.join(STATE).is_file().then_some(path)
    }

    /// The best checkpoint's evaluation.
    pub fn best(&self) -> Option<EvalReport> {
        read_eval(&self.named("best")?)
    }

    /// Saves a checkpoint and points `last` at it. One that is there already under this step is replaced.
    pub fn save(
        &self,
        state: &TrainingState,
        model: &Model,
        tokenizer: &Tokenizer,
        optimizer: &mut Optimizer,
    ) -> Result<PathBuf, TrainError> {
        let name = format!("step-{:06}", state.step);
        let (unfinished, path) = (self.folder.join(format!("{HIDDEN}{name}")), self.folder.join(&name));
        write(&unfinished, state, model, tokenizer, optimizer)
            .and_then(|()| self.publish(&unfinished, &path))
            .and_then(|()| self.point("last", &name))
            .map_err(|problem| {
                // Gives the space back; the cause is what matters.
                let _ = remove(&unfinished);
                TrainError::Save { path: path.clone(), problem, kept: self.newest() }
            })?;
        Ok(path)
    }

    /// Gives a complete directory its name. If the name is taken (a step taken again after resuming from an older
    /// one), the old directory steps aside first: a kill between the two renames leaves the step absent, never mixed.
    fn publish(&self, from: &Path, to: &Path) -> Result<(), String> {
        let aside = self.folder.join(format!("{HIDDEN}replaced"));
        let renamed = (|| {
            if to.exists() {
                remove(&aside)?;
                fs::rename(to, &aside)?;
            }
            fs::rename(from, to)?;
            sync(&self.folder)?;
            remove(&aside)
        })();
        renamed.map_err(|error: io::Error| error.to_string())
    }

    fn point(&self, link: &str, name: &str) -> Result<(), String> {
        let unfinished = self.folder.join(format!("{HIDDEN}{link}"));
        let pointed = remove(&unfinished)
            .and_then(|()| make_link(name, &unfinished))
            .and_then(|()| fs::rename(&unfinished, self.folder.join(link)))
            .and_then(|()| sync(&self.folder));
        pointed.map_err(|error| error.to_string())
    }

    /// Whether a checkpoint with this evaluation is better than the one `best` names.
    pub fn is_best(&self, step: u64, report: &EvalReport) -> bool {
        let path = self.folder.join(format!("step-{step:06}"));
        let best = self.named("best").filter(|best| *best != path).and_then(|best| read_eval(&best));
        best.is_none_or(|best| report.loss < best.loss)
    }

    /// Records a checkpoint's evaluation; `best` points at it if it is the best. The evaluation's own file comes
    /// last: a kill before it leaves a checkpoint that still owes its evaluation.
    pub fn record_eval(&self, step: u64, report: &EvalReport, best: bool) -> Result<(), TrainError> {
        let name = format!("step-{step:06}");
        if best {
            self.point("best", &name).map_err(|problem| self.problem(&self.folder.join("best"), problem))?;
        }
        write_whole(&self.folder.join(&name).join(EVAL), pretty(report).as_bytes())
    }

    /// Removes all but the newest `keep` checkpoints and the one `best` names.
    pub fn prune(&self, keep: usize) -> Result<(), TrainError> {
        let best = self.named("best");
        let mut steps = self.steps();
        steps.truncate(steps.len().saturating_sub(keep.max(1)));
        for (step, path) in steps.into_iter().filter(|(_, path)| Some(path) != best.as_ref()) {
            // Under a hidden name first: a checkpoint half removed must not look like one.
            let doomed = self.folder.join(format!("{HIDDEN}pruned-{step}"));
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

/// Writes a checkpoint's files and syncs them and their directory.
fn write(
    folder: &Path,
    state: &TrainingState,
    model: &Model,
    tokenizer: &Tokenizer,
    optimizer: &mut Optimizer,
) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    remove(folder).and_then(|()| fs::create_dir_all(folder)).map_err(|error| text(&error))?;
    model.save(folder).map_err(|error| text(&error))?;
    tokenizer.save(folder).map_err(|error| text(&error))?;
    let generation = serde_json::json!({
        "do_sample": true,
        "temperature": 0.8,
        "top_k": 40,
        "top_p": 0.95,
        "eos_token_id": tokenizer.stop_tokens(tokenizer.form()),
        "pad_token_id": tokenizer.pad_token(),
    });
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).map_err(|error| text(&error));
    write("generation_config.json", pretty(&generation).as_bytes())?;
    write(STATE, pretty(state).as_bytes())?;
    let arrays = optimizer.state();
    let views = arrays.iter().map(|(name, values)| {
        let view = TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values));
        view.map(|view| (name.as_str(), view)).map_err(|error| text(&error))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize_to_file(views, None, &folder.join(MOMENTS)).map_err(|error| text(&error))?;
    let entries = fs::read_dir(folder).map_err(|error| text(&error))?.flatten();
    for entry in entries {
        sync(&entry.path()).map_err(|error| text(&error))?;
    }
    sync(folder).map_err(|error| text(&error))
}

/// A checkpoint's evaluation, if it has one.
pub fn read_eval(checkpoint: &Path) -> Option<EvalReport> {
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
    let bytes = fs::read(&path).map_err(|error| bad(format!("cannot be read: {error}")))?;
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
    let found = run.named("best").or_else(|| run.named("last")).or_else(|| run.newest());
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

fn remove(path: &Path) -> io::Result<()> {
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
