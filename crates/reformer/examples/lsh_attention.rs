//! LSH attention without a model: hash, attend, and see how close more rounds come to exact attention.
//!
//! Vectors come in clusters, as trained queries do; the exact answer attends over all pairs.
//!
//! `cargo run --release -p reformer --example lsh_attention`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use reformer::attention::{Attention, FullConfig, Inputs, KeyNorm, Layout, LshConfig};
use reformer::lsh::{BucketCount, Rotations, hash_vectors};
use reformer::tensor::{Address, Cpu, Matrix, Purpose};

const LEN: usize = 2048;
const DIM: usize = 32;
const CLUSTERS: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpu = Cpu::new(2)?;
    let layout = Layout { batch: 1, len: LEN, heads: 1, head_dim: DIM };
    let (qk, v) = clustered();
    let inputs = Inputs::shared(qk.view(), v.view());

    let mut exact = Matrix::zeros(LEN, DIM);
    let mut z = vec![0.0; LEN];
    let full = Attention::Full(FullConfig::shared(KeyNorm::Rms));
    full.forward(&cpu, layout, &inputs, &[], exact.view_mut(), &mut z)?;

    println!("rounds  mean error against exact attention");
    let mut errors = Vec::new();
    for rounds in [1, 2, 4, 8] {
        let rotations = Rotations::draw(7, 0, 0, DIM, rounds, &BucketCount::new(&[32])?)?;
        let buckets = [hash_vectors(&cpu, qk.view(), &rotations, None)?];
        let mut out = Matrix::zeros(LEN, DIM);
        let lsh = Attention::Lsh(LshConfig::paper(128));
        lsh.forward(&cpu, layout, &inputs, &buckets, out.view_mut(), &mut z)?;
        let error = out.as_slice().iter().zip(exact.as_slice()).map(|(a, b)| (a - b).abs()).sum::<f32>();
        errors.push(error / (LEN * DIM) as f32);
        println!("{rounds:6}  {:.4}", errors[errors.len() - 1]);
    }
    assert!(errors[3] < errors[0], "more rounds find more of the neighbours");
    Ok(())
}

/// Queries near one of a few centres, and values that belong to the centres.
fn clustered() -> (Matrix, Matrix) {
    let normal = |rows: usize, step: u64| {
        let mut matrix = Matrix::zeros(rows, DIM);
        Address { seed: 1, step, layer: 0, purpose: Purpose::Corpus }.fill_normal(matrix.as_mut_slice());
        matrix
    };
    let (centres, values) = (normal(CLUSTERS, 0), normal(CLUSTERS, 1));
    let (mut qk, mut v) = (normal(LEN, 2), normal(LEN, 3));
    for i in 0..LEN {
        // A stride prime to the number of clusters visits them in a scattered order.
        let c = i * 29 % CLUSTERS;
        for d in 0..DIM {
            qk.row_mut(i)[d] = 3.0 * centres.row(c)[d] + 0.3 * qk.row(i)[d];
            v.row_mut(i)[d] = values.row(c)[d] + 0.1 * v.row(i)[d];
        }
    }
    (qk, v)
}
