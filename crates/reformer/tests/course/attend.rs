//! Attention as the labs call it: one head, a matrix of queries, of keys and of values, in; outputs and logsumexp out.

use reformer::attention::{
    Attention, FullConfig, Inputs, KeyNorm, Keys, Layout, LocalConfig, LshConfig, Visibility, Wrap,
};
use reformer::lsh::Buckets;
use reformer::tensor::{Cpu, Matrix, Write, matmul};

fn attend(
    attention: impl Into<Attention>,
    inputs: &Inputs<'_>,
    v: &Matrix,
    buckets: &[Buckets],
) -> (Matrix, Vec<f32>) {
    let (mut out, mut z) = outputs(v);
    let (cpu, layout) = (Cpu::single(), one_head(v));
    attention.into().forward(&cpu, layout, inputs, buckets, out.view_mut(), &mut z).unwrap();
    (out, z)
}

/// Every query against every key, `softmax(q·kᵀ/√d)·v`.
pub(crate) fn full(q: &Matrix, k: &Matrix, v: &Matrix, causal: bool) -> (Matrix, Vec<f32>) {
    let visibility = Visibility::CAUSAL.with_causal(causal);
    let config = FullConfig { visibility, ..FullConfig::causal() };
    attend(config, &Inputs::separate(q.view(), k.view(), v.view()), v, &[])
}

/// Queries that are their own keys: a position sees itself only if it sees nothing else.
pub(crate) fn shared(qk: &Matrix, v: &Matrix, causal: bool, tokens: Option<&[bool]>) -> (Matrix, Vec<f32>) {
    let visibility = Visibility::CAUSAL.with_causal(causal);
    let config = FullConfig { visibility, ..FullConfig::shared(KeyNorm::Rms) };
    attend(config, &Inputs::shared(qk.view(), v.view()).with_tokens(tokens), v, &[])
}

/// Chunks of `chunk` rows that see nothing but themselves.
pub(crate) fn chunks(q: &Matrix, k: &Matrix, v: &Matrix, chunk: usize) -> (Matrix, Vec<f32>) {
    let config = LocalConfig {
        chunks_before: 0,
        visibility: Visibility::BIDIRECTIONAL,
        wrap: Wrap::Bounded,
        keys: Keys::Separate,
        ..LocalConfig::causal(chunk)
    };
    attend(config, &Inputs::separate(q.view(), k.view(), v.view()), v, &[])
}

/// trax's LSH attention over these buckets, every chunk by itself, nobody masked.
pub(crate) fn lsh(qk: &Matrix, v: &Matrix, buckets: Buckets, chunk: usize) -> Matrix {
    let trax = LshConfig::trax(chunk);
    let visibility = trax.visibility.with_causal(false);
    let config = LshConfig { chunks_before: 0, visibility, ..trax };
    attend(config, &Inputs::shared(qk.view(), v.view()), v, &[buckets]).0
}

/// `a·b`.
pub(crate) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(a.rows(), b.cols());
    matmul(&Cpu::single(), a.view(), b.view(), Write::Overwrite, out.view_mut());
    out
}

/// Heads here are as wide as their values: a narrower query gets columns of zeros, which add nothing to a product, and
/// is scaled so that dividing by the root of the wider width comes to the same.
pub(crate) fn widened(q: &Matrix, width: usize) -> Matrix {
    let scale = (width as f32 / q.cols() as f32).sqrt();
    Matrix::from_fn(q.rows(), width, |i, j| if j < q.cols() { q.row(i)[j] * scale } else { 0.0 })
}

/// As [`widened`], unscaled.
pub(crate) fn padded(k: &Matrix, width: usize) -> Matrix {
    Matrix::from_fn(k.rows(), width, |i, j| if j < k.cols() { k.row(i)[j] } else { 0.0 })
}

fn one_head(v: &Matrix) -> Layout {
    Layout { batch: 1, len: v.rows(), heads: 1, head_dim: v.cols() }
}

fn outputs(v: &Matrix) -> (Matrix, Vec<f32>) {
    (Matrix::zeros(v.rows(), v.cols()), vec![0.0; v.rows()])
}
