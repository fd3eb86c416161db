//! Threads as an argument.
//!
//! A [`Threads`] owns its pool; nothing uses rayon's global one. Callers cut work into items by shape alone, so the
//! result of a computation does not depend on how many threads share the items.

use std::fmt;
use std::sync::Arc;

use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// A pool of no threads computes nothing.
    #[error("0 threads requested; give at least 1")]
    None,
    /// The system refused to start them.
    #[error("could not start {count} threads: {source}; use fewer threads")]
    Start {
        /// Threads asked for.
        count: usize,
        /// What the system said.
        source: rayon::ThreadPoolBuildError,
    },
}

/// A fixed number of threads to compute with. Cloning shares the pool.
#[derive(Clone)]
pub struct Threads {
    // One thread needs no pool: work runs where it is called.
    pool: Option<Arc<ThreadPool>>,
}

impl Threads {
    /// `count` threads.
    pub fn new(count: usize) -> Result<Self, ThreadError> {
        match count {
            0 => Err(ThreadError::None),
            1 => Ok(Self::single()),
            _ => rayon::ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|i| format!("reformer-{i}"))
                .build()
                .map(|pool| Self { pool: Some(Arc::new(pool)) })
                .map_err(|source| ThreadError::Start { count, source }),
        }
    }

    /// The calling thread only.
    pub fn single() -> Self {
        Self { pool: None }
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs `f` inside the pool, so that calls of [`Threads::for_each`] below it start without a hand-over.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }

    /// Calls `f` on every item, on any thread, in any order.
    pub fn for_each<I: Send>(&self, items: Vec<I>, f: impl Fn(I) + Sync + Send) {
        match &self.pool {
            // Items are coarse panels of unequal cost, so each is its own unit of theft.
            Some(pool) if items.len() > 1 => {
                pool.install(|| items.into_par_iter().with_max_len(1).for_each(f));
            }
            _ => items.into_iter().for_each(f),
        }
    }

    /// Calls `f` on every item; the results come back in the order of the items.
    pub fn map<I: Send, R: Send>(&self, items: Vec<I>, f: impl Fn(I) -> R + Sync + Send) -> Vec<R> {
        match &self.pool {
            Some(pool) if items.len() > 1 => {
                pool.install(|| items.into_par_iter().with_max_len(1).map(f).collect())
            }
            _ => items.into_iter().map(f).collect(),
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("count", &self.count()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{ThreadError, Threads};

    #[test]
    fn no_threads_is_an_error() {
        assert!(matches!(Threads::new(0), Err(ThreadError::None)));
    }

    #[test]
    fn results_come_back_in_order() {
        for count in [1, 2, 5] {
            let threads = Threads::new(count).unwrap();
            assert_eq!(threads.count(), count);
            let squares = threads.map((0..100_u64).collect(), |i| i * i);
            assert!(squares.iter().enumerate().all(|(i, &x)| x == (i * i) as u64));
        }
    }

    #[test]
    fn work_may_nest() {
        let threads = Threads::new(2).unwrap();
        let sums =
            threads.map(vec![10_u64, 20, 30], |n| threads.map((0..n).collect(), |x| x).iter().sum::<u64>());
        assert_eq!(sums, [45, 190, 435]);
    }
}
