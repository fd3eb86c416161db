//! `reformer eval`: loss, perplexity, bits per byte and accuracy of a model on a corpus.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use reformer::images::Images;
use reformer::model::{Config, Kind};
use reformer::tensor::Precision;
use reformer::text::Dialogue;
use reformer::train::corpora::{self, Corpora, Part};
use reformer::train::recipe::HOLD_OUT;
use reformer::train::{
    CompareOptions, EvalOptions, EvalReport, compare_steps, evaluate, evaluate_images, mask_token,
};
use serde::Serialize;

use super::complete;
use crate::args::{AttentionChoice, EvalArgs, Global};
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
    objective: &'static str,
    seconds: f64,
}

/// What is measured on.
enum Data {
    Texts(Vec<Dialogue>),
    Images(Images),
}

impl Data {
    /// What the model understands of a file's kinds, or what its run held out.
    fn read(opened: &OpenModel, name: &Path) -> anyhow::Result<Self> {
        if opened.tokenizer.raster().is_some() {
            return complete::images(opened, name).map(Self::Images);
        }
        if name != Path::new(HOLD_OUT) {
            return Ok(Self::Texts(corpora::read(&name.to_string_lossy(), Part::Valid)?));
        }
        let recipe = opened.recipe()?.with_context(|| {
            format!("{} lies in no run, so nothing was held out; name a file", opened.folder.display())
        })?;
        Ok(Self::Texts(Corpora::load(&recipe)?.valid))
    }

    fn bits(&self) -> &'static str {
        match self {
            Self::Texts(_) => "bits/byte",
            Self::Images(_) => "bits/pixel",
        }
    }

    fn unit(&self) -> &'static str {
        match self {
            Self::Texts(_) => "bytes",
            Self::Images(_) => "pixels",
        }
    }
}

/// Evaluates once for each number of hashes. With several, JSON is one object with a `runs` array, in order.
pub(crate) fn run(args: &EvalArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    if args.task.asked() {
        return super::task::run(args, global, terminal);
    }
    if let (Some(model), Some(requests)) = (&args.model, args.requests) {
        return super::requests::run(args, model, requests, global, terminal);
    }
    let (Some(model), Some(data)) = (&args.model, &args.data) else {
        return Err(usage(anyhow::anyhow!("a model and --data FILE are needed")));
    };
    if args.length == Some(0) {
        return Err(usage(anyhow::anyhow!("--length 0 evaluates nothing: give at least 1")));
    }
    let mut opened = open_model::open(model, global, terminal)?;
    let packed = decoding::pack(&mut opened.model, args.weights, args.attention);
    if packed.is_some() {
        // As prompts are read then.
        opened.cpu = opened.cpu.with_precision(Precision::Bf16);
    }
    let measured = Data::read(&opened, data)?;
    let length = match (&measured, args.length) {
        (Data::Images(images), None) => images.size().pixels(),
        (Data::Images(images), Some(_)) => {
            let problem =
                format!("--length: a row is one image of {} pixels; leave the flag out", images.size());
            return Err(usage(anyhow::anyhow!(problem)));
        }
        (Data::Texts(_), asked) => length(&opened, asked)?,
    };
    let attention = decoding::attention(args.attention);
    let causal = opened.model.config().is_decoder;
    if let Some(rows) = args.decode {
        if !causal {
            return Err(usage(anyhow::anyhow!(
                "--decode: {} is bidirectional and is not decoded token by token; leave the flag out",
                opened.folder.display()
            )));
        }
        let options =
            CompareOptions { len: length, rows, attention, storage: Precision::F32, packed: packed.as_ref() };
        let Data::Texts(dialogues) = &measured else {
            return Err(usage(anyhow::anyhow!("--decode compares texts; leave it out for images")));
        };
        return compare(&opened, dialogues, &options, args.json);
    }
    let trained = opened.model.config().num_hashes;
    let rounds = match args.num_hashes.as_slice() {
        [] => vec![trained],
        rounds => rounds.iter().copied().map(usize::from).collect(),
    };

    if !causal {
        let (_, mask) = mask_token(&opened.tokenizer);
        terminal.say(format_args!(
            "bidirectional: every token is masked once, by {mask}, and predicted from both sides"
        ));
    }
    let attends = attends(opened.model.config(), args.attention);
    let clock = machine::clock();
    let mut reports = Vec::new();
    for num_hashes in rounds {
        let started = clock();
        let changed = (num_hashes != trained).then_some(num_hashes);
        let options = EvalOptions { num_hashes: changed, attention, ..EvalOptions::rows_of(length) };
        let OpenModel { cpu, model, tokenizer, .. } = &opened;
        let report = match &measured {
            Data::Texts(dialogues) => evaluate(cpu, model, tokenizer, dialogues, &options)?,
            Data::Images(images) => evaluate_images(cpu, model, tokenizer, images, &options)?,
        };
        reports.push((num_hashes, report, clock() - started));
    }
    if let Some((_, report, _)) = reports.first()
        && report.unknown > 0
    {
        let withheld =
            if report.bits_per_byte.is_none() && causal { ", so bits per byte are withheld" } else { "" };
        terminal.warn(format_args!(
            "warning: {} of {} tokens stand for text that the vocabulary cannot write{withheld}",
            number::count(report.unknown),
            number::count(report.tokens)
        ));
    }
    let line = |(num_hashes, report, seconds): &'_ (usize, EvalReport, f64)| -> serde_json::Value {
        serde_json::json!(Line {
            report,
            model: opened.folder.display().to_string(),
            data: data.display().to_string(),
            attention: attends,
            num_hashes: *num_hashes,
            length,
            objective: if causal { "next token" } else { "masked token" },
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
        "{:>7} {:>9} {:>6} {:>8} {:>10} {:>10} {:>8} {:>11} {:>11}",
        "length",
        "attention",
        "rounds",
        "loss",
        "perplexity",
        measured.bits(),
        "accuracy",
        "tokens",
        measured.unit()
    )?;
    for (num_hashes, r, _) in &reports {
        // Rounds say nothing where nothing is hashed.
        let rounds = if attends == "lsh" { num_hashes.to_string() } else { "-".into() };
        let bits = r.bits_per_byte.or(r.bits_per_pixel);
        let bits = bits.map_or_else(|| "-".into(), |bits| format!("{bits:.4}"));
        writeln!(
            out,
            "{length:>7} {attends:>9} {rounds:>6} {:>8.4} {:>10.3} {bits:>10} {:>7.2}% {:>11} {:>11}",
            r.loss,
            r.perplexity,
            r.accuracy * 100.0,
            number::count(r.tokens),
            number::count(r.bytes),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the model's layers attend by: LSH if any does, unless they attend exactly instead.
pub(super) fn attends(config: &Config, choice: AttentionChoice) -> &'static str {
    let has = |kind| config.attn_layers.contains(&kind);
    match choice {
        AttentionChoice::Off if has(Kind::Lsh) => "off",
        AttentionChoice::Lsh if has(Kind::Lsh) => "lsh",
        AttentionChoice::Lsh | AttentionChoice::Off if has(Kind::Local) => "local",
        _ => "full",
    }
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
    let trained = opened.recipe()?;
    Ok(trained.map_or(LENGTH, |recipe| recipe.length).min(limit))
}
