//! The unit on nearest neighbours: exact search, a hash table, how many planes, and searching only in the query's
//! buckets.

use std::path::Path;

use reformer::lsh::knn::{self, Similarity};
use reformer::lsh::lookup::Lookup;
use reformer::lsh::{Buckets, Planes, sort_buckets};
use reformer::tensor::{Cpu, Matrix};

use super::lesson::{Lesson, Step, percent};
use super::vectors;
use crate::figure::{Axis, Figure, Scale, Series};
use crate::number::count;

/// Neighbours wanted, queries asked, vectors that a bucket should hold.
const K: usize = 10;
const QUERIES: usize = 50;
const A_BUCKET: usize = 16;
const UNIVERSES: [usize; 5] = [1, 2, 5, 10, 25];

pub(crate) fn lesson(cpu: &Cpu, file: Option<&Path>, seed: u64) -> anyhow::Result<Lesson> {
    let (vectors, whose) = if let Some(path) = file {
        let vectors = vectors::read(path)?;
        let whose = format!("the {} vectors of {}", count(vectors.rows()), path.display());
        (vectors, whose)
    } else {
        let vectors = vectors::clusters(seed, 4000, 32, 200, 0.35);
        (vectors, "4,000 vectors of 32 dimensions in 200 groups, made here".to_owned())
    };
    let steps = vec![exact(cpu)?, table()?, planes(), search(cpu, &vectors, &whose, seed)?];
    Ok(Lesson { unit: "knn", steps })
}

fn exact(cpu: &Cpu) -> anyhow::Result<Step> {
    let rows = [[1.0, 0.0, 5.0], [-2.0, 5.0, 3.0], [2.0, 0.0, 1.0], [6.0, -9.0, 5.0], [9.0, 9.0, 9.0]];
    let base = Matrix::from_fn(5, 3, |i, j| rows[i][j]);
    let query = Matrix::from_slice(1, 3, &[1.0, 0.0, 1.0]);
    let found = knn::exact(cpu, base.view(), query.view(), 3, Similarity::Cosine)?.remove(0);
    let lines = found.iter().map(|n| {
        let row = rows[n.id as usize];
        format!("row {}: [{:>2}, {:>2}, {:>2}]   cosine {:.4}", n.id, row[0], row[1], row[2], n.score)
    });
    let ids: Vec<u32> = found.iter().map(|n| n.id).collect();
    Ok(Step::new("Which vectors are nearest?")
        .say("The three of five rows that point most nearly the way of [1, 0, 1], by the cosine of the angle:")
        .table(lines.collect::<Vec<_>>())
        .say("That compared the query with every row. With a million rows it would compare it with a million: attention has the same trouble, since each query looks for the keys that are like it.")
        .number("neighbours", ids))
}

fn table() -> anyhow::Result<Step> {
    let values = [100, 10, 14, 17, 97];
    let buckets = Buckets::given(1, values.len(), 10, values.iter().map(|v| v % 10).collect())?;
    let sorted = sort_buckets(&buckets);
    let row = |bucket: u32| {
        let members: Vec<String> =
            sorted.bucket(0, bucket).iter().map(|&at| values[at as usize].to_string()).collect();
        (!members.is_empty()).then(|| format!("bucket {bucket}: {}", members.join(", ")))
    };
    Ok(Step::new("A hash table")
        .say("A hash table puts a value into a bucket that is computed from the value, so that one looks into one bucket only. By the remainder of ten:")
        .table((0..10).filter_map(row).collect::<Vec<_>>())
        .say("17 and 97 are in one bucket and far apart; 14 and 17 are near and are not. For neighbours the bucket must be computed so that near vectors share it: a hash that is sensitive to where things are. See `reformer explain hashing`."))
}

/// Planes that leave about [`A_BUCKET`] vectors in a bucket.
fn planes_for(vectors: usize) -> usize {
    (1..Planes::MAX).find(|&planes| (vectors >> planes) <= A_BUCKET).unwrap_or(Planes::MAX)
}

fn planes() -> Step {
    let n = 10_000;
    let planes = planes_for(n);
    Step::new("How many planes?")
        .say("Too few planes: a bucket holds too much to look at. Too many: neighbours are torn apart. The course wants about sixteen vectors in a bucket:")
        .table([
            format!("{} vectors / {A_BUCKET} a bucket = {} buckets", count(n), n / A_BUCKET),
            format!("2^{} = {} < {} <= 2^{planes} = {}", planes - 1, count(1 << (planes - 1)), n / A_BUCKET, count(1 << planes)),
            format!("so {planes} planes"),
        ])
        .say("A neighbour just beyond a plane is missed. So one builds several tables with planes of their own (the course's 25 universes) and looks into the query's bucket of each.")
        .number("planes", planes)
}

fn search(cpu: &Cpu, vectors: &Matrix, whose: &str, seed: u64) -> anyhow::Result<Step> {
    let planes = planes_for(vectors.rows());
    let k = K.min(vectors.rows() - 1);
    let queries = vectors.view().rows_range(0..QUERIES.min(vectors.rows()));
    // A query is a row itself: one neighbour more, and its own id left out.
    let truth = knn::exact(cpu, vectors.view(), queries, k + 1, Similarity::Cosine)?;
    let others = |neighbours: &[knn::Neighbour], query: usize| -> Vec<u32> {
        neighbours.iter().map(|n| n.id).filter(|&id| id as usize != query).take(k).collect()
    };
    let (mut rows, mut recalls, mut looked) = (Vec::new(), Vec::new(), Vec::new());
    for universes in UNIVERSES {
        let family = Planes::draw(seed, 0, 0, vectors.cols(), universes, planes)?;
        let found =
            Lookup::build(cpu, vectors.view(), family, Similarity::Cosine)?.query(cpu, queries, k + 1)?;
        let hits: usize = (0..queries.rows())
            .map(|q| {
                let got = others(&found.neighbours[q], q);
                others(&truth[q], q).iter().filter(|id| got.contains(id)).count()
            })
            .sum();
        let recall = hits as f64 / (k * queries.rows()) as f64;
        let candidates = found.candidates.iter().sum::<usize>() as f64 / queries.rows() as f64;
        rows.push(format!(
            "{universes:>9}   {:>10}   {:>8}   {:>6}",
            count(candidates.round() as usize),
            percent(candidates / vectors.rows() as f64),
            percent(recall)
        ));
        recalls.push((universes as f64, recall));
        looked.push((universes as f64, candidates / vectors.rows() as f64));
    }
    let series = |name: &str, points: &[(f64, f64)], look| Series {
        name: name.into(),
        points: points.to_vec(),
        dashed: false,
        marks: true,
        look,
    };
    let figure = Figure {
        title: format!("Neighbours found in {planes}-plane tables"),
        subtitle: format!("{k} nearest of {whose}"),
        x: Axis { label: "universes (tables)".into(), scale: Scale::Linear },
        y: Axis { label: "share".into(), scale: Scale::Linear },
        series: vec![series("neighbours found", &recalls, 0), series("vectors looked at", &looked, 1)],
    };
    let shares = |points: &[(f64, f64)]| points.iter().map(|p| p.1).collect::<Vec<f64>>();
    Ok(Step::new("Searching in the query's buckets only")
        .say(format!("The {k} nearest neighbours of {} queries among {whose}, with {planes} planes:", queries.rows()))
        .table(std::iter::once("universes   candidates   of all     found".to_owned()).chain(rows))
        .say("More tables find more and look at more. Reformer does the same inside attention: its universes are called rounds, and 1 to 8 of them are used. `reformer explain lsh-attention` goes on from here.")
        .number("universes", UNIVERSES.to_vec())
        .number("recall", shares(&recalls))
        .number("looked_at", shares(&looked))
        .picture("universes.svg", figure.svg()))
}
