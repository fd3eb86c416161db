//! Exact nearest neighbours: every query against every vector, in blocks, and the recall of anything against them.
//!
//! ```text
//! S = queries · baseᵀ        a block of queries by a block of base vectors at a time
//! keep the k best of each query over the blocks; equal scores by rising id
//! ```
//!
//! # Shapes
//! - `base: [n, dim]`, `queries: [m, dim]` → `m` lists of at most `k` neighbours, best first

use std::cmp::Ordering;

use reformer_tensor::{Cpu, Matrix, View, ViewMut, Write, matmul_nt};

use crate::error::{LshError, Result};

/// Queries of one product: enough of them that a base vector is read once for many.
const QUERIES: usize = 256;
/// Base vectors of one product: its scores, 4 MiB, stay in the last cache until the best are taken.
const BASES: usize = 4096;

/// How alike two vectors are; larger is nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Similarity {
    /// `x·y / (‖x‖‖y‖)`, 0 for a zero vector: what angular hashing approximates.
    Cosine,
    /// `x·y`.
    Dot,
}

/// One result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Row of the base.
    pub id: u32,
    /// Its similarity to the query.
    pub score: f32,
}

impl Neighbour {
    /// Best first: falling score, then rising id. NaN stands after every number.
    fn rank(self, other: Self) -> Ordering {
        let key = |n: Self| if n.score.is_nan() { f32::NEG_INFINITY } else { n.score };
        key(other).total_cmp(&key(self)).then(self.id.cmp(&other.id))
    }
}

/// The `k` best of a stream of neighbours: a binary heap with the worst kept one on top.
#[derive(Debug)]
pub(crate) struct Best {
    k: usize,
    heap: std::collections::BinaryHeap<Ranked>,
}

#[derive(Debug, PartialEq)]
struct Ranked(Neighbour);

impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank(other.0)
    }
}

impl Best {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: std::collections::BinaryHeap::new() }
    }

    pub(crate) fn offer(&mut self, id: u32, score: f32) {
        let new = Ranked(Neighbour { id, score });
        if self.heap.len() < self.k {
            self.heap.push(new);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && new < *worst
        {
            // In place: a pop and a push would sift twice, and nearly every candidate comes here.
            *worst = new;
        }
    }

    pub(crate) fn into_sorted(self) -> Vec<Neighbour> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

/// The exact `k` nearest rows of `base` for every row of `queries`; fewer where the base is smaller than `k`.
pub fn exact(
    cpu: &Cpu,
    base: View<'_>,
    queries: View<'_>,
    k: usize,
    similarity: Similarity,
) -> Result<Vec<Vec<Neighbour>>> {
    if queries.cols() != base.cols() {
        return Err(LshError::Width { what: "the base vectors", got: queries.cols(), expected: base.cols() });
    }
    crate::buckets::check_length(1, base.rows())?;
    let scale = |x: View<'_>| match similarity {
        Similarity::Cosine => unit_rows(x),
        Similarity::Dot => copy_rows(x),
    };
    let (base, queries) = (scale(base), scale(queries));
    let mut best: Vec<Best> = (0..queries.rows()).map(|_| Best::new(k)).collect();
    if k == 0 || base.rows() == 0 || base.cols() == 0 {
        return Ok(best.into_iter().map(Best::into_sorted).collect());
    }
    let mut scores = cpu.workspace.take(QUERIES.min(queries.rows()) * BASES.min(base.rows()));
    for (block, best) in best.chunks_mut(QUERIES).enumerate() {
        let first = block * QUERIES;
        let some = queries.view().rows_range(first..first + best.len());
        for start in (0..base.rows()).step_by(BASES) {
            let n = BASES.min(base.rows() - start);
            let out = &mut scores[..best.len() * n];
            let against = base.view().rows_range(start..start + n);
            matmul_nt(cpu, some, against, Write::Overwrite, ViewMut::new(out, best.len(), n));
            // A query belongs to one thread, and its scores are offered by rising id: equal scores keep the first.
            let items: Vec<_> = best.iter_mut().zip(out.chunks_exact(n)).collect();
            cpu.threads.for_each(items, |(best, scores)| {
                for (i, &score) in scores.iter().enumerate() {
                    best.offer((start + i) as u32, score);
                }
            });
        }
    }
    Ok(best.into_iter().map(Best::into_sorted).collect())
}

/// Mean fraction of the true neighbours that were found, in any order; 1 when there is nothing to find.
pub fn recall(truth: &[Vec<Neighbour>], found: &[Vec<Neighbour>]) -> f64 {
    let (mut hits, mut all) = (0usize, 0usize);
    for (truth, found) in truth.iter().zip(found) {
        hits += truth.iter().filter(|t| found.iter().any(|f| f.id == t.id)).count();
        all += truth.len();
    }
    if all == 0 { 1.0 } else { hits as f64 / all as f64 }
}

/// Rows of unit length; a zero row stays zero.
pub(crate) fn unit_rows(x: View<'_>) -> Matrix {
    let mut out = copy_rows(x);
    for t in 0..out.rows() {
        let row = out.row_mut(t);
        // In f64: scores are compared to the last bit with those of other implementations.
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            for v in row {
                *v = (f64::from(*v) / norm) as f32;
            }
        }
    }
    out
}

pub(crate) fn copy_rows(x: View<'_>) -> Matrix {
    let mut out = Matrix::zeros(x.rows(), x.cols());
    for t in 0..x.rows() {
        out.row_mut(t).copy_from_slice(x.row(t));
    }
    out
}
