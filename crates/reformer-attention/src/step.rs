//! One position at a time: what the newest position of a sequence attends to, for one head.
//!
//! ```text
//! full    every position so far
//! local   those of its own chunk of positions and the chunks before
//! lsh     same bucket only:  in each round the latest (before + 1)·m positions of its bucket
//!         otherwise:         in each round the chunks around its rank in the sorted list, modulo its end (Hugging Face)
//! o = Σ_j w_j exp(q·k_j − z) v_j      w_j = rounds in which j is a candidate, or 1 where duplicates are corrected
//! ```
//! One softmax over all rounds' candidates is what combining rounds by their logsumexp comes to. With same bucket only a
//! step costs the same however long the sequence is, and equals the last row of [`lsh_forward`](crate::lsh_forward) as
//! long as no bucket holds more than a chunk; beyond that the forward pass reaches back between `before·m` and
//! `(before + 1)·m` positions of a bucket, as chunk borders fall, the step always `(before + 1)·m`.
//!
//! # Shapes
//! - `q: [head_dim]`   - `k, v: [len, head_dim]`, the newest position last; shared keys are given as their `qk` rows

use reformer_lsh::Wrap;
use reformer_tensor::{View, tile};

use crate::config::{Duplicates, FullConfig, Keys, LocalConfig, LshConfig};
use crate::error::{AttentionError, Result};
use crate::layout::check_count;
use crate::memory::BucketMemory;

/// What a step reads.
#[derive(Clone, Copy, Debug)]
pub struct StepInputs<'a> {
    /// The newest position's query.
    pub q: &'a [f32],
    /// What keys are made of, of every position so far.
    pub k: View<'a>,
    /// Values of every position so far.
    pub v: View<'a>,
}

impl StepInputs<'_> {
    /// The newest position.
    fn newest(&self, out: &[f32]) -> Result<usize> {
        let (rows, cols) = (self.k.rows(), self.q.len());
        for (what, got_rows, got_cols) in
            [("k", self.k.rows(), self.k.cols()), ("v", self.v.rows(), self.v.cols())]
        {
            if (got_rows, got_cols) != (rows, cols) {
                return Err(AttentionError::Shape { what, got_rows, got_cols, rows, cols });
            }
        }
        check_count("out", out.len(), cols)?;
        let nothing = AttentionError::Count { what: "positions of a step", got: 0, expected: 1 };
        rows.checked_sub(1).ok_or(nothing)
    }

    /// `candidates`: positions with their weights, without the newest where it may be seen only if alone.
    fn attend(&self, keys: Keys, newest: usize, candidates: &[(u32, f32)], out: &mut [f32]) {
        if candidates.is_empty() {
            out.copy_from_slice(self.v.row(newest));
            return;
        }
        let score = |&(j, _): &(u32, f32)| {
            let x = self.k.row(j as usize);
            tile::dot(self.q, x) * keys.scale(x)
        };
        let mut p: Vec<f32> = candidates.iter().map(score).collect();
        let max = tile::row_max(&p);
        tile::row_exp_sum(&mut p, max);
        let sum: f32 = p.iter().zip(candidates).map(|(p, (_, w))| p * w).sum();
        out.fill(0.0);
        for (p, &(j, w)) in p.iter().zip(candidates) {
            tile::axpy(p * w / sum, self.v.row(j as usize), out);
        }
    }

    fn attend_range(&self, keys: Keys, range: core::ops::RangeInclusive<usize>, out: &mut [f32]) {
        let newest = *range.end();
        let seen = range.filter(|&j| j != newest || !keys.self_if_alone());
        let candidates: Vec<_> = seen.map(|j| (j as u32, 1.0)).collect();
        self.attend(keys, newest, &candidates, out);
    }
}

/// Full attention of the newest position.
pub fn full_step(config: &FullConfig, inputs: &StepInputs<'_>, out: &mut [f32]) -> Result<()> {
    let newest = inputs.newest(out)?;
    inputs.attend_range(config.keys, 0..=newest, out);
    Ok(())
}

/// Local attention of the newest position.
pub fn local_step(config: &LocalConfig, inputs: &StepInputs<'_>, out: &mut [f32]) -> Result<()> {
    config.check()?;
    let newest = inputs.newest(out)?;
    let first = (newest / config.chunk_length).saturating_sub(config.chunks_before) * config.chunk_length;
    inputs.attend_range(config.keys, first..=newest, out);
    Ok(())
}

/// LSH attention of the newest position, whose buckets `memory` already holds.
pub fn lsh_step(
    config: &LshConfig,
    inputs: &StepInputs<'_>,
    memory: &BucketMemory,
    out: &mut [f32],
) -> Result<()> {
    config.check()?;
    let newest = inputs.newest(out)?;
    let keys = Keys::Shared(config.keys);
    if !config.needs_buckets(newest + 1) {
        inputs.attend_range(keys, 0..=newest, out);
        return Ok(());
    }
    check_count("remembered buckets (push the newest position's first)", memory.len(), newest + 1)?;
    let mut met = Vec::new();
    for round in 0..memory.rounds() {
        if config.same_bucket {
            let reach = if config.is_exact(newest + 1) {
                usize::MAX
            } else {
                (config.chunks_before + 1) * config.chunk_length
            };
            let bucket = memory.bucket(round, newest);
            met.extend(memory.recall(round, bucket).take(reach).map(|j| j as u32));
        } else {
            around_rank(config, &memory.sorted(round), newest, &mut met);
        }
    }
    inputs.attend(keys, newest, &weigh(met, newest, config.duplicates), out);
    Ok(())
}

/// The chunks around the newest position's rank.
fn around_rank(config: &LshConfig, order: &[u32], newest: usize, met: &mut Vec<u32>) {
    let m = config.chunk_length as isize;
    let rank = order.iter().position(|&t| t as usize == newest).unwrap_or(0) as isize;
    let first = (rank / m - config.chunks_before as isize) * m;
    let end = (rank / m + 1 + config.chunks_after as isize) * m;
    let len = order.len() as isize;
    met.extend((first..end).filter_map(|rank| match config.wrap {
        Wrap::Circular => Some(order[rank.rem_euclid(len) as usize]),
        Wrap::Bounded => (0..len).contains(&rank).then(|| order[rank as usize]),
    }));
}

/// Each position once, with the number of times it was met, or 1 where duplicates are corrected.
fn weigh(mut met: Vec<u32>, newest: usize, duplicates: Duplicates) -> Vec<(u32, f32)> {
    met.retain(|&j| j as usize != newest);
    met.sort_unstable();
    let runs = met.chunk_by(|a, b| a == b);
    let weight = |n: usize| if duplicates == Duplicates::Keep { n as f32 } else { 1.0 };
    runs.map(|run| (run[0], weight(run.len()))).collect()
}
