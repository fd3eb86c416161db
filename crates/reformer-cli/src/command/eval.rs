//! `reformer eval`: loss, perplexity, bits per byte and accuracy of a model on a corpus.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use reformer::tensor::Precision;
use reformer::text::{Dialogue, read_dialogues};
use reformer::train::{
    CompareOptions, EvalOptions, EvalReport, RECIPE, compare_steps, evaluate, recipe_of_run,
};
use serde::Serialize;

use crate::args::{EvalArgs, Global};
use crate::exit::usage;
use crate::open_model::{self, OpenModel};
use crate::terminal::Terminal;
use crate::{decoding, json, machine, number};

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
    let mut opened = open_model::open(&args.model, global, terminal)?;
    let packed = decoding::pack(&mut opened.model, args.weights);
    if packed.is_some() {
        // As prompts are read then.
        opened.cpu = opened.cpu.with_precision(Precision::Bf16);
    }
    let dialogues = read_dialogues(&args.data, None)?;
    let length = length(&opened, args.length)?;
    let attention = decoding::attention(args.attention);
    if let Some(rows) = args.decode {
        let options =
            CompareOptions { len: length, rows, attention, storage: Precision::F32, packed: packed.as_ref() };
        return compare(&opened, &dialogues, &options, args.json);
    }
    let trained = opened.model.config().num_hashes;
    let rounds = match args.num_hashes.as_slice() {
        [] => vec![trained],
        rounds => rounds.iter().copied().map(usize::from).collect(),
    };

    let clock = machine::clock();
    let mut reports = Vec::new();
    for num_hashes in rounds {
        let started = clock();
        let changed = (num_hashes != trained).then_some(num_hashes);
        let options = EvalOptions { num_hashes: changed, attention, ..EvalOptions::rows_of(length) };
        let report = evaluate(&opened.cpu, &opened.model, &opened.tokenizer, &dialogues, &options)?;
        reports.push((num_hashes, report, clock() - started));
    }
    let line = |(num_hashes, report, seconds): &'_ (usize, EvalReport, f64)| -> serde_json::Value {
        serde_json::json!(Line {
            report,
            model: opened.folder.display().to_string(),
            data: args.data.display().to_string(),
            attention: if attention.is_some() { "full" } else { "lsh" },
            num_hashes: *num_hashes,
            length,
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
    let mut out = crate::terminal::stdout();
    writeln!(
        out,
        "{:>10} {:>8} {:>11} {:>13} {:>9} {:>12} {:>12}",
        "num_hashes", "loss", "perplexity", "bits_per_byte", "accuracy", "tokens", "bytes"
    )?;
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

/// The same tokens predicted by the forward pass and by steps of decoding.
fn compare(
    opened: &OpenModel,
    dialogues: &[Dialogue],
    options: &CompareOptions<'_>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let found = compare_steps(&opened.cpu, &opened.model, &opened.tokenizer, dialogues, options)?;
    if as_json {
        json::line(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = crate::terminal::stdout();
    writeln!(
        out,
        "{:>8} {:>9} {:>13} {:>10} {:>13} {:>16} {:>10} {:>12}",
        "length", "tokens", "forward loss", "step loss", "mean |Δ|", "mean |Δ| late", "worst |Δ|", "state"
    )?;
    writeln!(
        out,
        "{:>8} {:>9} {:>13.4} {:>10.4} {:>13.5} {:>16.5} {:>10.4} {:>12}",
        found.length,
        number::count(found.tokens),
        found.forward_loss,
        found.step_loss,
        found.mean_difference,
        found.mean_difference_late,
        found.worst_difference,
        number::bytes(found.state_bytes),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Tokens of a row where neither the flag nor a recipe says.
const LENGTH: usize = 4096;

/// The rows' length: as asked, as trained, or as long as the positions reach.
fn length(opened: &OpenModel, asked: Option<usize>) -> anyhow::Result<usize> {
    let limit = opened.model.config().position_limit().unwrap_or(usize::MAX);
    if let Some(length) = asked {
        opened.model.config().check_length(length).map_err(usage)?;
        return Ok(length);
    }
    // A checkpoint of a run lies in its `checkpoints/`.
    let folder = opened.folder.canonicalize()?;
    let run = folder.ancestors().nth(2).unwrap_or(Path::new("."));
    let trained = run.join(RECIPE).exists().then(|| recipe_of_run(run, &[])).and_then(Result::ok);
    Ok(trained.map_or(LENGTH, |recipe| recipe.length).min(limit))
}
