//! `reformer bench hash`: vectors to buckets in every round, and their sorting if asked for.
//!
//! Operations are those of the product with all rounds' directions, `2·length·head_dim·num_hashes·columns`; reading the
//! projections and sorting are not counted.

use reformer::lsh::{BucketCount, Rotations, hash_vectors, sort_buckets};
use serde_json::json;

use super::report::{Bench, Result};
use super::{automatic_buckets, fits, normal, positive};
use crate::args::bench::{HashBench, SemanticsChoice};
use crate::exit::usage;
use crate::number;

/// Measures every combination of rounds and length.
pub(super) fn run(args: &HashBench, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    positive(&[("--head-dim", args.head_dim), ("--chunk-length", args.chunk_length)])?;
    let sorting = if args.sort { ", sorted" } else { "" };
    bench.title(&format!("hashing of {}-wide vectors{sorting}", args.head_dim))?;
    for &num_hashes in &args.num_hashes {
        for &length in &args.length {
            positive(&[("--length", length), ("--num-hashes", num_hashes)])?;
            let bytes = 4.0 * length as f64 * (args.head_dim as f64 + num_hashes as f64);
            fits(&format!("hashing {} vectors", number::count(length)), bytes, "--length or --head-dim")?;
            measure(args, bench, length, num_hashes)?;
        }
    }
    Ok(())
}

fn measure(args: &HashBench, bench: &mut Bench<'_>, length: usize, num_hashes: usize) -> anyhow::Result<()> {
    let count = match &args.num_buckets[..] {
        [] => automatic_buckets(length, args.chunk_length, SemanticsChoice::Paper)?,
        factors => BucketCount::new(factors).map_err(usage)?,
    };
    let case = bench.begin();
    let x = normal(bench.seed, 0, length, args.head_dim);
    let rotations = Rotations::draw(bench.seed, 0, 0, args.head_dim, num_hashes, &count)?;
    let cpu = bench.cpu.clone();
    let measured = bench.time(case, 4 * length * num_hashes, || {
        let buckets = hash_vectors(&cpu, x.view(), &rotations, None)?;
        if args.sort {
            std::hint::black_box(sort_buckets(&buckets));
        }
        std::hint::black_box(buckets);
        Ok(())
    })?;
    let rate = length as f64 / measured.times.median();
    let columns = count.rotation_columns();
    let result = Result {
        bench: "hash",
        parameters: json!({
            "length": length,
            "head_dim": args.head_dim,
            "num_hashes": num_hashes,
            "num_buckets": count.factors(),
            "sort": args.sort,
            "vectors_per_second": rate.round(),
        }),
        flops: Some(
            2.0 * [length, args.head_dim, num_hashes, columns].map(|n| n as f64).iter().product::<f64>(),
        ),
        flops_formula: "2·length·head_dim·num_hashes·Σ num_buckets/2",
        cells: vec![
            ("length", number::count(length)),
            ("rounds", num_hashes.to_string()),
            ("buckets", count.total().to_string()),
            ("vectors/s", number::count(rate as usize)),
        ],
    };
    bench.report(result, &measured)
}
