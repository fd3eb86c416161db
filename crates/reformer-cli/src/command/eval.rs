//! `reformer eval`: loss, perplexity, bits per byte and accuracy of a model on a corpus.

use std::io::{self, Write};
use std::process::ExitCode;

use reformer::model::Kind;
use reformer::text::read_dialogues;
use reformer::train::{EvalOptions, EvalReport, evaluate};
use serde::Serialize;

use crate::args::{AttentionChoice, EvalArgs, Global};
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{json, number, opened};

/// One evaluation with what it was evaluated by.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    report: &'a EvalReport,
    model: String,
    data: String,
    attention: &'static str,
    num_hashes: usize,
    length: usize,
    seconds: f64,
}

/// Evaluates once for each number of hashes. With several, JSON is one object with a `runs` array, in order.
pub(crate) fn run(args: &EvalArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    if args.length == Some(0) {
        return Err(usage(anyhow::anyhow!("--length 0 evaluates nothing: give at least 1")));
    }
    let opened = opened::open(&args.model, global, terminal)?;
    let dialogues = read_dialogues(&args.data, None)?;
    let config = opened.model.config();
    let trained = config.num_hashes;
    let rounds = if args.num_hashes.is_empty() { vec![None] } else { args.num_hashes.iter().map(|&n| Some(usize::from(n))).collect() };
    let attention = match args.attention {
        AttentionChoice::Lsh => None,
        AttentionChoice::Full => Some(Kind::Full),
    };

    let mut reports = Vec::new();
    for num_hashes in rounds {
        let started = std::time::Instant::now();
        let options = EvalOptions { length: args.length, num_hashes, attention, ..EvalOptions::default() };
        let report = evaluate(&opened.cpu, &opened.model, &opened.tokenizer, &dialogues, &options)?;
        reports.push((num_hashes.unwrap_or(trained), report, started.elapsed().as_secs_f64()));
    }
    let line = |(num_hashes, report, seconds): &'_ (usize, EvalReport, f64)| -> serde_json::Value {
        serde_json::json!(Line {
            report,
            model: opened.folder.display().to_string(),
            data: args.data.display().to_string(),
            attention: if attention.is_some() { "full" } else { "lsh" },
            num_hashes: *num_hashes,
            length: 0,
            seconds: *seconds,
        })
    };
    if args.json {
        let mut lines: Vec<serde_json::Value> = reports.iter().map(line).collect();
        match lines.len() {
            1 => json::line(&lines.remove(0))?,
            _ => json::line(&serde_json::json!({ "runs": lines }))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{:>10} {:>8} {:>11} {:>13} {:>9} {:>12} {:>12}", "num_hashes", "loss", "perplexity", "bits_per_byte", "accuracy", "tokens", "bytes")?;
    for (num_hashes, r, _) in &reports {
        writeln!(
            out,
            "{num_hashes:>10} {:>8.4} {:>11.3} {:>13.4} {:>8.2}% {:>12} {:>12}",
            r.loss,
            r.perplexity,
            r.bits_per_byte,
            r.accuracy * 100.0,
            number::count(r.tokens),
            number::count(r.bytes),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
