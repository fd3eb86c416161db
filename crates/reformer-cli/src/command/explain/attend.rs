//! Who attends to whom, and how much: the kernels' own weights as a matrix.
//!
//! A kernel puts out `P·V` and never holds `P`. With the unit vectors for values the output *is* `P`; they are handed
//! over a head's width at a time, the same queries in every head.

use anyhow::Result;
use reformer::attention::{Attention, ExactLength, FullConfig, Inputs, KeyNorm, Layout, LshConfig};
use reformer::lsh::Buckets;
use reformer::tensor::{Cpu, Matrix};

/// Exact attention over the past, queries being their own keys: `[len, len]`.
pub(crate) fn exact(cpu: &Cpu, qk: &Matrix) -> Result<Matrix> {
    weights(cpu, qk, FullConfig::shared(KeyNorm::Rms).into(), None)
}

/// LSH attention: same bucket, in its own chunk and `before` chunks before it, rounds corrected for meeting twice.
pub(crate) fn hashed(
    cpu: &Cpu,
    qk: &Matrix,
    buckets: &Buckets,
    chunk: usize,
    before: usize,
) -> Result<Matrix> {
    let config = LshConfig { chunks_before: before, exact: ExactLength::Never, ..LshConfig::paper(chunk) };
    weights(cpu, qk, config.into(), Some(buckets))
}

fn weights(cpu: &Cpu, qk: &Matrix, attention: Attention, buckets: Option<&Buckets>) -> Result<Matrix> {
    let (len, head_dim) = (qk.rows(), qk.cols());
    let heads = len.div_ceil(head_dim);
    let layout = Layout { batch: 1, len, heads, head_dim };
    let queries = Matrix::from_fn(len, layout.cols(), |i, j| qk.row(i)[j % head_dim]);
    let unit = Matrix::from_fn(len, layout.cols(), |i, j| f32::from(u8::from(i == j)));
    let (mut out, mut z) = (Matrix::zeros(len, layout.cols()), vec![0.0; heads * len]);
    let buckets: Vec<Buckets> = buckets.into_iter().flat_map(|b| vec![b.clone(); heads]).collect();
    let inputs = Inputs::shared(queries.view(), unit.view());
    attention.forward(cpu, layout, &inputs, &buckets, out.view_mut(), &mut z)?;
    Ok(Matrix::from_fn(len, len, |i, j| out.row(i)[j]))
}

/// The share of exact attention's weight on pairs that `seen` sees too, over all queries but the first, which sees
/// nothing but itself.
pub(crate) fn mass_kept(exact: &Matrix, seen: &Matrix) -> f64 {
    let row = |i: usize| -> f64 {
        let pairs = exact.row(i).iter().zip(seen.row(i));
        pairs.filter(|(_, seen)| **seen > 0.0).map(|(p, _)| f64::from(*p)).sum()
    };
    let queries = exact.rows().saturating_sub(1).max(1);
    (1..exact.rows()).map(row).sum::<f64>() / queries as f64
}

/// Pairs with any weight, a query's self left out.
pub(crate) fn pairs(p: &Matrix) -> usize {
    (0..p.rows()).map(|i| (0..p.cols()).filter(|&j| i != j && p.row(i)[j] > 0.0).count()).sum()
}
