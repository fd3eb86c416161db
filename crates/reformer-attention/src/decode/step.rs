//! A step: what the newest position attends to, for one head. The module above says what and why.

use reformer_lsh::Wrap;

use super::bucket_table::BucketTable;
use super::key_values::KeyValues;
use crate::config::{Duplicates, FullConfig, Keys, LocalConfig, LshConfig};
use crate::error::{AttentionError, Result};
use crate::operands::check_count;

/// One head of one new position.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Its query, `[head_dim]`.
    pub q: &'a [f32],
    /// Which head.
    pub head: usize,
    /// Its position; later ones may already be among the rows, and are not seen.
    pub position: usize,
    /// Keys and values of all positions up to it, its own included.
    pub rows: &'a KeyValues,
}

/// What a step needs and leaves behind for the next.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    candidates: Vec<u32>,
    scores: Vec<f32>,
}

impl Step<'_> {
    fn check(&self, from: usize, out: &[f32]) -> Result<()> {
        check_count("q", self.q.len(), self.rows.head_dim())?;
        check_count("out", out.len(), self.rows.head_dim())?;
        if self.position >= self.rows.len() {
            let (got, expected) = (self.rows.len(), self.position + 1);
            return Err(AttentionError::Count { what: "positions of a step", got, expected });
        }
        if from < self.rows.first_kept() {
            return Err(AttentionError::Forgotten { position: from, kept: self.rows.first_kept() });
        }
        Ok(())
    }

    /// `candidates` are without the newest where it may be seen only if alone.
    fn attend(&self, candidates: impl Iterator<Item = u32>, scores: &mut Vec<f32>, out: &mut [f32]) {
        let mut candidates = candidates.peekable();
        // Its own value exactly, not its weight in a softmax of one: that is what the forward pass does.
        if candidates.peek().is_none() {
            return self.rows.value(self.head, self.position, out);
        }
        self.rows.attend(self.head, self.q, candidates, scores, out);
    }

    fn attend_from(&self, first: usize, keys: Keys, scores: &mut Vec<f32>, out: &mut [f32]) {
        // Where keys are the queries a position sees itself only if alone, and `attend` does that.
        let end = self.position + usize::from(!keys.are_shared());
        self.attend(first as u32..end as u32, scores, out);
    }
}

/// Full attention of the newest position.
pub(crate) fn full_step(
    config: &FullConfig,
    step: &Step<'_>,
    scratch: &mut Scratch,
    out: &mut [f32],
) -> Result<()> {
    step.check(0, out)?;
    step.attend_from(0, config.keys, &mut scratch.scores, out);
    Ok(())
}

/// Local attention of the newest position.
pub(crate) fn local_step(
    config: &LocalConfig,
    step: &Step<'_>,
    scratch: &mut Scratch,
    out: &mut [f32],
) -> Result<()> {
    config.check()?;
    let first = config.first_seen(step.position);
    step.check(first, out)?;
    step.attend_from(first, config.keys, &mut scratch.scores, out);
    Ok(())
}

/// LSH attention of the newest position, whose buckets are the last ones of `table`; `None` where none are needed.
pub(crate) fn lsh_step(
    config: &LshConfig,
    step: &Step<'_>,
    table: Option<&BucketTable>,
    scratch: &mut Scratch,
    out: &mut [f32],
) -> Result<()> {
    config.check()?;
    step.check(0, out)?;
    let Scratch { candidates, scores } = scratch;
    if !config.needs_buckets(step.position + 1) {
        step.attend_from(0, Keys::Shared(config.keys), scores, out);
        return Ok(());
    }
    let remembered = table.map_or(0, BucketTable::len);
    check_count("remembered buckets (push the newest position's first)", remembered, step.position + 1)?;
    let table = table.expect("a table that remembers something");
    candidates.clear();
    if config.same_bucket {
        same_bucket(config, step.position, table, candidates);
    } else {
        for round in 0..table.rounds() {
            around_rank(config, round, step.position, table, candidates);
        }
        if config.duplicates == Duplicates::Correct {
            // Each key once is what dividing by the number of meetings comes to.
            candidates.sort_unstable();
            candidates.dedup();
        }
    }
    step.attend(candidates.iter().copied(), scores, out);
    Ok(())
}

/// In each round the latest positions of the newest one's bucket, itself left out.
fn same_bucket(config: &LshConfig, newest: usize, table: &BucketTable, met: &mut Vec<u32>) {
    let exact = config.is_exact(newest + 1);
    let reach = if exact { usize::MAX } else { (config.chunks_before + 1) * config.chunk_length };
    let own = table.buckets_of(newest);
    // Per round the earliest position in reach: whoever shares that round's bucket and is not earlier was met there.
    let mut floors: Vec<u32> = Vec::with_capacity(own.len());
    for (round, &bucket) in own.iter().enumerate() {
        let mut floor = newest as u32;
        // The newest position is the first of its bucket's latest.
        for j in table.latest(round, bucket).take(reach).skip(1) {
            floor = j;
            let met_before = config.duplicates == Duplicates::Correct && {
                let of_j = table.buckets_of(j as usize);
                floors.iter().enumerate().any(|(r, &floor)| of_j[r] == own[r] && j >= floor)
            };
            if !met_before {
                met.push(j);
            }
        }
        floors.push(floor);
    }
}

/// The chunks around the newest position's rank in a round's sorted list, itself left out. It is the last of its
/// bucket: ranks before it are its bucket's from the latest on, then the buckets' before; ranks after it the
/// following buckets' from the earliest on.
fn around_rank(config: &LshConfig, round: usize, newest: usize, table: &BucketTable, met: &mut Vec<u32>) {
    let (m, buckets) = (config.chunk_length, table.num_buckets() as u32);
    let bucket = table.bucket(round, newest);
    let rank = table.rank_of(round, bucket) + table.count(round, bucket) - 1;
    let before = rank % m + config.chunks_before * m;
    let after = (m - 1 - rank % m) + config.chunks_after * m;
    // Round and round the list: as often as the window asks.
    let back = (0..=bucket).rev().chain((0..buckets).rev().cycle());
    let forth = (bucket + 1..buckets).chain((0..buckets).cycle());
    let back = back.flat_map(|b| table.latest(round, b)).skip(1);
    let forth = forth.flat_map(|b| table.earliest(round, b));
    let (before, after) = match config.wrap {
        Wrap::Circular => (before, after),
        Wrap::Bounded => (before.min(rank), after.min(table.len() - 1 - rank)),
    };
    let start = met.len();
    met.extend(back.take(before));
    met.extend(forth.take(after));
    let mut kept = start;
    for i in start..met.len() {
        if met[i] as usize != newest {
            met[kept] = met[i];
            kept += 1;
        }
    }
    met.truncate(kept);
}
