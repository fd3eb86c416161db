//! A state on disk: a prompt read once, and continued in any later run.
//!
//! ```text
//! tensors     ids                   [len]
//!             layers.N.keys_values  [positions, heads, 2·head_dim]
//!             layers.N.buckets      [heads, len, rounds]
//!             logits                [vocab_size], those after the last token, if they were given
//! metadata    format, version, storage, attention, undo, layers.N.{first, lowered},
//!             config, parameters, contents (digests)
//! ```
//! A state belongs to the parameters that made it: a file of another model, or of this one trained further, is
//! refused, as is a damaged one: the digest of the contents is over every tensor's name, type, shape and bytes, and
//! over all other metadata. Digests are 64 bits against mistakes, not against malice; what a file says is checked
//! against the model all the same, so that a file made by hand is an error and not a wrong text.

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
const VERSION: &str = "2";

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

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
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
    /// Writes the state of a sequence that `model` has read, and the logits after it if they are at hand: whole, or
    /// not at all.
    pub fn save(&self, path: &Path, model: &Model, logits: Option<&[f32]>) -> Result<()> {
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
        let dtype = dtype_of(self.options.storage);
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
        if let Some(logits) = logits {
            let bytes = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            tensors
                .push(("logits".to_owned(), Tensor { dtype: Dtype::F32, shape: vec![logits.len()], bytes }));
        }
        let parts =
            tensors.iter().map(|(name, t)| Part { name, dtype: t.dtype, shape: &t.shape, bytes: &t.bytes });
        let contents = contents(&about, parts);
        about.insert("contents".to_owned(), contents);
        let bytes = safetensors::serialize(tensors, Some(about)).map_err(|e| fault(path, e.to_string()))?;
        // Beside the target, then renamed: a full disk leaves the old state.
        hf::replace(path, &bytes)
    }

    /// Reads what [`DecodeState::save`] wrote for this very model.
    pub fn load(path: &Path, model: &Model) -> Result<(Self, Option<Vec<f32>>)> {
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
        let views: Vec<_> = names.iter().filter_map(|name| Some((*name, file.tensor(name).ok()?))).collect();
        let parts = views.iter().map(|(name, view)| Part {
            name,
            dtype: view.dtype(),
            shape: view.shape(),
            bytes: view.data(),
        });
        if said("contents") != contents(about, parts) {
            return Err(fault(path, "its contents are damaged: the checksum is another".into()));
        }
        let missing = |what: &str| fault(path, format!("it has no {what}"));
        // Bytes of another type may have the right length, and a shape that is not the model's too.
        let tensor = |name: String, dtype: Dtype, shape: &[usize]| {
            let view = file.tensor(&name).map_err(|_| missing(&name))?;
            if (view.dtype(), view.shape()) == (dtype, shape) {
                return Ok(view.data());
            }
            let (got, has) = (view.dtype(), view.shape());
            Err(fault(path, format!("{name} is {got} {has:?}, expected {dtype} {shape:?}")))
        };
        let number = |key: &str| {
            let number = about.get(key).ok_or_else(|| missing(key))?;
            number
                .parse::<usize>()
                .map_err(|_| fault(path, format!("{key} is {number:?}, expected a number")))
        };

        let storage = said("storage").parse::<Precision>();
        let storage = storage.map_err(|unknown| fault(path, format!("its storage: {unknown}")))?;
        let attention = match said("attention") {
            "own" => None,
            "full" => Some(Kind::Full),
            other => return Err(fault(path, format!("its attention is {other:?}"))),
        };
        let named = |e: ModelError| fault(path, e.to_string());
        let mut state = Self::new(model, DecodeOptions { storage, attention, undo: number("undo")? });
        let config = model.config();
        let len = file.tensor("ids").map_err(|_| missing("ids"))?.shape().iter().product::<usize>();
        state.ids = numbers(tensor("ids".into(), Dtype::U32, &[len])?);
        if let Some(id) = state.ids.iter().find(|id| **id as usize >= config.vocab_size) {
            return Err(fault(path, format!("token {id} is none of the model's {}", config.vocab_size)));
        }
        let kept_as = dtype_of(storage);
        for (l, layer) in state.layers.iter_mut().enumerate() {
            let (heads, dim) = (layer.key_values.heads(), layer.key_values.head_dim());
            let first = number(&format!("layers.{l}.first"))?;
            if first > len {
                return Err(fault(path, format!("layers.{l}.first is {first}, beyond the {len} tokens")));
            }
            let rows = tensor(format!("layers.{l}.keys_values"), kept_as, &[len - first, heads, 2 * dim])?;
            layer.key_values = KeyValues::from_bytes((heads, dim), storage, (first, len), rows)
                .map_err(|e| named(e.into()))?;
            layer.lowered = match number(&format!("layers.{l}.lowered"))? {
                0 => false,
                1 if !layer.tables.is_empty() => true,
                other => return Err(fault(path, format!("layers.{l}.lowered is {other}"))),
            };
            if layer.tables.is_empty() {
                continue;
            }
            let shape = [layer.tables.len(), len, config.num_hashes];
            let ids = numbers(tensor(format!("layers.{l}.buckets"), Dtype::U32, &shape)?);
            if len == 0 {
                continue;
            }
            // Chains and counts are rebuilt from the ids. A file cannot smuggle in a chain that leads nowhere.
            let buckets = layer.table_buckets(config);
            for (table, ids) in layer.tables.iter_mut().zip(ids.chunks(len * config.num_hashes)) {
                let mut fresh = BucketTable::new(config.num_hashes, buckets);
                for ids in ids.chunks(config.num_hashes) {
                    fresh.push(ids).map_err(|e| named(e.into()))?;
                }
                *table = Arc::new(fresh);
            }
        }
        state.check(config).map_err(named)?;
        let logits = match file.tensor("logits") {
            Ok(_) => Some(floats(tensor("logits".into(), Dtype::F32, &[config.vocab_size])?)),
            Err(_) => None,
        };
        Ok((state, logits))
    }
}

/// How keys and values are written.
fn dtype_of(storage: Precision) -> Dtype {
    match storage {
        Precision::F32 => Dtype::F32,
        Precision::Bf16 => Dtype::BF16,
    }
}

/// What of a tensor the digest is over.
struct Part<'t> {
    name: &'t str,
    dtype: Dtype,
    shape: &'t [usize],
    bytes: &'t [u8],
}

/// A digest of all metadata but itself, and of the tensors, in the order of their names.
fn contents<'t>(about: &HashMap<String, String>, parts: impl Iterator<Item = Part<'t>>) -> String {
    let mut said: Vec<_> = about.iter().filter(|(key, _)| *key != "contents").collect();
    said.sort_unstable();
    let digest =
        said.iter().fold(Digest::new(), |d, (key, value)| d.take(key.as_bytes()).take(value.as_bytes()));
    let mut parts: Vec<_> = parts.collect();
    parts.sort_unstable_by_key(|part| part.name);
    let digest = parts.iter().fold(digest, |d, part| {
        let shape = part.shape.iter().fold(d.take(part.name.as_bytes()), |d, &n| d.mix(n as u64));
        shape.take(format!("{:?}", part.dtype).as_bytes()).take(part.bytes)
    });
    digest.text()
}

fn fault(path: &Path, reason: String) -> ModelError {
    ModelError::State { path: path.into(), reason }
}
