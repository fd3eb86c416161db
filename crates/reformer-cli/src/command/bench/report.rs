//! Measuring a case and telling its result: one JSON object a line, or a row of an aligned table.
//!
//! Rows are printed as they come, so the columns' widths are fixed by their headings and a least width.

use std::io::Write;

use reformer::tensor::{Cpu, Precision, simd};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::clock::{self, Times};
use crate::args::Global;
use crate::args::bench::Timing;
use crate::process::{self, Ticks};
use crate::terminal::Terminal;
use crate::{json as print, machine, number};

const MB: f64 = (1 << 20) as f64;

/// What all cases of a call share.
pub(super) struct Bench<'a> {
    /// Threads and workspace.
    pub(super) cpu: Cpu,
    /// The seed of the data.
    pub(super) seed: u64,
    terminal: Terminal,
    timing: &'a Timing,
    /// The heading last printed.
    heading: String,
}

/// More of the machine than this taken by other programs makes a result suspect.
const DISTURBED: f64 = 0.1;

/// A case under way.
pub(super) struct Case {
    start: Option<usize>,
    ticks: Option<Ticks>,
}

/// What a case took.
pub(super) struct Measured {
    /// Its runs.
    pub(super) times: Times,
    scratch: usize,
    growth: Option<usize>,
    start: Option<usize>,
    peak: Option<usize>,
    others: Option<f64>,
}

/// A result: the case's own words, operations a run, and the cells of its row.
pub(super) struct Result<'a> {
    /// `attention`, `hash` …
    pub(super) bench: &'static str,
    /// The case's parameters and further results: an object.
    pub(super) parameters: Value,
    /// Operations of a run; `None` where they are not counted.
    pub(super) flops: Option<f64>,
    /// How they were counted.
    pub(super) flops_formula: &'a str,
    /// The case's cells: heading and content, before the common ones.
    pub(super) cells: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct Common {
    seconds: f64,
    min_seconds: f64,
    runs: usize,
    gflops: Option<f64>,
    threads: usize,
    simd: String,
    peak_rss_mb: Option<f64>,
    start_rss_mb: Option<f64>,
    growth_mb: Option<f64>,
    scratch_mb: f64,
    others_cpu: Option<f64>,
    version: &'static str,
}

impl<'a> Bench<'a> {
    pub(super) fn new(global: &Global, timing: &'a Timing, terminal: Terminal) -> anyhow::Result<Self> {
        let cpu = machine::cpu(global)?;
        Ok(Self { cpu, seed: global.seed.unwrap_or(0), terminal, timing, heading: String::new() })
    }

    /// Begins a case before its data is made: an empty workspace and a new peak.
    pub(super) fn begin(&self) -> Case {
        self.cpu.workspace.release();
        let restarted = process::restart_peak();
        Case { start: process::now().filter(|_| restarted), ticks: Ticks::now() }
    }

    /// Runs `f` and takes its time and memory. Bytes of `kept` that a run makes and hands on (buckets) are no scratch.
    pub(super) fn time(
        &self,
        case: Case,
        kept: usize,
        f: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Measured> {
        let ready = process::now();
        self.cpu.workspace.reset_peak();
        let times = clock::time(self.timing, f)?;
        self.terminal.detail(format_args!("every run: {}", times.listed()));
        Ok(self.close(case, ready, kept, times))
    }

    /// The same for runs that were timed elsewhere; `ready` is what the process held before them.
    pub(super) fn close(&self, case: Case, ready: Option<usize>, kept: usize, times: Times) -> Measured {
        let peak = process::peak();
        let growth = peak.zip(ready).map(|(peak, ready)| peak.saturating_sub(ready + kept));
        let scratch = self.cpu.workspace.peak_bytes();
        let others = Ticks::now().zip(case.ticks).and_then(|(now, before)| now.others_since(before));
        if let Some(share) = others.filter(|&share| share > DISTURBED) {
            let percent = share * 100.0;
            self.terminal.warn(format_args!(
                "other programs took {percent:.0} % of the machine meanwhile: measure again"
            ));
        }
        Measured { times, scratch, growth, start: case.start, peak, others }
    }

    /// The engine for products of a type, and the type it really computes in: a processor without bf16 products takes
    /// f32, and says so.
    pub(super) fn in_dtype(&self, asked: Precision) -> (Cpu, &'static str) {
        let cpu = self.cpu.with_precision(asked);
        if cpu.precision() != asked {
            self.terminal.warn("this processor has no bf16 products: computing in f32");
        }
        let name = cpu.precision().name();
        (cpu, name)
    }

    /// Runs wanted, for cases that count them themselves.
    pub(super) fn timing(&self) -> &Timing {
        self.timing
    }

    /// Tells a result.
    pub(super) fn report(&mut self, result: Result<'_>, measured: &Measured) -> anyhow::Result<()> {
        let mb = |bytes: usize| (bytes as f64 / MB * 100.0).round() / 100.0;
        let seconds = measured.times.median();
        let rate = |flops: f64| flops / seconds / 1e9;
        let common = Common {
            seconds: rounded(seconds),
            min_seconds: rounded(measured.times.fastest()),
            runs: measured.times.runs(),
            gflops: result.flops.map(|flops| (rate(flops) * 100.0).round() / 100.0),
            threads: self.cpu.threads.count(),
            simd: simd::Level::description(),
            peak_rss_mb: measured.peak.map(mb),
            start_rss_mb: measured.start.map(mb),
            growth_mb: measured.growth.map(mb),
            scratch_mb: mb(measured.scratch),
            others_cpu: measured.others.map(|share| (share * 1e3).round() / 1e3),
            version: env!("CARGO_PKG_VERSION"),
        };
        if self.timing.json {
            let mut line = Map::new();
            line.insert("bench".into(), result.bench.into());
            extend(&mut line, result.parameters);
            extend(&mut line, json!(common));
            if result.flops.is_some() {
                line.insert("flops_formula".into(), result.flops_formula.into());
            }
            return print::line(&Value::Object(line));
        }
        let mut cells = result.cells;
        cells.push(("seconds", shown(seconds)));
        cells.push(("fastest", shown(measured.times.fastest())));
        cells.push(("runs", measured.times.runs().to_string()));
        if let Some(flops) = result.flops {
            cells.push(("GFLOP/s", format!("{:.1}", rate(flops))));
            cells.push(("/thread", format!("{:.1}", rate(flops) / self.cpu.threads.count() as f64)));
        }
        cells.push(("scratch", format!("{:.1} MB", mb(measured.scratch))));
        cells.push(("peak", measured.peak.map_or_else(|| "?".into(), |peak| format!("{:.0} MB", mb(peak)))));
        self.row(&cells)
    }

    /// A line above the table that says what its rows have in common.
    pub(super) fn title(&mut self, words: &str) -> anyhow::Result<()> {
        if !self.timing.json {
            let threads = number::threads(self.cpu.threads.count());
            writeln!(crate::terminal::stdout(), "{words}; {threads}, {}", simd::Level::description())?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[(&'static str, String)]) -> anyhow::Result<()> {
        let mut out = crate::terminal::stdout();
        let line = |pick: &dyn Fn(&(&'static str, String)) -> String| {
            let padded = cells.iter().map(|cell| {
                let width = cell.0.len().max(if cell.0.ends_with("/s") { 11 } else { 9 });
                format!("{:>width$}", pick(cell))
            });
            padded.collect::<Vec<_>>().join(" ")
        };
        let heading = line(&|cell| cell.0.to_owned());
        if heading != self.heading {
            writeln!(out, "{heading}")?;
            self.heading = heading;
        }
        writeln!(out, "{}", line(&|cell| cell.1.clone()))?;
        out.flush()?;
        Ok(())
    }
}

fn extend(line: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        line.extend(more);
    }
}

/// Six significant digits: the clock knows no more.
fn rounded(seconds: f64) -> f64 {
    format!("{seconds:.5e}").parse().unwrap_or(seconds)
}

/// `0.0412 s`, `1.2 ms`: four digits that matter.
fn shown(seconds: f64) -> String {
    match seconds {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} µs", s * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{rounded, shown};

    #[test]
    fn seconds_are_told_to_the_digits_that_matter() {
        assert_eq!(
            [123.4, 1.234, 0.012_34, 0.000_012].map(shown),
            ["123 s", "1.23 s", "12.34 ms", "12.00 µs"]
        );
        assert_eq!(rounded(0.012_345_678_9), 0.012_345_7);
    }
}
