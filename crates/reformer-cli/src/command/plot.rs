//! `reformer plot`: seconds of attention over length (the paper's figure 5), the loss of runs, or that of
//! evaluations, as SVG or PNG.
//!
//! Reads the JSON lines of `reformer bench attention`, those of `benches/peers` (the other implementations become lines
//! of their own), the `metrics.jsonl` of runs, or what `reformer eval --json` prints.

mod attention;
mod evaluations;
mod losses;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use reformer::files;
use reformer::train::METRICS;
use serde_json::{Map, Value};

use crate::args::plot::{AxisChoice, PlotArgs};
use crate::exit::usage;
use crate::figure::{Scale, png};
use crate::terminal::{self, Terminal};

/// Reads, draws, writes.
pub(crate) fn run(args: &PlotArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let stdin = [Path::new("-").to_owned()];
    let inputs = if args.inputs.is_empty() { &stdin[..] } else { &args.inputs[..] };
    let (mut benches, mut evaluations, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        let read = read(input)?;
        if read.iter().any(|line| line.contains_key("event")) {
            runs.push((name(input), read));
        } else if read.iter().any(evaluations::is_one) {
            evaluations.extend(read.into_iter().filter(evaluations::is_one));
        } else {
            benches.extend(read);
        }
    }
    let mut figure = match (runs.is_empty(), evaluations.is_empty(), benches.is_empty()) {
        (false, true, true) => losses::figure(&runs, args.x),
        (true, false, true) => evaluations::figure(&evaluations),
        (true, true, false) => attention::figure(&benches)?,
        (true, true, true) => bail!("nothing to draw: the input holds no JSON lines"),
        _ => {
            return Err(usage(anyhow::anyhow!(
                "runs, evaluations and benchmarks do not fit into one figure: plot one kind"
            )));
        }
    };
    if let Some(title) = &args.title {
        figure.title.clone_from(title);
    }
    for axis in &args.log {
        let axis = match axis {
            AxisChoice::X => &mut figure.x,
            AxisChoice::Y => &mut figure.y,
        };
        if axis.scale == Scale::Linear {
            axis.scale = Scale::Log;
        }
    }
    let svg = figure.svg();
    match &args.output {
        Some(path) => {
            let pixels = path.extension().is_some_and(|name| name.eq_ignore_ascii_case("png"));
            let bytes = if pixels { png(&svg)? } else { svg.into_bytes() };
            files::replace(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
            terminal.say(format_args!("{}: {} lines", path.display(), figure.series.len()));
        }
        None => terminal::stdout().write_all(svg.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(input: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let path = if input.is_dir() { input.join(METRICS) } else { input.to_owned() };
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened = fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()));
        Box::new(BufReader::new(opened.map_err(usage)?))
    };
    let mut lines = Vec::new();
    for (index, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let what = || format!("{}, line {}: not a JSON object", path.display(), index + 1);
        let line: Map<String, Value> = serde_json::from_str(&line).with_context(what)?;
        // Several evaluations come as one object.
        match line.get("runs").and_then(Value::as_array) {
            Some(runs) => lines.extend(runs.iter().filter_map(Value::as_object).cloned()),
            None => lines.push(line),
        }
    }
    Ok(lines)
}

fn name(input: &Path) -> String {
    let folder = if input.is_dir() { Some(input) } else { input.parent() };
    let name = folder.and_then(|folder| folder.canonicalize().ok()?.file_name().map(ToOwned::to_owned));
    name.map_or_else(|| input.display().to_string(), |name| name.to_string_lossy().into_owned())
}
