//! Reading weights: one file or shards, any of three number types, every misfit named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{INDEX, WEIGHTS, names};
use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::parameters::Parameters;

/// The parameters that `config` asks for, from the directory's weights.
pub(super) fn parameters(dir: &Path, config: &Config) -> Result<Parameters> {
    let mut parameters = Parameters::zeros(config);
    let mut missing: BTreeMap<String, Vec<usize>> =
        parameters.iter().map(|(name, shape, _)| (name.to_owned(), shape.to_vec())).collect();
    let mut extra: Vec<(String, Vec<usize>)> = Vec::new();
    let files = files(dir)?;
    let mut decoder: Option<(&PathBuf, Vec<f32>)> = None;
    for path in &files {
        let bytes = std::fs::read(path).map_err(|e| ModelError::io(path, "read", e))?;
        let weights = SafeTensors::deserialize(&bytes)
            .map_err(|e| ModelError::Weights { path: path.clone(), reason: e.to_string() })?;
        for (name, tensor) in weights.tensors() {
            let Some(name) = names::canonical(&name) else { continue };
            match missing.remove(&*name) {
                Some(expected) => fill(path, &name, &tensor, &expected, &mut parameters)?,
                None if name == names::BIAS_OF_4 => {
                    if let Some(expected) = missing.remove(names::BIAS) {
                        let bias = parameters.find_mut(names::BIAS).expect("every head has a bias");
                        check_shape(path, &name, tensor.shape(), &expected)?;
                        values(path, &name, &tensor, bias)?;
                    }
                }
                None if name == names::DECODER && config.tie_word_embeddings => {
                    check_shape(path, &name, tensor.shape(), &[config.vocab_size, 2 * config.hidden_size])?;
                    let mut values_of = vec![0.0; tensor.shape().iter().product()];
                    values(path, &name, &tensor, &mut values_of)?;
                    decoder = Some((path, values_of));
                }
                None => extra.push((name.into_owned(), tensor.shape().to_vec())),
            }
        }
    }
    if let Some((path, decoder)) = decoder {
        check_tied(path, &decoder, config, &parameters)?;
    }
    let path = files.into_iter().next().unwrap_or_else(|| dir.join(WEIGHTS));
    if !config.adds_head_bias() {
        missing.remove(names::BIAS);
    }
    if let Some((name, expected)) = missing.into_iter().next() {
        return Err(ModelError::MissingTensor { path, name, expected });
    }
    extra.sort();
    let count = extra.len();
    match extra.into_iter().next() {
        Some((name, shape)) => Err(ModelError::ExtraTensor { path, name, shape, count }),
        None => Ok(parameters),
    }
}

/// The weight files of a directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = dir.join(WEIGHTS);
    let index = dir.join(INDEX);
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let wrong = |reason: String| ModelError::Weights { path: index.clone(), reason };
    let text = std::fs::read_to_string(&index).map_err(|e| ModelError::io(&index, "read", e))?;
    let table: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let map = table["weight_map"].as_object().ok_or_else(|| wrong("no \"weight_map\"".into()))?;
    let shards: Option<BTreeSet<&str>> = map.values().map(serde_json::Value::as_str).collect();
    let shards =
        shards.ok_or_else(|| wrong("\"weight_map\" holds something that is not a file name".into()))?;
    // A table is a stranger's text: it may name files of its own directory only.
    if let Some(name) = shards.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(wrong(format!("\"{name}\" is not a plain file name")));
    }
    Ok(shards.into_iter().map(|name| dir.join(name)).collect())
}

fn fill(
    path: &Path,
    name: &str,
    tensor: &TensorView<'_>,
    expected: &[usize],
    to: &mut Parameters,
) -> Result<()> {
    check_shape(path, name, tensor.shape(), expected)?;
    let out = to.find_mut(name).expect("the name came from these parameters");
    values(path, name, tensor, out)
}

fn check_shape(path: &Path, name: &str, got: &[usize], expected: &[usize]) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (got.to_vec(), expected.to_vec());
    Err(ModelError::TensorShape { path: path.into(), name: name.into(), got, expected })
}

/// Widens a tensor's numbers to f32.
fn values(path: &Path, name: &str, tensor: &TensorView<'_>, out: &mut [f32]) -> Result<()> {
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => out.iter_mut().zip(data.as_chunks().0).for_each(|(w, &b)| *w = f32::from_le_bytes(b)),
        Dtype::F16 => {
            out.iter_mut()
                .zip(data.as_chunks().0)
                .for_each(|(w, &b)| *w = half::f16::from_le_bytes(b).to_f32());
        }
        Dtype::BF16 => {
            out.iter_mut()
                .zip(data.as_chunks().0)
                .for_each(|(w, &b)| *w = half::bf16::from_le_bytes(b).to_f32());
        }
        other => {
            let got = format!("{other:?}");
            return Err(ModelError::TensorType { path: path.into(), name: name.into(), got });
        }
    }
    Ok(())
}

/// A tied model's file may hold the decoder, as `[E | E]`.
fn check_tied(path: &Path, decoder: &[f32], config: &Config, parameters: &Parameters) -> Result<()> {
    let h = config.hidden_size;
    let (_, words) = parameters.find(names::WORDS).expect("every model has word embeddings");
    let tied =
        decoder.chunks_exact(2 * h).zip(words.chunks_exact(h)).all(|(d, e)| d[..h] == *e && d[h..] == *e);
    if tied { Ok(()) } else { Err(ModelError::TiedDecoder { path: path.into() }) }
}
