//! `reformer plot`: seconds of attention over length for each kind (the paper's figure 5), or the loss of runs, as SVG.
//!
//! Reads the JSON lines of `reformer bench attention`, those of `benches/peers` (the other implementations become lines
//! of their own), or the `metrics.jsonl` of runs. What all lines have in common stands in the subtitle, what tells
//! them apart in the legend.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use reformer::train::METRICS;
use serde_json::{Map, Value};

use crate::args::plot::{PlotArgs, XChoice};
use crate::exit::usage;
use crate::figure::{Axis, Figure, Scale, Series};
use crate::number;
use crate::terminal::Terminal;

/// Keys that tell attention lines apart, with how their values are said.
const TELLING: [(&str, &str); 10] = [
    ("implementation", "{}"),
    ("kind", "{}"),
    ("num_hashes", "{} rounds"),
    ("semantics", "{} semantics"),
    ("pass", "{}"),
    ("num_heads", "{} heads"),
    ("head_dim", "{} wide"),
    ("chunk_length", "chunks of {}"),
    ("batch", "batch {}"),
    ("threads", "{} threads"),
];

/// How the longer pass is said.
const BACKWARD: &str = "with backward";

/// Reads, draws, writes.
pub(crate) fn run(args: &PlotArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let stdin = [Path::new("-").to_owned()];
    let inputs = if args.inputs.is_empty() { &stdin[..] } else { &args.inputs[..] };
    let mut lines = Vec::new();
    let mut runs = Vec::new();
    for input in inputs {
        let read = read(input)?;
        if read.iter().any(|line| line.contains_key("event")) {
            runs.push((name(input), read));
        } else {
            lines.extend(read);
        }
    }
    let mut figure = match (runs.is_empty(), lines.is_empty()) {
        (false, true) => losses(&runs, args.x),
        (true, false) => attention(&lines)?,
        (false, false) => {
            return Err(usage(anyhow::anyhow!(
                "runs and benchmarks do not fit into one figure: plot one kind"
            )));
        }
        (true, true) => bail!("nothing to draw: the input holds no JSON lines"),
    };
    if let Some(title) = &args.title {
        figure.title.clone_from(title);
    }
    let svg = figure.svg();
    match &args.output {
        Some(path) => {
            fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))?;
            terminal.say(format_args!("{}: {} lines", path.display(), figure.series.len()));
        }
        None => io::stdout().lock().write_all(svg.as_bytes())?,
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
        lines.push(serde_json::from_str(&line).with_context(what)?);
    }
    Ok(lines)
}

fn name(input: &Path) -> String {
    let folder = if input.is_dir() { Some(input) } else { input.parent() };
    let name = folder.and_then(|folder| folder.canonicalize().ok()?.file_name().map(ToOwned::to_owned));
    name.map_or_else(|| input.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Seconds over length, one line for every set of telling values.
fn attention(lines: &[Map<String, Value>]) -> anyhow::Result<Figure> {
    let mut groups: BTreeMap<Vec<String>, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for line in lines {
        let case = line.get("case").and_then(Value::as_object);
        let find = |key: &str| line.get(key).or_else(|| case?.get(key));
        // Heads of records, other benchmarks and failed turns have no place here.
        if find("bench").and_then(Value::as_str) != Some("attention") {
            continue;
        }
        let number = |key| find(key).and_then(Value::as_f64);
        let (Some(length), Some(seconds)) = (number("length"), number("seconds")) else { continue };
        let told = TELLING.map(|(key, words)| match find(key) {
            // Ours computes by a definition, which is no other's.
            Some(_) if key == "semantics" && find("implementation").is_some_and(|who| who != "reformer") => {
                String::new()
            }
            Some(value) => said(value, words),
            None => String::new(),
        });
        groups.entry(told.to_vec()).or_default().entry(length as u64).or_default().push(seconds);
    }
    if groups.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "nothing to draw: no line is of `reformer bench attention --json` with its length and seconds"
        )));
    }
    // What differs between lines that have it tells them apart; rounds always do.
    let telling: Vec<bool> = (0..TELLING.len())
        .map(|i| {
            let mut values = groups.keys().map(|key| &key[i]).filter(|words| !words.is_empty());
            let first = values.next();
            TELLING[i].0 == "num_hashes" || values.any(|words| Some(words) != first)
        })
        .collect();
    let join = |words: &mut dyn Iterator<Item = &str>| {
        words.filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ")
    };
    // Not every line has every key: local attention has no semantics, full attention no chunks.
    let common = (0..TELLING.len()).filter(|&i| !telling[i]);
    let common = common.map(|i| groups.keys().map(|key| key[i].as_str()).find(|words| !words.is_empty()));
    let common = join(&mut common.flatten());
    // Lines that differ by the pass alone share a colour; the backward pass is dashed.
    let pass = TELLING.iter().position(|(key, _)| *key == "pass").unwrap_or(0);
    let mut looks: Vec<Vec<String>> = Vec::new();
    let series = groups
        .iter()
        .map(|(key, points)| {
            let mut family = key.clone();
            let dashed = telling[pass] && std::mem::take(&mut family[pass]) == BACKWARD;
            let look = looks.iter().position(|seen| *seen == family).unwrap_or_else(|| {
                looks.push(family);
                looks.len() - 1
            });
            let points = points.iter().map(|(&length, seconds)| (length as f64, median(seconds))).collect();
            let told = key.iter().zip(&telling).filter(|(_, tells)| **tells);
            let name = join(&mut told.map(|(words, _)| words.as_str()));
            let name = if name.is_empty() { key[1].clone() } else { name };
            Series { name, points, dashed, marks: true, look }
        })
        .collect();
    Ok(Figure {
        title: "Attention: seconds over length".into(),
        subtitle: common,
        x: Axis { label: "tokens (k = 1,024)".into(), scale: Scale::Lengths },
        y: Axis { label: "time of one operation".into(), scale: Scale::Durations },
        series,
    })
}

fn said(value: &Value, words: &str) -> String {
    let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    if value == "forward-backward" {
        return BACKWARD.to_owned();
    }
    let said = words.replace("{}", &value);
    if said == "1 rounds" || said == "1 threads" || said == "1 heads" {
        said.trim_end_matches('s').to_owned()
    } else {
        said
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Training loss (smoothed, a line) and validation loss (marks) of each run.
fn losses(runs: &[(String, Vec<Map<String, Value>>)], x: XChoice) -> Figure {
    let (key, label) = match x {
        XChoice::Step => ("step", "step"),
        XChoice::Seconds => ("seconds", "seconds of training"),
    };
    let mut series = Vec::new();
    let mut last = Vec::new();
    for (look, (name, lines)) in runs.iter().enumerate() {
        let points = |event: &str| -> Vec<(f64, f64)> {
            let of = lines.iter().filter(|line| line.get("event").and_then(Value::as_str) == Some(event));
            of.filter_map(|line| Some((line.get(key)?.as_f64()?, line.get("loss")?.as_f64()?))).collect()
        };
        let (steps, evals) = (smoothed(&points("step")), points("eval"));
        if let Some((at, loss)) = evals.last() {
            last.push(format!("{name} {loss:.4} at {}", number::count(*at as usize)));
        }
        let line = |what: &str, points, dashed, marks| Series {
            name: format!("{name}, {what}"),
            points,
            dashed,
            marks,
            look,
        };
        if !steps.is_empty() {
            series.push(line("training", steps, true, false));
        }
        if !evals.is_empty() {
            series.push(line("validation", evals, false, true));
        }
    }
    Figure {
        title: "Loss".into(),
        subtitle: if last.is_empty() { String::new() } else { format!("validation: {}", last.join("; ")) },
        x: Axis { label: label.into(), scale: Scale::Linear },
        y: Axis { label: "nats a token".into(), scale: Scale::Linear },
        series,
    }
}

/// A running mean over a hundredth of the points; at most 400 are left.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let width = (points.len() / 100).max(1);
    let means =
        points.windows(width).map(|w| (w[width - 1].0, w.iter().map(|p| p.1).sum::<f64>() / width as f64));
    means.step_by(points.len() / 400 + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::{median, said, smoothed};

    #[test]
    fn many_points_become_few_and_keep_their_course() {
        let falling: Vec<(f64, f64)> = (0..5000).map(|i| (f64::from(i), 5000.0 - f64::from(i))).collect();
        let few = smoothed(&falling);
        assert!(few.len() <= 400 && few.windows(2).all(|w| w[0].1 > w[1].1), "{}", few.len());
        assert_eq!(smoothed(&falling[..3]), falling[..3]);
        assert!(smoothed(&[]).is_empty());
    }

    #[test]
    fn one_round_is_not_rounds() {
        assert_eq!([said(&1.into(), "{} rounds"), said(&2.into(), "{} rounds")], ["1 round", "2 rounds"]);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }
}
