//! Attention as the labs call it: one head, a matrix of queries, of keys and of values, in; outputs and logsumexp out.

use reformer::attention::{
    FullConfig, Inputs, KeyNorm, Keys, Layout, LocalConfig, LshConfig, Wrap, full_forward, local_forward,
    lsh_forward,
};
use reformer::lsh::Buckets;
use reformer::tensor::{Cpu, Matrix, Write, matmul};

/// Every query against every key, `softmax(q·kᵀ/√d)·v`.
pub(crate) fn full(q: &Matrix, k: &Matrix, v: &Matrix, causal: bool) -> (Matrix, Vec<f32>) {
    let (mut out, mut z) = outputs(v);
    let config = FullConfig { causal, ..FullConfig::causal() };
    let inputs = Inputs::separate(q.view(), k.view(), v.view());
    full_forward(&Cpu::single(), &config, one_head(v), &inputs, out.view_mut(), &mut z).unwrap();
    (out, z)
}

/// Queries that are their own keys: a position sees itself only if it sees nothing else.
pub(crate) fn shared(qk: &Matrix, v: &Matrix, causal: bool, tokens: Option<&[bool]>) -> (Matrix, Vec<f32>) {
    let (mut out, mut z) = outputs(v);
    let config = FullConfig { causal, ..FullConfig::shared(KeyNorm::Rms) };
    let inputs = Inputs::shared(qk.view(), v.view()).with_tokens(tokens);
    full_forward(&Cpu::single(), &config, one_head(v), &inputs, out.view_mut(), &mut z).unwrap();
    (out, z)
}

/// Chunks of `chunk` rows that see nothing but themselves.
pub(crate) fn chunks(q: &Matrix, k: &Matrix, v: &Matrix, chunk: usize) -> (Matrix, Vec<f32>) {
    let (mut out, mut z) = outputs(v);
    let config = LocalConfig {
        chunks_before: 0,
        causal: false,
        wrap: Wrap::Bounded,
        keys: Keys::Separate,
        ..LocalConfig::causal(chunk)
    };
    let inputs = Inputs::separate(q.view(), k.view(), v.view());
    local_forward(&Cpu::single(), &config, one_head(v), &inputs, out.view_mut(), &mut z).unwrap();
    (out, z)
}

/// trax's LSH attention over these buckets, every chunk by itself, nobody masked.
pub(crate) fn lsh(qk: &Matrix, v: &Matrix, buckets: Buckets, chunk: usize) -> Matrix {
    let (mut out, mut z) = outputs(v);
    let config = LshConfig { chunks_before: 0, causal: false, ..LshConfig::trax(chunk) };
    let inputs = Inputs::shared(qk.view(), v.view());
    lsh_forward(&Cpu::single(), &config, one_head(v), &inputs, &[buckets], out.view_mut(), &mut z).unwrap();
    out
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
