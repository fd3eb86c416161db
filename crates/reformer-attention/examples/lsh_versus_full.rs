//! How close LSH attention comes to full attention, by rounds: sequences whose vectors come in clusters, as trained
//! query/key vectors do.
//!
//! `cargo run --release -p reformer-attention --example lsh_versus_full`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use reformer_attention::{Attention, FullConfig, Inputs, KeyNorm, Layout, LshConfig};
use reformer_lsh::{BucketCount, Buckets, Rotations, hash_vectors};
use reformer_tensor::{Address, Cpu, Matrix, Purpose};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (len, dim, clusters, chunk) = (4096, 64, 64, 64);
    let threads = std::thread::available_parallelism()?.get();
    let cpu = Cpu::new(threads)?;
    let layout = Layout { batch: 1, len, heads: 1, head_dim: dim };

    let place = Address::new(1, Purpose::Test);
    let (mut centre, mut noise) = (Matrix::zeros(clusters, dim), Matrix::zeros(len, dim));
    place.sub(0).fill_normal(centre.as_mut_slice());
    place.sub(1).fill_normal(noise.as_mut_slice());
    let qk = Matrix::from_fn(len, dim, |t, c| {
        centre.row(place.bits(t as u64) as usize % clusters)[c] + 0.3 * noise.row(t)[c]
    });
    let mut v = Matrix::zeros(len, dim);
    place.sub(2).fill_normal(v.as_mut_slice());
    let inputs = Inputs::shared(qk.view(), v.view());

    let (mut exact, mut z) = (Matrix::zeros(len, dim), vec![0.0; len]);
    let start = Instant::now();
    let full = Attention::Full(FullConfig::shared(KeyNorm::Rms));
    full.forward(&cpu, layout, &inputs, &[], exact.view_mut(), &mut z)?;
    println!("full attention of {len} positions: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);

    println!("rounds    ms  relative error");
    let size = |m: &Matrix| m.as_slice().iter().map(|x| x * x).sum::<f32>().sqrt();
    for rounds in [1, 2, 4, 8, 16] {
        let count = BucketCount::automatic(len, chunk, None)?;
        let rotations = Rotations::draw(7, 0, 0, dim, rounds, &count)?;
        let start = Instant::now();
        let buckets: Vec<Buckets> = vec![hash_vectors(&cpu, qk.view(), &rotations, None)?];
        let mut out = Matrix::zeros(len, dim);
        let lsh = Attention::Lsh(LshConfig::paper(chunk));
        lsh.forward(&cpu, layout, &inputs, &buckets, out.view_mut(), &mut z)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let off = Matrix::from_fn(len, dim, |i, j| out.row(i)[j] - exact.row(i)[j]);
        println!("{rounds:6} {ms:5.1}  {:.4}", size(&off) / size(&exact));
    }
    Ok(())
}
