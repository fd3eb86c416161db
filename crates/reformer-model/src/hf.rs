//! Hugging Face's checkpoint directory: `config.json` and `model.safetensors`.
//!
//! Both are written beside their place, synced and renamed, the config last: a directory with a `config.json` has its
//! weights. (That the whole directory appears at once is the trainer's business.) Files of f32, f16 and bf16 are read,
//! whole or in shards; f32 is written. What does not fit is an error that names file and tensor, found by the headers
//! before anything of a tensor's size is allocated: a config is a stranger's text and may ask for anything.
//!
//! A tied model's decoder is written out as `[E | E]`, so that transformers, which ties nothing here, computes the
//! same logits; reading it back checks that it still is.

mod read;
mod weights_file;
mod write;

pub mod names;

pub(crate) use write::replace;

use std::path::Path;

use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::parameters::Parameters;

/// The weights' file name.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// The shards' table, if the weights are in several files.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Weights as PyTorch pickles them, which may run a stranger's code and are not read.
pub(crate) const PICKLE: &str = "pytorch_model.bin";
/// The config's file name.
pub(crate) const CONFIG: &str = "config.json";
/// Bytes of a text file at most: the largest index of shards has some thousand lines.
const LONGEST_TEXT: u64 = 64 << 20;

/// Reads config and parameters.
pub(crate) fn load(dir: &Path) -> Result<(Config, Parameters)> {
    let config = load_config(&dir.join(CONFIG))?;
    let parameters = read::parameters(dir, &config)?;
    Ok((config, parameters))
}

/// Reads the config alone.
pub(crate) fn load_config(path: &Path) -> Result<Config> {
    let text = text(path)?;
    Config::from_json(&text)
        .map_err(|problem| ModelError::InFile { path: path.into(), problem: Box::new(problem) })
}

/// Fails unless the weights of a directory are what its config asks for; reads headers only.
pub fn check(dir: &Path, config: &Config) -> Result<()> {
    read::check(dir, config)
}

/// A small text file as JSON has them: a device, a pipe or a giant is refused, a byte order mark is passed over.
fn text(path: &Path) -> Result<String> {
    let fault = |source| ModelError::io(path, "read", source);
    let bytes = reformer_files::read(path, LONGEST_TEXT).map_err(fault)?;
    let text = String::from_utf8(bytes).map_err(|error| fault(std::io::Error::other(error)))?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// Writes config and parameters.
pub(crate) fn save(dir: &Path, config: &Config, parameters: &Parameters) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| ModelError::io(dir, "create the directory", e))?;
    write::parameters(dir, config, parameters)?;
    replace(&dir.join(CONFIG), config.to_json().as_bytes())
}
