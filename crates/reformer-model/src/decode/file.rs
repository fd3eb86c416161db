//! A state on disk: a prompt read once, and continued in any later run.
//!
//! ```text
//! tensors     ids                   [len]
//!             layers.N.keys_values  [positions, heads, 2·head_dim]
//!             layers.N.buckets      [heads, len, rounds]
//! metadata    format, version, storage, attention, undo, layers.N.{first, lowered},
//!             config, parameters, contents (digests)
//! ```
//! A state belongs to the parameters that made it: a file of another model, or of this one trained further, is refused,
//! as is a damaged one. Digests are 64 bits against mistakes, not against malice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use reformer_attention::{BucketTable, KeyValues};
use reformer_tensor::Precision;
use safetensors::{Dtype, SafeTensors, View};

use super::{DecodeOptions, DecodeState};
use crate::config::Kind;
use crate::error::{ModelError, Result};
use crate::hf;
use crate::model::Model;

const FORMAT: &str = "reformer decode state";
const VERSION: &str = "1";

/// A tensor to write.
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect()
}

/// A running digest of bytes.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Digest {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn take(mut self, bytes: &[u8]) -> Self {
        let (eights, rest) = bytes.as_chunks::<8>();
        for &eight in eights {
            self = self.mix(u64::from_le_bytes(eight));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self = self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64)
    }

    // Multiply and rotate, eight bytes at a time: all parameters are hashed at every load, so this has to keep up
    // with memory.
    fn mix(self, word: u64) -> Self {
        Self((self.0 ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31))
    }

    fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl Model {
    /// A digest of the configuration, and one of the parameters.
    fn digests(&self) -> (String, String) {
        let config = Digest::new().take(self.config().to_json().as_bytes());
        let groups = self.parameters().groups().iter();
        let parameters = groups.fold(Digest::new(), |digest, g| digest.take(bytemuck::cast_slice(g.data())));
        (config.text(), parameters.text())
    }
}

/// The name of what LSH layers compute instead.
fn attention_name(attention: Option<Kind>) -> &'static str {
    match attention {
        None => "own",
        Some(Kind::Full) => "full",
        Some(Kind::Local) => "local",
        Some(Kind::Lsh) => "lsh",
    }
}

impl DecodeState {
    /// Writes the state of a sequence that `model` has read: whole, or not at all.
    pub fn save(&self, path: &Path, model: &Model) -> Result<()> {
        self.check(model.config())?;
        let mut tensors = vec![(
            "ids".to_owned(),
            Tensor { dtype: Dtype::U32, shape: vec![self.len()], bytes: words(&self.ids) },
        )];
        let (config, parameters) = model.digests();
        let mut about = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("config".to_owned(), config),
            ("parameters".to_owned(), parameters),
            ("storage".to_owned(), self.options.storage.name().to_owned()),
            ("attention".to_owned(), attention_name(self.options.attention).to_owned()),
            ("undo".to_owned(), self.options.undo.to_string()),
        ]);
        let dtype = match self.options.storage {
            Precision::F32 => Dtype::F32,
            Precision::Bf16 => Dtype::BF16,
        };
        for (l, layer) in self.layers.iter().enumerate() {
            let (first, rows) = (layer.key_values.first_kept(), &layer.key_values);
            about.insert(format!("layers.{l}.first"), first.to_string());
            about.insert(format!("layers.{l}.lowered"), usize::from(layer.lowered).to_string());
            let shape = vec![rows.len() - first, rows.heads(), 2 * rows.head_dim()];
            let tensor = Tensor { dtype, shape, bytes: rows.to_bytes() };
            tensors.push((format!("layers.{l}.keys_values"), tensor));
            if let Some(table) = layer.tables.first() {
                let shape = vec![layer.tables.len(), self.len(), table.rounds()];
                let bytes = layer.tables.iter().flat_map(|table| words(table.ids())).collect();
                tensors.push((format!("layers.{l}.buckets"), Tensor { dtype: Dtype::U32, shape, bytes }));
            }
        }
        let contents = contents(tensors.iter().map(|(name, tensor)| (&**name, &*tensor.bytes)));
        about.insert("contents".to_owned(), contents);
        let bytes = safetensors::serialize(tensors, Some(about)).map_err(|e| fault(path, e.to_string()))?;
        // Beside the target, then renamed: a full disk leaves the old state.
        hf::replace(path, &bytes)
    }

    /// Reads what [`DecodeState::save`] wrote for this very model.
    pub fn load(path: &Path, model: &Model) -> Result<Self> {
        let unreadable = |e| ModelError::io(path, "read", e);
        // A device may have no end.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(fault(path, "it is no regular file".into()));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let damaged = |e: safetensors::SafeTensorError| fault(path, format!("it cannot be read ({e})"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let empty = HashMap::new();
        let about = header.metadata().as_ref().unwrap_or(&empty);
        let said = |key: &str| about.get(key).map(String::as_str).unwrap_or_default();
        if said("format") != FORMAT {
            return Err(fault(path, "it is no decode state".into()));
        }
        if said("version") != VERSION {
            return Err(fault(path, format!("its version is {:?}, expected {VERSION}", said("version"))));
        }
        // Keys and values are results of the parameters. Those of a later checkpoint would fit in shape and be wrong.
        let (config, parameters) = model.digests();
        if said("config") != config {
            return Err(fault(path, "another model's config made it".into()));
        }
        if said("parameters") != parameters {
            return Err(fault(
                path,
                "other parameters made it (another model, or another checkpoint)".into(),
            ));
        }
        // Before anything is built of it: a flipped bit in keys or values would decode to fluent nonsense.
        let mut names = file.names();
        names.sort_unstable();
        let all = names.iter().filter_map(|name| Some((*name, file.tensor(name).ok()?.data())));
        if said("contents") != contents(all) {
            return Err(fault(path, "its contents are damaged: the checksum is another".into()));
        }
        let missing = |what: &str| fault(path, format!("it has no {what}"));
        let tensor = |name: String| file.tensor(&name).map_err(|_| missing(&name));
        let number = |key: &str| said(key).parse::<usize>().map_err(|_| missing(key));

        let storage = said("storage").parse::<Precision>();
        let storage = storage.map_err(|unknown| fault(path, format!("its storage: {unknown}")))?;
        let attention = match said("attention") {
            "own" => None,
            "full" => Some(Kind::Full),
            other => return Err(fault(path, format!("its attention is {other:?}"))),
        };
        let mut state = Self::new(model, DecodeOptions { storage, attention, undo: number("undo")? });
        state.ids = numbers(tensor("ids".into())?.data());
        let len = state.len();
        for (l, layer) in state.layers.iter_mut().enumerate() {
            let shape = (layer.key_values.heads(), layer.key_values.head_dim());
            let first = number(&format!("layers.{l}.first"))?;
            let rows = tensor(format!("layers.{l}.keys_values"))?;
            layer.key_values = KeyValues::from_bytes(shape, storage, (first, len), rows.data())?;
            if layer.tables.is_empty() {
                continue;
            }
            layer.lowered = number(&format!("layers.{l}.lowered"))? == 1;
            let ids = numbers(tensor(format!("layers.{l}.buckets"))?.data());
            let (heads, config) = (layer.tables.len(), model.config());
            if ids.len() != heads * len * config.num_hashes {
                return Err(fault(path, format!("layer {l} has {} bucket ids", ids.len())));
            }
            if len == 0 {
                continue;
            }
            // Chains and counts are rebuilt from the ids. A file cannot smuggle in a chain that leads nowhere.
            let buckets = layer.table_buckets(config);
            for (table, ids) in layer.tables.iter_mut().zip(ids.chunks(len * config.num_hashes)) {
                let mut fresh = BucketTable::new(config.num_hashes, buckets);
                for ids in ids.chunks(config.num_hashes) {
                    fresh.push(ids)?;
                }
                *table = Arc::new(fresh);
            }
        }
        Ok(state)
    }
}

/// A digest of tensors by name.
fn contents<'t>(tensors: impl Iterator<Item = (&'t str, &'t [u8])>) -> String {
    let mut all: Vec<_> = tensors.collect();
    // Sorted, because safetensors keeps an order of its own.
    all.sort_unstable_by_key(|(name, _)| *name);
    let digest = |d: Digest, (name, bytes): &(&str, &[u8])| d.take(name.as_bytes()).take(bytes);
    all.iter().fold(Digest::new(), digest).text()
}

fn fault(path: &Path, reason: String) -> ModelError {
    ModelError::State { path: path.into(), reason }
}
