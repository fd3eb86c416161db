//! Buckets of Hugging Face and trax, reproduced exactly from their vectors and rotations.
//!
//! The folder is the repository's `fixtures`, or the one named by `REFORMER_FIXTURES`.

#![allow(clippy::print_stdout, reason = "measured figures are shown with --no-capture")]

use std::{env, fs, path::PathBuf};

use reformer_lsh::{BucketCount, Buckets, Rotations, hash_vectors};
use reformer_tensor::{Cpu, Matrix};
use safetensors::SafeTensors;
use serde_json::Value;

fn folder() -> PathBuf {
    env::var_os("REFORMER_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures"), PathBuf::from)
}

fn floats(file: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    (tensor.shape().to_vec(), data)
}

fn integers(file: &SafeTensors, name: &str) -> Vec<u64> {
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        safetensors::Dtype::U8 => data.iter().map(|&b| b.into()).collect(),
        safetensors::Dtype::I32 => data.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b) as u64).collect(),
        safetensors::Dtype::I64 => data.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as u64).collect(),
        other => panic!("{name} has dtype {other:?}"),
    }
}

fn count(value: &Value) -> BucketCount {
    let number = |v: &Value| v.as_u64().unwrap() as usize;
    let factors = match value {
        Value::Array(list) => list.iter().map(number).collect(),
        one => vec![number(one)],
    };
    BucketCount::new(&factors).unwrap()
}

/// Heads of one fixture in a common form: `vectors [batch, heads, len, dim]`, `rotations [heads, …]`.
struct Case {
    shape: [usize; 4],
    vectors: Vec<f32>,
    rotations: Vec<Rotations>,
    mask: Vec<bool>,
}

impl Case {
    fn read(kind: &str, config: &Value, file: &SafeTensors) -> Self {
        let hf = kind == "hf_hash";
        let count = count(&config[if hf { "num_buckets" } else { "n_buckets" }]);
        let (vectors_shape, vectors) = floats(file, "vectors");
        let (_, rotations) = floats(file, "rotations");
        let shape = match vectors_shape[..] {
            [batch, heads, len, dim] => [batch, heads, len, dim],
            [len, dim] => [1, 1, len, dim],
            _ => panic!("vectors of shape {vectors_shape:?}"),
        };
        let rounds = config[if hf { "num_hashes" } else { "n_hashes" }].as_u64().unwrap() as usize;
        let of_head = |r: &[f32]| Rotations::given(shape[3], rounds, count.clone(), r.to_vec());
        let rotations = rotations.chunks_exact(rotations.len() / shape[1]);
        let mask = integers(file, if hf { "attention_mask" } else { "mask" });
        Self {
            shape,
            vectors,
            rotations: rotations.map(|r| of_head(r).unwrap()).collect(),
            mask: mask.into_iter().map(|m| m != 0).collect(),
        }
    }

    /// Buckets with offsets, `[batch, heads, rounds, len]`.
    fn hash(&self, cpu: &Cpu, masked: bool) -> Vec<u64> {
        let [batch, heads, len, dim] = self.shape;
        let mut all = Vec::new();
        for (i, x) in self.vectors.chunks_exact(len * dim).enumerate() {
            let (b, h) = (i / heads, i % heads);
            assert!(b < batch);
            let mask = masked.then(|| &self.mask[b * len..(b + 1) * len]);
            let x = Matrix::from_vec(len, dim, x.to_vec());
            let buckets: Buckets = hash_vectors(cpu, x.view(), &self.rotations[h], mask).unwrap();
            all.extend(buckets.with_offsets());
        }
        all
    }
}

#[test]
fn buckets_equal_those_of_hugging_face_and_trax() {
    let cpu = Cpu::new(2).unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("hash_"))
        .collect();
    names.sort();
    let mut passed = 0;
    for path in names {
        let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let bytes = fs::read(path.with_extension("safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let kind = json["kind"].as_str().unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let case = Case::read(kind, &json["config"], &file);
        for (tensor, masked) in [("buckets", false), ("buckets_masked", true)] {
            assert_eq!(case.hash(&cpu, masked), integers(&file, tensor), "{name} {tensor}");
        }
        println!("{name}: {kind}, buckets equal with and without mask");
        passed += 1;
    }
    assert!(passed >= 10, "only {passed} hashing fixtures in {}", folder().display());
}
