//! How well does hashing find the nearest neighbours, and what does it save?
//!
//! ```text
//! cargo run --release -p reformer-lsh --example neighbours
//! ```
//!
//! 20,000 vectors in 200 clouds of directions are hashed into tables; each of 500 queries is compared only with the
//! vectors that share a bucket with it in some round. Recall@10 is the part of the 10 true neighbours that it finds.
//! More rounds: more found, more compared. More buckets: the opposite. Factors: fewer columns to
//! multiply by, and a coarser hash. It prints:
//!
//! ```text
//!  buckets  rounds  recall@10  compared
//!       16       1      0.515      6.9%
//!       16       4      0.949     23.8%
//!       16      16      1.000     63.2%
//!       64       1      0.404      2.1%
//!       64       4      0.869      7.1%
//!       64      16      1.000     24.5%
//!      256       1      0.354      0.7%
//!      256       4      0.818      2.5%
//!      256      16      0.998      8.9%
//!    16·16       1      0.264      0.6%
//!    16·16       4      0.711      2.2%
//!    16·16      16      0.991      7.9%
//!     4096       1      0.239      0.2%
//!     4096       4      0.649      0.5%
//!     4096      16      0.981      1.4%
//!    64·64       1      0.160      0.1%
//!    64·64       4      0.515      0.4%
//!    64·64      16      0.941      1.2%
//! 16·16·16       1      0.143      0.1%
//! 16·16·16       4      0.476      0.4%
//! 16·16·16      16      0.912      1.1%
//! ```
//!
//! and the times. Exact search, one large product, is fast at this size; the table pays as the base grows.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{error::Error, time::Instant};

use reformer_lsh::{
    BucketCount, Rotations,
    knn::{self, Similarity},
    lookup::Lookup,
};
use reformer_tensor::{Address, Cpu, Matrix, Purpose};

const DIM: usize = 64;
const CLOUDS: usize = 200;

/// `rows` vectors, each a cloud's centre plus half as much noise.
fn clouds(centres: &Matrix, rows: usize, seed: u64) -> Matrix {
    let mut x = Matrix::zeros(rows, DIM);
    address(seed).fill_normal(x.as_mut_slice());
    for t in 0..rows {
        let centre = centres.row(t % CLOUDS);
        for (v, c) in x.row_mut(t).iter_mut().zip(centre) {
            *v = c + 0.5 * *v;
        }
    }
    x
}

fn address(seed: u64) -> Address {
    Address { seed, step: 0, layer: 0, purpose: Purpose::Test }
}

fn main() -> Result<(), Box<dyn Error>> {
    let cpu = Cpu::new(std::thread::available_parallelism()?.get())?;
    let mut centres = Matrix::zeros(CLOUDS, DIM);
    address(0).fill_normal(centres.as_mut_slice());
    let (base, queries) = (clouds(&centres, 20_000, 1), clouds(&centres, 500, 2));

    let start = Instant::now();
    let truth = knn::exact(&cpu, base.view(), queries.view(), 10, Similarity::Cosine)?;
    println!("exact search: {} comparisons a query, {:.1?}\n", base.rows(), start.elapsed());

    println!(" buckets  rounds  recall@10  compared  time");
    for factors in [&[16][..], &[64], &[256], &[16, 16], &[4096], &[64, 64], &[16, 16, 16]] {
        let buckets = factors.iter().map(ToString::to_string).collect::<Vec<_>>().join("·");
        for rounds in [1, 4, 16] {
            let family = Rotations::draw(0, 0, 0, DIM, rounds, &BucketCount::new(factors)?)?;
            let lookup = Lookup::build(&cpu, base.view(), family, Similarity::Cosine)?;
            let start = Instant::now();
            let found = lookup.query(&cpu, queries.view(), 10)?;
            let time = start.elapsed();
            let compared = found.candidates.iter().sum::<usize>() as f64;
            println!(
                "{buckets:>8}  {rounds:6}  {:9.3}  {:7.1}%  {time:.1?}",
                knn::recall(&truth, &found.neighbours),
                100.0 * compared / (queries.rows() * base.rows()) as f64,
            );
        }
    }
    Ok(())
}
