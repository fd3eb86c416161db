//! The loss that `reformer eval --json` measured, over rounds of hashing or over length: one line for each model,
//! corpus and kind of attention. Exact attention has no rounds, so over rounds it is a level.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::figure::{Axis, Figure, Scale, Series};

/// Whether a line is of `eval --json`.
pub(super) fn is_one(line: &Map<String, Value>) -> bool {
    ["loss", "num_hashes", "length"].iter().all(|key| line.contains_key(*key)) && !line.contains_key("event")
}

/// Draws them.
pub(super) fn figure(lines: &[Map<String, Value>]) -> Figure {
    let number = |line: &Map<String, Value>, key: &str| line.get(key).and_then(Value::as_f64);
    let word = |line: &Map<String, Value>, key: &str| match line.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let distinct = |key: &str| {
        let mut all: Vec<String> = lines.iter().map(|line| word(line, key)).collect();
        all.sort();
        all.dedup();
        all.len()
    };
    let over_length = distinct("length") > 1 && distinct("num_hashes") == 1;
    let (key, label) =
        if over_length { ("length", "tokens in a row") } else { ("num_hashes", "rounds of hashing") };
    let telling = if over_length {
        ["model", "data", "attention", "num_hashes"]
    } else {
        ["model", "data", "attention", "length"]
    };
    let named: Vec<&str> = telling.into_iter().filter(|key| distinct(key) > 1).collect();
    let mut groups: BTreeMap<Vec<String>, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines {
        let (Some(x), Some(loss)) = (number(line, key), number(line, "loss")) else { continue };
        let name = named.iter().map(|key| word(line, key)).collect();
        groups.entry(name).or_default().push((x, loss));
    }
    let xs = || groups.values().flatten().map(|point| point.0);
    let span = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
    let exact =
        |name: &[String]| named.iter().zip(name).any(|(key, word)| *key == "attention" && word == "full");
    let series = groups
        .iter()
        .enumerate()
        .map(|(look, (name, points))| {
            let mut points = points.clone();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let level = !over_length && exact(name);
            if let (true, Some(&(_, loss))) = (level, points.first()) {
                points = vec![(span.0, loss), (span.1, loss)];
            }
            let name = if name.is_empty() { "loss".to_owned() } else { name.join(", ") };
            Series { name, points, dashed: level, marks: !level, look }
        })
        .collect();
    let common = telling.into_iter().filter(|key| distinct(key) == 1 && *key != "data");
    let common: Vec<String> = common.map(|key| format!("{key} {}", word(&lines[0], key))).collect();
    Figure {
        title: "Loss of evaluations".into(),
        subtitle: common.join(", "),
        x: Axis { label: label.into(), scale: if over_length { Scale::Lengths } else { Scale::Linear } },
        y: Axis { label: "nats a token".into(), scale: Scale::Linear },
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_attention_is_a_level_over_rounds() {
        let line = |attention: &str, rounds: u64, loss: f64| {
            let line = serde_json::json!({"model": "m", "data": "d", "attention": attention, "length": 64,
                "num_hashes": rounds, "loss": loss});
            line.as_object().unwrap().clone()
        };
        let lines = [line("lsh", 4, 2.0), line("lsh", 1, 3.0), line("full", 2, 1.5)];
        assert!(lines.iter().all(is_one));
        let figure = figure(&lines);
        assert_eq!(figure.series[0].points, [(1.0, 1.5), (4.0, 1.5)]);
        assert_eq!(figure.series[1].points, [(1.0, 3.0), (4.0, 2.0)]);
        assert_eq!((figure.series[1].name.as_str(), figure.x.label.as_str()), ("lsh", "rounds of hashing"));
    }
}
