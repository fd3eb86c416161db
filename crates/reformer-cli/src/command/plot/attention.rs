//! Seconds of attention over length for each kind: the paper's figure 5.
//!
//! What all lines have in common stands in the subtitle, what tells them apart in the legend.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::exit::usage;
use crate::figure::{Axis, Figure, Scale, Series};

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

/// Seconds over length, one line for every set of telling values.
pub(super) fn figure(lines: &[Map<String, Value>]) -> anyhow::Result<Figure> {
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

#[cfg(test)]
mod tests {
    use super::{median, said};

    #[test]
    fn one_round_is_not_rounds() {
        assert_eq!([said(&1.into(), "{} rounds"), said(&2.into(), "{} rounds")], ["1 round", "2 rounds"]);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }
}
