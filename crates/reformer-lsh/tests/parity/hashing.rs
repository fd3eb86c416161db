//! Buckets of Hugging Face and trax from their vectors and rotations, exactly.

use reformer_lsh::{BucketCount, Rotations, hash_vectors};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::fixture::{Report, Tensors};
use serde_json::Value;

/// Compares bucket by bucket, with and without the mask; any difference is a failure.
pub(crate) fn check(kind: &str, config: &Value, tensors: &Tensors) -> Option<Result<Report, String>> {
    let (buckets, rounds, mask) = match kind {
        "hf_hash" => ("num_buckets", "num_hashes", "attention_mask"),
        "trax_hash" => ("n_buckets", "n_hashes", "mask"),
        _ => return None,
    };
    Some(compare(&config[buckets], &config[rounds], mask, tensors))
}

fn compare(buckets: &Value, rounds: &Value, mask: &str, tensors: &Tensors) -> Result<Report, String> {
    let factors: Vec<usize> = match buckets {
        Value::Array(list) => list.iter().filter_map(Value::as_u64).map(|f| f as usize).collect(),
        one => vec![one.as_u64().ok_or("the number of buckets is not a number")? as usize],
    };
    let count = BucketCount::new(&factors).map_err(|e| e.to_string())?;
    let rounds = rounds.as_u64().ok_or("the number of rounds is not a number")? as usize;
    let (batch, heads, len, dim) = match tensors.shape("vectors")? {
        &[batch, heads, len, dim] => (batch, heads, len, dim),
        &[len, dim] => (1, 1, len, dim),
        other => return Err(format!("vectors of shape {other:?}")),
    };
    let cpu = Cpu::new(1).map_err(|e| e.to_string())?;
    let rotations = tensors.f32("rotations")?;
    let mask = tensors.mask(mask)?.ok_or("the mask is missing")?;
    let mut report = Report::default();
    for (name, masked) in [("buckets", false), ("buckets_masked", true)] {
        let mut got = Vec::new();
        for (row, x) in tensors.f32("vectors")?.chunks_exact(len * dim).enumerate() {
            let (b, h) = (row / heads, row % heads);
            let size = rotations.len() / heads;
            let drawn = rotations[h * size..(h + 1) * size].to_vec();
            let rotations = Rotations::given(dim, rounds, count.clone(), drawn).map_err(|e| e.to_string())?;
            let x = Matrix::from_vec(len, dim, x.to_vec());
            let mask = masked.then(|| &mask[b * len..(b + 1) * len]);
            let buckets = hash_vectors(&cpu, x.view(), &rotations, mask).map_err(|e| e.to_string())?;
            got.extend(buckets.with_offsets().into_iter().map(|id| id as i64));
        }
        let expected = tensors.i64(name)?;
        if got.len() != batch * heads * rounds * len || got.len() != expected.len() {
            return Err(format!("{name}: {} buckets, {} expected", got.len(), expected.len()));
        }
        let wrong = got.iter().zip(expected).filter(|(got, expected)| got != expected).count();
        report.note(name, wrong as f64, 0.0);
    }
    Ok(report)
}
