//! The loss of runs over steps, seconds or tokens.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::args::plot::XChoice;
use crate::figure::{Axis, Figure, Scale, Series};
use crate::number;

/// Training loss (smoothed, a line) and validation loss (marks) of each run.
pub(super) fn figure(runs: &[(String, Vec<Map<String, Value>>)], x: XChoice) -> Figure {
    let (key, label) = match x {
        XChoice::Step => ("step", "step"),
        XChoice::Seconds => ("seconds", "seconds of training"),
        XChoice::Tokens => ("tokens", "tokens of training"),
    };
    let mut series = Vec::new();
    let mut last = Vec::new();
    for (look, (name, lines)) in runs.iter().enumerate() {
        let tokens: BTreeMap<u64, f64> = lines
            .iter()
            .filter(|line| line.get("event").and_then(Value::as_str) == Some("step"))
            .filter_map(|line| Some((line.get("step")?.as_u64()?, line.get("tokens")?.as_f64()?)))
            .collect();
        let points = |event: &str| -> Vec<(f64, f64)> {
            let of = lines.iter().filter(|line| line.get("event").and_then(Value::as_str) == Some(event));
            // An evaluation counts its own tokens; those of training are the step's that it follows.
            let at = |line: &Map<String, Value>| match (x, event) {
                (XChoice::Tokens, "eval") => tokens.get(&line.get("step")?.as_u64()?).copied(),
                _ => line.get(key)?.as_f64(),
            };
            of.filter_map(|line| Some((at(line)?, line.get("loss")?.as_f64()?))).collect()
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
    use super::smoothed;

    #[test]
    fn many_points_become_few_and_keep_their_course() {
        let falling: Vec<(f64, f64)> = (0..5000).map(|i| (f64::from(i), 5000.0 - f64::from(i))).collect();
        let few = smoothed(&falling);
        assert!(few.len() <= 400 && few.windows(2).all(|w| w[0].1 > w[1].1), "{}", few.len());
        assert_eq!(smoothed(&falling[..3]), falling[..3]);
        assert!(smoothed(&[]).is_empty());
    }
}
