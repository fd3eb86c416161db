//! One safetensors file: its header checked first, its tensors read one after another.
//!
//! The header is compared with the file's length before anything else is believed, so what a reader allocates is never
//! more than the file pays for, and a file of ten gigabytes needs no second copy of itself in memory. Numbers of f32,
//! f16 and bf16 are widened to f32; one that is NaN or infinite is an error that names its tensor, because a model
//! with it predicts nothing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use reformer_tensor::elementwise::all_finite;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{ModelError, Result};

/// The longest header that is read, as in the format's own implementation.
const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes of the header's length.
const LENGTH: u64 = 8;
/// Numbers that are read at a time.
const PIECE: usize = 1 << 16;

/// A file whose header fits it.
#[derive(Debug)]
pub(super) struct WeightsFile {
    path: PathBuf,
    file: File,
    /// Where the tensors begin.
    data: u64,
    header: Metadata,
}

impl WeightsFile {
    /// Opens a file and checks its header; reads no tensor.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fault = |source| ModelError::io(path, "read", source);
        // Opening a pipe would wait for a writer, and a device has no end.
        let about = reformer_files::regular(path).map_err(fault)?;
        let wrong = |reason: String| ModelError::Weights { path: path.to_owned(), reason };
        let (mut file, len) = (File::open(path).map_err(fault)?, about.len());
        let mut start = Vec::with_capacity(64);
        Read::by_ref(&mut file).take(64).read_to_end(&mut start).map_err(fault)?;
        if let Some(other) = something_else(&start) {
            return Err(ModelError::NoWeights { path: path.to_owned(), found: other.into() });
        }
        let Some(&length) = start.first_chunk() else {
            return Err(wrong(format!("it has {len} bytes, too few for a header")));
        };
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER || length > len.saturating_sub(LENGTH) {
            return Err(wrong(format!("it names a header of {length} bytes and has {len} in all")));
        }
        file.seek(SeekFrom::Start(LENGTH)).map_err(fault)?;
        let mut header = Vec::with_capacity(length as usize);
        Read::by_ref(&mut file).take(length).read_to_end(&mut header).map_err(fault)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| wrong(format!("its header: {error}")))?;
        let data = LENGTH + length;
        let (described, there) = (header.data_len() as u64, len - data);
        if described != there {
            return Err(wrong(format!("its header describes {described} bytes of tensors, it has {there}")));
        }
        Ok(Self { path: path.to_owned(), file, data, header })
    }

    /// Its place.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors' names in the order of the file, with type and shape.
    pub(super) fn tensors(&self) -> Vec<(String, &TensorInfo)> {
        let names = self.header.offset_keys().into_iter();
        names.filter_map(|name| self.header.info(&name).map(|info| (name, info))).collect()
    }

    /// Reads a tensor of this file, of as many numbers as `out` has.
    pub(super) fn read(&mut self, name: &str, out: &mut [f32]) -> Result<()> {
        let info = self.header.info(name).expect("the name is one of this file's").clone();
        let width = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                let got = format!("{other:?}");
                return Err(ModelError::TensorType { path: self.path.clone(), name: name.into(), got });
            }
        };
        let fault = |source| ModelError::io(&self.path, "read", source);
        let begin = self.data + info.data_offsets.0 as u64;
        self.file.seek(SeekFrom::Start(begin)).map_err(fault)?;
        let mut bytes = vec![0; PIECE.min(out.len()) * width];
        for (piece, numbers) in out.chunks_mut(PIECE).enumerate() {
            let bytes = &mut bytes[..numbers.len() * width];
            self.file.read_exact(bytes).map_err(fault)?;
            widen(info.dtype, bytes, numbers);
            if !all_finite(numbers) {
                let at = numbers.iter().position(|number| !number.is_finite()).unwrap_or(0);
                let (index, value) = (piece * PIECE + at, numbers[at]);
                return Err(ModelError::Damaged { path: self.path.clone(), name: name.into(), index, value });
            }
        }
        Ok(())
    }
}

fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    let halves = bytes.as_chunks().0.iter();
    match dtype {
        Dtype::F16 => {
            out.iter_mut().zip(halves).for_each(|(w, &b)| *w = half::f16::from_le_bytes(b).to_f32());
        }
        Dtype::BF16 => {
            out.iter_mut().zip(halves).for_each(|(w, &b)| *w = half::bf16::from_le_bytes(b).to_f32());
        }
        _ => out.iter_mut().zip(bytes.as_chunks().0).for_each(|(w, &b)| *w = f32::from_le_bytes(b)),
    }
}

/// What a file under this name often is instead, by its first bytes.
fn something_else(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start();
    if text.starts_with(b"version https://git-lfs") {
        Some("a pointer of Git LFS, not the weights; fetch them with `git lfs pull`")
    } else if text.starts_with(b"<!DOCTYPE") || text.starts_with(b"<!doctype") || text.starts_with(b"<html") {
        Some("a page of HTML, not the weights; download the file itself")
    } else if start.starts_with(b"PK\x03\x04") {
        Some(
            "a zip archive, as of PyTorch, not safetensors; save the model with transformers' save_pretrained",
        )
    } else {
        None
    }
}
