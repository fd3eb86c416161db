//! A model on disk, resolved and opened: a run's best (else last) checkpoint, or a checkpoint directory itself.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use reformer::model::{DecodeOptions, Kind, Model, Packed, Storage};
use reformer::tensor::{Cpu, Precision};
use reformer::text::Tokenizer;

use crate::args::{AttentionChoice, DecodingArgs, Global};
use crate::exit::usage;
use crate::number;
use crate::terminal::Terminal;

/// Everything that generating and evaluating need.
pub(crate) struct Opened {
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

/// The threads to compute with.
pub(crate) fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    global.threads.map_or_else(cores, usize::from)
}

/// Threads and workspace.
pub(crate) fn cpu(global: &Global) -> anyhow::Result<Cpu> {
    Cpu::new(threads(global)).context("cannot start the threads")
}

/// Opens the model that `dir` means.
pub(crate) fn open(dir: &Path, global: &Global, terminal: Terminal) -> anyhow::Result<Opened> {
    let started = Instant::now();
    let folder = checkpoint(dir)?;
    let cannot = || format!("cannot open the model in {}", folder.display());
    let model = Model::load(&folder).with_context(cannot)?;
    let tokenizer = Tokenizer::load(&folder).with_context(cannot)?;
    let cpu = cpu(global)?;
    terminal.detail(format_args!(
        "{}: {} parameters, {} threads, opened in {}",
        folder.display(),
        number::count(model.parameters().count()),
        cpu.threads.count(),
        number::span(started.elapsed().as_secs_f64()),
    ));
    Ok(Opened { folder, cpu, model, tokenizer })
}

/// The weights packed as asked, and rounded alike in the model itself.
pub(crate) fn pack(model: &mut Model, weights: Precision) -> Option<Packed> {
    (weights == Precision::Bf16).then(|| model.pack_bf16())
}

/// What LSH layers compute instead, if anything.
pub(crate) fn attention(choice: AttentionChoice) -> Option<Kind> {
    (choice == AttentionChoice::Full).then_some(Kind::Full)
}

/// How decode states remember, and what they attend to.
pub(crate) fn decode_options(decoding: DecodingArgs) -> DecodeOptions {
    let storage = match decoding.cache {
        Precision::F32 => Storage::F32,
        Precision::Bf16 => Storage::Bf16,
    };
    DecodeOptions { storage, attention: attention(decoding.attention), ..DecodeOptions::default() }
}

impl Opened {
    /// Whether the tokenizer says how a conversation is written, so that one can be put to the model.
    pub(crate) fn chats(&self) -> bool {
        self.tokenizer.has_marks() || self.tokenizer.template().is_some()
    }
}

/// A clock in seconds.
pub(crate) fn clock() -> impl Fn() -> f64 {
    let start = Instant::now();
    move || start.elapsed().as_secs_f64()
}
