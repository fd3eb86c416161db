//! The plainest LSH index: a table per round, candidates = the vectors that share a bucket with the query in *any*
//! round, re-ranked exactly.
//!
//! More rounds find more of the true neighbours and look at more vectors; more buckets the opposite. No probing of
//! neighbouring buckets, no insertion or removal, nothing on disk.

use reformer_tensor::{Cpu, Matrix, View, tile};

use crate::{
    error::{LshError, Result},
    family::HashFamily,
    hash::hash_vectors,
    knn::{Best, Neighbour, Similarity, copy_rows, unit_rows},
    sort::{SortedBuckets, sort_buckets},
};

/// Queries answered by one task, which keeps one list of marks for all of them.
const QUERIES_PER_TASK: usize = 32;

/// Hash tables over a set of vectors, which it holds (normalised, for [`Similarity::Cosine`]).
#[derive(Debug)]
pub struct Lookup<F> {
    family: F,
    base: Matrix,
    tables: SortedBuckets,
    similarity: Similarity,
}

/// Answers to a batch of queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// At most `k` neighbours of each query, best first.
    pub neighbours: Vec<Vec<Neighbour>>,
    /// How many vectors were compared with each query.
    pub candidates: Vec<usize>,
}

impl<F: HashFamily> Lookup<F> {
    /// Hashes `base [n, dim]` into one table per round of `family`.
    pub fn build(cpu: &Cpu, base: View<'_>, family: F, similarity: Similarity) -> Result<Self> {
        let tables = sort_buckets(&hash_vectors(cpu, base, &family, None)?);
        let base = match similarity {
            Similarity::Cosine => unit_rows(base),
            Similarity::Dot => copy_rows(base),
        };
        Ok(Self { family, base, tables, similarity })
    }

    /// Vectors held.
    pub fn len(&self) -> usize {
        self.base.rows()
    }

    /// Whether it holds no vectors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash family of the tables.
    pub fn family(&self) -> &F {
        &self.family
    }

    /// Ids that share a bucket with a query hashed to `buckets` (one per round), each once, in order of finding.
    #[track_caller]
    pub fn candidates(&self, buckets: &[u32]) -> Vec<u32> {
        assert_eq!(buckets.len(), self.tables.rounds(), "one bucket per round");
        let mut marks = Marks::new(self.len());
        let mut out = Vec::new();
        self.collect(buckets.iter().copied(), &mut marks, &mut out);
        out
    }

    /// The best `k` among the candidates of each row of `queries [m, dim]`.
    pub fn query(&self, cpu: &Cpu, queries: View<'_>, k: usize) -> Result<Found> {
        if queries.cols() != self.base.cols() {
            return Err(LshError::Width {
                what: "the tables",
                got: queries.cols(),
                expected: self.base.cols(),
            });
        }
        let hashed = hash_vectors(cpu, queries, &self.family, None)?;
        let queries = match self.similarity {
            Similarity::Cosine => unit_rows(queries),
            Similarity::Dot => copy_rows(queries),
        };
        let starts = (0..queries.rows()).step_by(QUERIES_PER_TASK).collect();
        let answers = cpu.threads.map(starts, |start: usize| {
            let end = (start + QUERIES_PER_TASK).min(queries.rows());
            // Clearing marks for each query would cost more than answering it.
            let (mut marks, mut ids) = (Marks::new(self.len()), Vec::new());
            let mut answers = Vec::with_capacity(end - start);
            for q in start..end {
                let buckets = (0..hashed.rounds()).map(|round| hashed.round(round)[q]);
                self.collect(buckets, &mut marks, &mut ids);
                let mut best = Best::new(k);
                for &id in &ids {
                    best.offer(id, tile::dot(queries.row(q), self.base.row(id as usize)));
                }
                answers.push((best.into_sorted(), ids.len()));
            }
            answers
        });
        let (neighbours, candidates) = answers.into_iter().flatten().unzip();
        Ok(Found { neighbours, candidates })
    }

    fn collect(&self, buckets: impl Iterator<Item = u32>, marks: &mut Marks, out: &mut Vec<u32>) {
        out.clear();
        marks.next();
        // Rounds overlap: a true neighbour shares a bucket in many of them, and must be compared once.
        for (round, bucket) in buckets.enumerate() {
            out.extend(self.tables.bucket(round, bucket).iter().filter(|&&id| marks.first_visit(id)));
        }
    }
}

/// Which ids the current query has seen: a stamp each, so that a new query needs no clearing.
struct Marks {
    stamps: Vec<u32>,
    now: u32,
}

impl Marks {
    fn new(len: usize) -> Self {
        Self { stamps: vec![0; len], now: 0 }
    }

    fn next(&mut self) {
        self.now += 1;
    }

    fn first_visit(&mut self, id: u32) -> bool {
        std::mem::replace(&mut self.stamps[id as usize], self.now) != self.now
    }
}
