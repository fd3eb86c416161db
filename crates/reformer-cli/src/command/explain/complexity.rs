//! The unit on complexity: what a query is compared with, what that costs, counted and timed, and what depth costs.

use std::time::Instant;

use reformer::attention::{Attention, FullConfig, Inputs, Layout, LocalConfig, LshConfig};
use reformer::lsh::{BucketCount, Rotations, hash_vectors};
use reformer::tensor::{Cpu, Matrix};

use super::lesson::{Lesson, Step};
use super::vectors;
use crate::figure::{Axis, Figure, Scale, Series};
use crate::number::{bytes, count};

const CHUNK: usize = 64;
const HEAD: usize = 64;
const ROUNDS: usize = 4;

pub(crate) fn lesson(seed: u64) -> anyhow::Result<Lesson> {
    Ok(Lesson { unit: "complexity", steps: vec![compared(), scores(), timed(seed)?, depth()] })
}

/// Keys a query is compared with: exact, local, LSH of some rounds.
fn keys(len: usize) -> [usize; 3] {
    [len, (2 * CHUNK).min(len), (ROUNDS * 2 * CHUNK).min(len)]
}

fn compared() -> Step {
    let lengths: Vec<usize> = (8..=20).step_by(2).map(|power| 1 << power).collect();
    let row = |len: &usize| {
        let [exact, local, lsh] = keys(*len).map(|keys| count(len * keys));
        format!("{:>9}   {exact:>17}   {local:>13}   {lsh:>13}", count(*len))
    };
    let header = "   length               exact           local    LSH, 4 rounds".to_owned();
    let names = ["exact", "local", "LSH, 4 rounds"];
    let series = (0..3)
        .map(|kind| Series {
            name: names[kind].into(),
            points: lengths.iter().map(|&len| (len as f64, (len * keys(len)[kind]) as f64)).collect(),
            dashed: false,
            marks: true,
            look: kind,
        })
        .collect();
    let figure = Figure {
        title: "Products of a query and a key, one head of one layer".into(),
        subtitle: format!("chunks of {CHUNK} that see the one before"),
        x: Axis { label: "length, tokens".into(), scale: Scale::Lengths },
        y: Axis { label: "products".into(), scale: Scale::Powers },
        series,
    };
    let million = keys(1 << 20);
    Step::new("What a query is compared with")
        .say(format!("Exact attention compares every query with every key: L² products. Local attention looks into its own chunk of {CHUNK} and the one before. LSH attention does that in the sorted list, once a round:"))
        .table(std::iter::once(header).chain(lengths.iter().map(row)))
        .say(format!("At a million tokens that is {} times less, if the keys that matter are in the query's buckets.", count(million[0] / million[2])))
        .number("lengths", lengths.clone())
        .number("products", lengths.iter().map(|&len| keys(len).map(|k| len * k).to_vec()).collect::<Vec<_>>())
        .picture("products.svg", figure.svg())
}

fn scores() -> Step {
    let lengths = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 20];
    let row = |len: usize| {
        format!("{:>9}   {:>12}   {:>12}", count(len), bytes(4 * len * len), bytes(8 * 4 * len * len * 12))
    };
    Step::new("What a table of scores takes")
        .say("Written out as a table of f32, the scores of one head of one layer, and of 8 heads in 12 layers that are kept for the backward pass:")
        .table(std::iter::once("   length       one table     8 · 12 of them".to_owned()).chain(lengths.map(row)))
        .say("No kernel here holds such a table: exact attention goes through it in blocks and keeps one number a query. So exact attention costs memory of order L too; its time is of order L² all the same.")
}

fn timed(seed: u64) -> anyhow::Result<Step> {
    let cpu = Cpu::single();
    let lengths = [256, 512, 1024, 2048, 4096];
    let mut points: [Vec<(f64, f64)>; 3] = Default::default();
    for len in lengths {
        let layout = Layout { batch: 1, len, heads: 1, head_dim: HEAD };
        let (qk, v) = (vectors::clusters(seed, len, HEAD, len / 16, 0.5), vectors::normal(seed, len, HEAD));
        let (mut out, mut z) = (Matrix::zeros(len, HEAD), vec![0.0; len]);
        let separate = Inputs::separate(qk.view(), qk.view(), v.view());
        let shared = Inputs::shared(qk.view(), v.view());
        let rotations =
            Rotations::draw(seed, 0, 0, HEAD, ROUNDS, &BucketCount::automatic(len, CHUNK, None)?)?;
        // The best of three: what a run took longer is the machine's.
        let mut best = [f64::INFINITY; 3];
        let kinds: [(Attention, &Inputs<'_>); 3] = [
            (FullConfig::causal().into(), &separate),
            (LocalConfig::causal(CHUNK).into(), &separate),
            (LshConfig::paper(CHUNK).into(), &shared),
        ];
        for _ in 0..3 {
            for (best, (attention, inputs)) in best.iter_mut().zip(&kinds) {
                let start = Instant::now();
                let buckets = if attention.needs_buckets(len) {
                    vec![hash_vectors(&cpu, qk.view(), &rotations, None)?]
                } else {
                    Vec::new()
                };
                attention.forward(&cpu, layout, inputs, &buckets, out.view_mut(), &mut z)?;
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
        for (points, seconds) in points.iter_mut().zip(best) {
            points.push((len as f64, seconds));
        }
    }
    let row = |i: usize| {
        let [exact, local, lsh] = [0, 1, 2].map(|kind: usize| 1e3 * points[kind][i].1);
        format!("{:>6}   {exact:>8.2}   {local:>8.2}   {lsh:>8.2}", count(lengths[i]))
    };
    let header = format!("length      exact      local    LSH, {ROUNDS} rounds     ms");
    let rows: Vec<String> = std::iter::once(header).chain((0..lengths.len()).map(row)).collect();
    let seconds: Vec<Vec<f64>> = points.iter().map(|line| line.iter().map(|p| p.1).collect()).collect();
    let figure = Figure {
        title: "Seconds of a forward pass of attention".into(),
        subtitle: format!("one head {HEAD} wide, one thread, causal, chunks of {CHUNK}; hashing included"),
        x: Axis { label: "length, tokens".into(), scale: Scale::Lengths },
        y: Axis { label: "time".into(), scale: Scale::Durations },
        series: points
            .into_iter()
            .zip(["exact", "local", "LSH, 4 rounds"])
            .enumerate()
            .map(|(look, (points, name))| Series {
                name: name.into(),
                points,
                dashed: false,
                marks: true,
                look,
            })
            .collect(),
    };
    Ok(Step::new("Timed, here and now")
        .say(format!("A forward pass of one head {HEAD} wide on one thread, hashing and sorting included:"))
        .table(rows)
        .say("Doubling the length doubles the time of local and LSH attention and quadruples that of exact attention. Short sequences do not need hashing: up to two chunks LSH attention is exact. `reformer bench attention` measures longer ones.")
        .number("lengths", lengths.to_vec())
        .number("seconds", seconds)
        .picture("seconds.svg", figure.svg()))
}

fn depth() -> Step {
    Step::new("And depth")
        .say("N layers multiply the time by N. They multiply the memory by N only if every layer's activations are kept for the backward pass; reversible layers compute them again, at the price of about a third more time: forward, forward again, backward.")
        .table([
            "                  time a layer     memory, N layers".to_owned(),
            "Transformer       L²               N · L² (or N · L in blocks)".to_owned(),
            "Reformer          L · log L        L".to_owned(),
        ])
        .say("`reformer explain reversible` shows the memory; `reformer plan RECIPE` counts both for a model of yours.")
}
