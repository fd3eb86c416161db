//! The learning rate as a function of the step.
//!
//! ```text
//! warm-up        lr(t) = peak · t/w                                          t ≤ w
//! constant       lr(t) = peak
//! warmup_rsqrt   lr(t) = peak · √(w/t)
//! cosine         lr(t) = peak · (f + (1 − f)·(1 + cos π·(t − w)/(T − w))/2)     T = the last step, f = `final`
//! ```
//!
//! Steps count from 1, so the first update is never at rate zero and the last cosine step is at `f · peak` exactly.

use std::f64::consts::PI;

use crate::recipe::{Recipe, ScheduleKind};

/// A schedule; a pure function of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    peak: f64,
    warmup: u64,
    steps: u64,
    last: f64,
}

impl Schedule {
    /// The recipe's schedule.
    pub fn new(recipe: &Recipe) -> Self {
        Self {
            kind: recipe.schedule.kind,
            peak: recipe.learning_rate,
            warmup: recipe.schedule.warmup,
            steps: recipe.steps,
            last: recipe.schedule.last,
        }
    }

    /// The learning rate of a step, counted from 1.
    pub fn rate(&self, step: u64) -> f64 {
        let (t, w) = (step as f64, self.warmup as f64);
        if step <= self.warmup {
            return self.peak * t / w;
        }
        match self.kind {
            ScheduleKind::Constant => self.peak,
            ScheduleKind::WarmupRsqrt => self.peak * (w / t).sqrt(),
            ScheduleKind::Cosine => {
                let span = self.steps.saturating_sub(self.warmup).max(1) as f64;
                let done = ((t - w) / span).min(1.0);
                self.peak * (self.last + (1.0 - self.last) * 0.5 * (1.0 + (PI * done).cos()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: &str) -> Schedule {
        let text = format!(
            "steps = 100\nlearning_rate = 0.5\n[schedule]\nkind = \"{kind}\"\nwarmup = 10\nfinal = 0.1\n"
        );
        Schedule::new(&Recipe::parse(&text, &[]).expect("a legal recipe"))
    }

    #[test]
    fn every_schedule_warms_up_linearly_to_its_peak() {
        for kind in ["constant", "warmup_rsqrt", "cosine"] {
            let schedule = schedule(kind);
            assert_eq!(schedule.rate(1), 0.05, "{kind}");
            assert_eq!(schedule.rate(5), 0.25, "{kind}");
            assert_eq!(schedule.rate(10), 0.5, "{kind}");
        }
    }

    #[test]
    fn after_warm_up_each_follows_its_own_curve() {
        assert_eq!(schedule("constant").rate(77), 0.5);
        assert!((schedule("warmup_rsqrt").rate(40) - 0.25).abs() < 1e-12);
        let cosine = schedule("cosine");
        assert!((cosine.rate(55) - 0.5 * 0.55).abs() < 1e-12, "half way is the mean of peak and final");
        assert!((cosine.rate(100) - 0.05).abs() < 1e-12);
        assert!((cosine.rate(1000) - 0.05).abs() < 1e-12, "past the end it stays");
    }

    #[test]
    fn no_warm_up_starts_at_the_peak() {
        let recipe =
            Recipe::parse("[schedule]\nkind = \"constant\"\nwarmup = 0\n", &[]).expect("a legal recipe");
        assert_eq!(Schedule::new(&recipe).rate(1), recipe.learning_rate);
    }
}
