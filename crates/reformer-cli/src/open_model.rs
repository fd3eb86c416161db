//! A model on disk, resolved and opened: a run's best (else last) checkpoint, or a checkpoint directory itself.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use reformer::model::memory::{model_bytes, parameter_count};
use reformer::model::{Config, Model};
use reformer::tensor::Cpu;
use reformer::text::Tokenizer;
use reformer::train::{RECIPE, Recipe, recipe_of_run};

use crate::args::Global;
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{machine, number, process};

/// Everything that generating and evaluating need.
pub(crate) struct OpenModel {
    /// The checkpoint directory.
    pub(crate) folder: PathBuf,
    /// Threads and workspace.
    pub(crate) cpu: Cpu,
    /// The model.
    pub(crate) model: Model,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
}

/// The checkpoint directory that `dir` means.
pub(crate) fn checkpoint(dir: &Path) -> anyhow::Result<PathBuf> {
    if !dir.exists() {
        let hint = if dir == Path::new("runs/demo") { "; `reformer train --demo` makes it" } else { "" };
        return Err(usage(anyhow::anyhow!(
            "no model at {}: there is no such directory{hint}",
            dir.display()
        )));
    }
    if !dir.is_dir() {
        bail!(
            "{} is a file; a model is a directory with config.json and model.safetensors in it",
            dir.display()
        );
    }
    Ok(reformer::train::resolve_checkpoint(dir)?)
}

/// The model of a checkpoint directory, unless the machine has no room for it.
pub(crate) fn weights(folder: &Path) -> anyhow::Result<Model> {
    let cannot = || format!("cannot open the model in {}", folder.display());
    let config = Config::load(&folder.join("config.json")).with_context(cannot)?;
    let (needed, free) = (model_bytes(&config), process::available());
    if let Some(free) = free.filter(|&free| needed > free) {
        let problem = anyhow::anyhow!(
            "config.json: {} parameters and the rotations of {} rounds take {}, {} are free",
            number::count(parameter_count(&config)),
            config.num_hashes,
            number::bytes(needed),
            number::bytes(free)
        );
        return Err(problem.context(cannot()));
    }
    Model::load(folder).with_context(cannot)
}

/// Opens the model that `dir` means.
pub(crate) fn open(dir: &Path, global: &Global, terminal: Terminal) -> anyhow::Result<OpenModel> {
    let started = Instant::now();
    let folder = checkpoint(dir)?;
    let model = weights(&folder)?;
    let tokenizer =
        Tokenizer::load(&folder).with_context(|| format!("cannot open the model in {}", folder.display()))?;
    let cpu = machine::cpu(global)?;
    terminal.detail(format_args!(
        "{}: {} parameters, {}, opened in {}",
        folder.display(),
        number::count(model.parameters().count()),
        number::threads(cpu.threads.count()),
        number::span(started.elapsed().as_secs_f64()),
    ));
    Ok(OpenModel { folder, cpu, model, tokenizer })
}

/// Opens a model that is to continue something.
pub(crate) fn open_to_write(dir: &Path, global: &Global, terminal: Terminal) -> anyhow::Result<OpenModel> {
    let opened = open(dir, global, terminal)?;
    if opened.model.config().is_decoder {
        return Ok(opened);
    }
    bail!(
        "{}: \"is_decoder\" is false: a bidirectional model fills gaps and cannot continue a text; `reformer eval` \
         measures it",
        opened.folder.join("config.json").display()
    )
}

impl OpenModel {
    /// The recipe of the run that the checkpoint lies in, if it lies in one.
    pub(crate) fn recipe(&self) -> anyhow::Result<Option<Recipe>> {
        // A checkpoint of a run lies in its `checkpoints/`.
        let folder = self.folder.canonicalize()?;
        let run = folder.ancestors().nth(2).unwrap_or(Path::new("."));
        Ok(if run.join(RECIPE).exists() { Some(recipe_of_run(run, &[])?) } else { None })
    }

    /// Whether a conversation can be put to the model.
    pub(crate) fn chats(&self) -> bool {
        self.tokenizer.can_chat()
    }
}
