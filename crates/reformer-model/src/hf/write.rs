//! Writing weights and config: beside their place, synced, renamed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, View};

use super::{WEIGHTS, names};
use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::parameters::Parameters;

/// A tensor to write.
struct Tensor<'a> {
    shape: Vec<usize>,
    values: Cow<'a, [f32]>,
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(bytemuck::cast_slice(&self.values));
        }
        Cow::Owned(self.values.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        size_of_val(&*self.values)
    }
}

/// Writes `model.safetensors`.
pub(super) fn parameters(dir: &Path, config: &Config, parameters: &Parameters) -> Result<()> {
    let path = dir.join(WEIGHTS);
    let mut tensors: Vec<(&str, Tensor<'_>)> = parameters
        .iter()
        .map(|(name, shape, values)| (name, Tensor { shape: shape.to_vec(), values: Cow::Borrowed(values) }))
        .collect();
    if config.tie_word_embeddings {
        let h = config.hidden_size;
        let (_, words) = parameters.find(names::WORDS).expect("every model has word embeddings");
        let twice = words.chunks_exact(h).flat_map(|row| [row, row]).flatten().copied().collect();
        let shape = vec![config.vocab_size, 2 * h];
        tensors.push((names::DECODER, Tensor { shape, values: Cow::Owned(twice) }));
    }
    // transformers refuses a file that does not say whose layout it is.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(tensors, Some(metadata))
        .map_err(|e| ModelError::io(&path, "write", std::io::Error::other(e)))?;
    replace(&path, &bytes)
}

/// Puts `bytes` at `path` whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    reformer_files::replace(path, bytes).map_err(|source| ModelError::io(path, "write", source))
}
