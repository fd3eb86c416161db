//! How often a case is run, and what its runs took.

use std::time::Instant;

use crate::args::bench::Timing;

/// Runs, unless told otherwise: at least so many …
const RUNS: usize = 5;
/// … for at least so many seconds …
const SECONDS: f64 = 1.0;
/// … but no further run after so many.
const PATIENCE: f64 = 30.0;

/// Seconds of every timed run, ascending.
#[derive(Debug, Clone)]
pub(super) struct Times(Vec<f64>);

impl Times {
    /// Of measured runs, at least one.
    pub(super) fn new(mut seconds: Vec<f64>) -> Self {
        assert!(!seconds.is_empty(), "a case is run at least once");
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// Runs.
    pub(super) fn runs(&self) -> usize {
        self.0.len()
    }

    /// Every run in milliseconds, the fastest first.
    pub(super) fn listed(&self) -> String {
        let each: Vec<String> = self.0.iter().map(|seconds| format!("{:.2}", seconds * 1e3)).collect();
        format!("{} ms", each.join(" "))
    }

    /// The fastest run.
    pub(super) fn fastest(&self) -> f64 {
        self.0[0]
    }

    /// The middle run; the mean of the middle two where their number is even.
    pub(super) fn median(&self) -> f64 {
        let (n, half) = (self.0.len(), self.0.len() / 2);
        if n.is_multiple_of(2) { f64::midpoint(self.0[half - 1], self.0[half]) } else { self.0[half] }
    }
}

/// Runs `f` once to warm up, then until there are enough runs.
pub(super) fn time(timing: &Timing, mut f: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Times> {
    if !timing.cold {
        f()?;
    }
    let mut seconds = Vec::new();
    let start = Instant::now();
    loop {
        let before = Instant::now();
        f()?;
        seconds.push(before.elapsed().as_secs_f64());
        let (runs, spent) = (seconds.len(), start.elapsed().as_secs_f64());
        let enough = match timing.runs {
            Some(wanted) => runs >= wanted as usize,
            None => runs >= RUNS && spent >= SECONDS || spent >= PATIENCE,
        };
        if enough {
            return Ok(Times::new(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(Times::new(vec![9.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Times::new(vec![9.0, 1.0, 2.0, 4.0]).median(), 3.0);
        assert_eq!(Times::new(vec![3.0]).fastest(), 3.0);
    }

    #[test]
    fn the_first_run_counts_only_if_it_is_asked_for() {
        for (cold, expected) in [(false, 4), (true, 3)] {
            let mut calls = 0;
            let timing = Timing { runs: Some(3), cold, json: false };
            let times = time(&timing, || {
                calls += 1;
                Ok(())
            });
            assert_eq!((times.unwrap().runs(), calls), (3, expected));
        }
    }
}
