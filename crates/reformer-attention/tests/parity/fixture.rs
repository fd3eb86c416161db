//! Reference fixtures: a `NAME.json` with `kind`, `config` and `notes` beside a `NAME.safetensors` with every tensor.
//!
//! Knows nothing of what a kind means. Other test crates take this file in with `#[path]`; a checker that sits beside
//! it finds it as `super::fixture`.

#![allow(dead_code, unreachable_pub)] // each including crate uses the part it needs

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

/// The values of one tensor, widened to the type that holds every stored one.
#[derive(Clone, Debug)]
pub enum Values {
    /// float32.
    F32(Vec<f32>),
    /// int32, int64, uint8 and bool.
    I64(Vec<i64>),
}

/// One tensor of a fixture.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Values,
}

/// The tensors of one fixture by name.
#[derive(Clone, Debug, Default)]
pub struct Tensors(pub BTreeMap<String, Tensor>);

impl Tensors {
    /// Reads a safetensors file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => Values::F32(words(data, f32::from_le_bytes)),
                Dtype::I64 => Values::I64(words(data, i64::from_le_bytes)),
                Dtype::I32 => Values::I64(words(data, |b| i64::from(i32::from_le_bytes(b)))),
                Dtype::U8 | Dtype::BOOL => Values::I64(data.iter().map(|&b| i64::from(b)).collect()),
                other => return Err(format!("{name}: {other:?} is not a type fixtures use")),
            };
            tensors.insert(name, Tensor { shape: view.shape().to_vec(), values });
        }
        Ok(Self(tensors))
    }

    /// Whether the fixture has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A tensor, or a message that names it.
    pub fn get(&self, name: &str) -> Result<&Tensor, String> {
        self.0.get(name).ok_or_else(|| format!("tensor {name} is missing"))
    }

    /// The float values of a tensor.
    pub fn f32(&self, name: &str) -> Result<&[f32], String> {
        match &self.get(name)?.values {
            Values::F32(v) => Ok(v),
            Values::I64(_) => Err(format!("tensor {name} holds integers, floats expected")),
        }
    }

    /// The integer values of a tensor.
    pub fn i64(&self, name: &str) -> Result<&[i64], String> {
        match &self.get(name)?.values {
            Values::I64(v) => Ok(v),
            Values::F32(_) => Err(format!("tensor {name} holds floats, integers expected")),
        }
    }

    /// A mask: true where the stored value is not zero; `None` where the fixture has no such tensor.
    pub fn mask(&self, name: &str) -> Result<Option<Vec<bool>>, String> {
        if !self.has(name) {
            return Ok(None);
        }
        Ok(Some(self.i64(name)?.iter().map(|&m| m != 0).collect()))
    }

    /// The sizes of a tensor.
    pub fn shape(&self, name: &str) -> Result<&[usize], String> {
        Ok(&self.get(name)?.shape)
    }
}

fn words<const N: usize, T>(data: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|&b| decode(b)).collect()
}

/// A fixture's description and tensors.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// File name without extension.
    pub name: String,
    /// What was run.
    pub kind: String,
    /// Settings of the run.
    pub config: serde_json::Value,
    /// Inputs, outputs and gradients.
    pub tensors: Tensors,
}

impl Fixture {
    /// Reads `NAME.json` and the safetensors beside it.
    pub fn read(json: &Path) -> Result<Self, String> {
        let (name, kind, config) = header(json)?;
        Ok(Self { name, kind, config, tensors: Tensors::read(&json.with_extension("safetensors"))? })
    }
}

fn header(json: &Path) -> Result<(String, String, serde_json::Value), String> {
    let text = std::fs::read_to_string(json).map_err(|e| format!("{}: {e}", json.display()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", json.display()))?;
    let name = json.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let kind = value["kind"].as_str().ok_or_else(|| format!("{name}: no kind"))?;
    Ok((name, kind.to_owned(), value["config"].clone()))
}

/// `REFORMER_FIXTURES`, or the project's own `fixtures/`.
pub fn folder() -> PathBuf {
    std::env::var_os("REFORMER_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures"), PathBuf::from)
}

/// The description files of a folder that have tensors beside them, by name.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "json") && p.with_extension("safetensors").exists())
        .collect();
    paths.sort();
    Ok(paths)
}

/// The comparison that came closest to its allowance, or went furthest beyond it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The error there.
    pub worst: f64,
    /// What was allowed there.
    pub allowance: f64,
    /// The tensor it was found in.
    pub what: String,
}

impl Report {
    /// Whether every comparison stayed within its allowance.
    pub fn passed(&self) -> bool {
        self.worst <= self.allowance
    }

    /// Takes in one comparison; NaN counts as an infinite error.
    pub fn note(&mut self, what: &str, error: f64, allowance: f64) {
        let error = if error.is_nan() { f64::INFINITY } else { error };
        let share = |e: f64, a: f64| if e == 0.0 { 0.0 } else { e / a };
        if self.what.is_empty() || share(error, allowance) > share(self.worst, self.allowance) {
            (self.worst, self.allowance, self.what) = (error, allowance, what.to_owned());
        }
    }

    /// Takes in a whole tensor: element-wise, relative to the expected tensor's largest magnitude.
    pub fn compare(&mut self, what: &str, got: &[f32], expected: &[f32], allowance: f64) {
        self.compare_where(what, got, expected, |_| Some(allowance));
    }

    /// Like [`Report::compare`] with an allowance per element; `None` leaves the element out.
    pub fn compare_where(
        &mut self,
        what: &str,
        got: &[f32],
        expected: &[f32],
        allowance: impl Fn(usize) -> Option<f64>,
    ) {
        if got.len() != expected.len() {
            self.note(&format!("{what} (length {} for {})", got.len(), expected.len()), f64::INFINITY, 0.0);
            return;
        }
        let kept = || (0..expected.len()).filter(|&i| allowance(i).is_some());
        let scale = kept().map(|i| f64::from(expected[i]).abs()).fold(f64::MIN_POSITIVE, f64::max);
        for i in kept() {
            let error = (f64::from(got[i]) - f64::from(expected[i])).abs() / scale;
            self.note(what, error, allowance(i).unwrap_or(0.0));
        }
    }
}
