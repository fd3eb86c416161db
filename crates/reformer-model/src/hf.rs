//! Hugging Face's checkpoint directory: `config.json` and `model.safetensors`.
//!
//! Both are written beside their place, synced and renamed, the config last: a directory with a `config.json` has its
//! weights. (That the whole directory appears at once is the trainer's business.) Files of f32, f16 and bf16 are read,
//! whole or in shards; f32 is written. What does not fit is an error that names the tensor.
//!
//! A tied model's decoder is written out as `[E | E]`, so that transformers, which ties nothing here, computes the
//! same logits; reading it back checks that it still is.

mod read;
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
/// The config's file name.
pub(crate) const CONFIG: &str = "config.json";

/// Reads config and parameters.
pub(crate) fn load(dir: &Path) -> Result<(Config, Parameters)> {
    let config = load_config(dir)?;
    let parameters = read::parameters(dir, &config)?;
    Ok((config, parameters))
}

/// Reads the config alone.
pub(crate) fn load_config(dir: &Path) -> Result<Config> {
    let path = dir.join(CONFIG);
    let bytes = std::fs::read(&path).map_err(|e| ModelError::io(&path, "read", e))?;
    let text =
        String::from_utf8(bytes).map_err(|e| ModelError::ConfigSyntax(format!("{}: {e}", path.display())))?;
    Config::from_json(&text)
}

/// Writes config and parameters.
pub(crate) fn save(dir: &Path, config: &Config, parameters: &Parameters) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| ModelError::io(dir, "create the directory", e))?;
    write::parameters(dir, config, parameters)?;
    replace(&dir.join(CONFIG), config.to_json().as_bytes())
}
