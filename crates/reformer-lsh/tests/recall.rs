//! Recall@10 of one LSH lookup on 100,000 GloVe vectors against the reference figures.
//!
//! Run by `cargo xtask ci --data`; the data folder is the one named by `REFORMER_DATA`, by default a folder beside the
//! workspace. A neighbour counts as found if it shares a bucket with the query in any round.
//!
//! One draw of rotations scatters by several hundredths at one round (16 buckets are 8 axes), so the figure is a mean
//! over draws: `DRAWS·16` rounds are hashed and cut into groups of 1, 4 and 16.

#![allow(clippy::print_stdout, reason = "measured figures are shown with --no-capture")]

use std::{env, fs::File, io::Read, path::PathBuf};

use flate2::read::GzDecoder;
use half::f16;
use reformer_lsh::{BucketCount, Rotations, hash_vectors};
use reformer_tensor::{Cpu, Matrix};

const DRAWS: usize = 2;
const ROUNDS: usize = 16;
const TOP: usize = 10;

fn vectors_folder() -> PathBuf {
    let data = env::var_os("REFORMER_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    data.join("vectors")
}

fn unpack(path: PathBuf) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn matrix(path: PathBuf, cols: usize) -> Matrix {
    let bytes = unpack(path);
    let data: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect();
    Matrix::from_vec(data.len() / cols, cols, data)
}

/// For each group of `rounds` rounds, the fraction of (query, neighbour) pairs that match in some round of it.
fn recalls(matches: &[Vec<bool>], rounds: usize) -> Vec<f64> {
    let pairs = matches[0].len();
    let hits = |group: &[Vec<bool>]| (0..pairs).filter(|&pair| group.iter().any(|round| round[pair])).count();
    matches.chunks_exact(rounds).map(|group| hits(group) as f64 / pairs as f64).collect()
}

#[test]
#[ignore = "needs vectors/ in the data folder"]
fn one_lookup_finds_as_many_true_neighbours_as_the_reference() {
    let folder = vectors_folder();
    let cpu = Cpu::new(2).unwrap();
    let base = matrix(folder.join("base.f16.gz"), 50);
    let queries = matrix(folder.join("query.f16.gz"), 50);
    let truth: Vec<u32> = unpack(folder.join("neighbours.u32.gz"))
        .as_chunks()
        .0
        .iter()
        .map(|&b| u32::from_le_bytes(b))
        .collect();
    assert_eq!((base.rows(), queries.rows(), truth.len()), (100_000, 1000, 100_000));

    for (buckets, reference) in
        [(16, [0.41, 0.85, 1.00]), (64, [0.29, 0.70, 0.99]), (256, [0.22, 0.58, 0.95])]
    {
        let count = BucketCount::new(&[buckets]).unwrap();
        let mut matches = Vec::new();
        for draw in 0..DRAWS {
            let rotations = Rotations::draw(draw as u64, 0, 0, 50, ROUNDS, &count).unwrap();
            let of_base = hash_vectors(&cpu, base.view(), &rotations, None).unwrap();
            let of_queries = hash_vectors(&cpu, queries.view(), &rotations, None).unwrap();
            for round in 0..ROUNDS {
                let (b, q) = (of_base.round(round), of_queries.round(round));
                let nearest = truth.chunks_exact(100).map(|list| &list[..TOP]);
                matches.push(
                    nearest
                        .zip(q)
                        .flat_map(|(list, id)| list.iter().map(move |&n| b[n as usize] == *id))
                        .collect::<Vec<bool>>(),
                );
            }
        }
        for (rounds, expected) in [1, 4, 16].into_iter().zip(reference) {
            let each = recalls(&matches, rounds);
            let got = each.iter().sum::<f64>() / each.len() as f64;
            let (low, high) = each.iter().fold((1.0, 0.0), |(l, h), &r| (r.min(l), r.max(h)));
            println!(
                "{buckets:3} buckets, {rounds:2} rounds: recall@10 {got:.3} ({low:.2} to {high:.2} over {} draws), \
                 reference {expected:.2}",
                each.len()
            );
            assert!(
                (got - expected).abs() <= 0.02,
                "{buckets} buckets, {rounds} rounds: recall@10 {got:.3}, reference {expected:.2}"
            );
        }
    }
}
