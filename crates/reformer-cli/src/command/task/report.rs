//! Scores for the eye and for programs: a line each, and what the last one lost by.

use std::io::Write;

use reformer_tables::evaluate::Scores;
use serde::Serialize;

use crate::{json, number};

/// Faults of beliefs that are shown; JSON has all.
const SHOWN: usize = 8;

/// A measurement with what was measured.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// The scores.
    #[serde(flatten)]
    pub(super) scores: Scores,
    /// A checkpoint, a file, or the corpus itself.
    pub(super) of: String,
    /// By what the model attended; `-` without one.
    pub(super) attention: &'static str,
    /// Rounds of hashing.
    pub(super) num_hashes: Option<usize>,
    /// What holding the dialogues took.
    pub(super) seconds: f64,
}

/// Prints the measurements; with several, JSON is one object with a `runs` array.
pub(super) fn print(lines: &[Line], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let mut objects = lines.iter().map(object).collect::<Vec<_>>();
        return match objects.len() {
            0 => Ok(()),
            1 => json::line(&objects.remove(0)),
            _ => json::line(&serde_json::json!({ "runs": objects })),
        };
    }
    let Some(last) = lines.last() else { return Ok(()) };
    let mut out = crate::terminal::stdout();
    writeln!(
        out,
        "{:>9} {:>6} {:>6} {:>6} {:>7} {:>6} {:>8} {:>6} {:>6} {:>7}",
        "dialogues", "turns", "rounds", "Inform", "Success", "BLEU", "combined", "joint", "near", "slot F1"
    )?;
    for line in lines {
        let scores = &line.scores;
        let one = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1}"));
        let rates = scores.rates.as_ref().map(|rates| rates.total);
        let joint = scores.joint.as_ref();
        // Exact attention has no rounds, nor have predictions from a file.
        let rounds = line.num_hashes.filter(|_| line.attention == "lsh");
        writeln!(
            out,
            "{:>9} {:>6} {:>6} {:>6} {:>7} {:>6} {:>8} {:>6} {:>6} {:>7}",
            number::count(scores.dialogues),
            number::count(scores.turns),
            rounds.map_or_else(|| line.attention.to_owned(), |rounds| rounds.to_string()),
            one(rates.map(|rate| rate.inform)),
            one(rates.map(|rate| rate.success)),
            one(scores.bleu),
            one(scores.combined()),
            one(joint.map(|joint| joint.exact)),
            one(joint.map(|joint| joint.near)),
            one(joint.map(|joint| joint.slot_f1)),
        )?;
    }
    if let Some(rates) = &last.scores.rates {
        writeln!(out)?;
        writeln!(
            out,
            "{:10} {:>9} {:>6} {:>7} {:>8} {:>11}  most often untold",
            "domain", "dialogues", "Inform", "Success", "no offer", "wrong offer"
        )?;
        for (name, domain) in &rates.domains {
            let mut untold: Vec<_> = domain.untold.iter().collect();
            untold.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            // Two fit beside the rest in 80 columns.
            let untold: Vec<_> =
                untold.iter().take(2).map(|(slot, n)| format!("{} {n}", slot.to_lowercase())).collect();
            writeln!(
                out,
                "{name:10} {:>9} {:>6.1} {:>7.1} {:>8} {:>11}  {}",
                number::count(domain.rate.dialogues),
                domain.rate.inform,
                domain.rate.success,
                number::count(domain.nothing),
                number::count(domain.wrong),
                untold.join(", ")
            )?;
        }
    }
    if let Some(joint) = last.scores.joint.as_ref().filter(|joint| !joint.faults.is_empty()) {
        writeln!(out)?;
        writeln!(
            out,
            "{:24} {:>7} {:>6} {:>12}",
            "beliefs most often wrong", "missing", "extra", "other value"
        )?;
        for fault in joint.faults.iter().take(SHOWN) {
            writeln!(
                out,
                "{:24} {:>7} {:>6} {:>12}",
                fault.slot,
                number::count(fault.missing),
                number::count(fault.extra),
                number::count(fault.other)
            )?;
        }
    }
    Ok(())
}

/// As JSON, with the sum that the table has.
fn object(line: &Line) -> serde_json::Value {
    let mut object = serde_json::json!(line);
    if let Some(combined) = line.scores.combined() {
        object["combined"] = combined.into();
    }
    object
}
