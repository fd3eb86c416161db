//! A model on disk, resolved and opened: a run's best (else last) checkpoint, or a checkpoint directory itself.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use reformer::model::Model;
use reformer::tensor::Cpu;
use reformer::text::Tokenizer;

use crate::args::Global;
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{machine, number};

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

/// Opens the model that `dir` means.
pub(crate) fn open(dir: &Path, global: &Global, terminal: Terminal) -> anyhow::Result<OpenModel> {
    let started = Instant::now();
    let folder = checkpoint(dir)?;
    let cannot = || format!("cannot open the model in {}", folder.display());
    let model = Model::load(&folder).with_context(cannot)?;
    let tokenizer = Tokenizer::load(&folder).with_context(cannot)?;
    let cpu = machine::cpu(global)?;
    terminal.detail(format_args!(
        "{}: {} parameters, {} threads, opened in {}",
        folder.display(),
        number::count(model.parameters().count()),
        cpu.threads.count(),
        number::span(started.elapsed().as_secs_f64()),
    ));
    Ok(OpenModel { folder, cpu, model, tokenizer })
}

impl OpenModel {
    /// Whether a conversation can be put to the model.
    pub(crate) fn chats(&self) -> bool {
        self.tokenizer.can_chat()
    }
}
