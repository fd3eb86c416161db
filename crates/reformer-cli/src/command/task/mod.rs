//! `reformer eval --dialogues`: how well a model helps, measured as the field measures it.
//!
//! ```text
//! dialogues ─ground─► references, annotated beliefs ─┐
//! user turns ─model's own lookups and replies─► predictions ─► Inform, Success, BLEU, joint goal accuracy
//! ```
//! Predictions come from a model, from the corpus itself (`--oracle`) or from a file (`--score`).

mod holding;
mod report;

use std::process::ExitCode;

use anyhow::Context;
use reformer::text::{CorpusFormat, Dialogue, Turn, write_dialogues};
use reformer_tables::Database;
use reformer_tables::evaluate::belief::predicted;
use reformer_tables::evaluate::goals::{read_booked, read_goals};
use reformer_tables::evaluate::gold::{Gold, booked_of, golds, oracle};
use reformer_tables::evaluate::predictions::Predictions;
use reformer_tables::evaluate::{Against, scores};
use reformer_tables::ground::read_states;

use self::report::Line;
use crate::args::{EvalArgs, Global};
use crate::exit::{INTERRUPTED, usage};
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use crate::{decoding, machine, number, open_model};

/// Measures once, or once for each number of rounds.
pub(crate) fn run(args: &EvalArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let task = &args.task;
    if task.score.is_some() && task.goals.is_none() && task.dialogues.is_none() {
        return Err(usage(anyhow::anyhow!(
            "--score needs something to score against: --goals FILE for Inform and Success, --dialogues FILE for BLEU and \
             joint goal accuracy, or both"
        )));
    }
    if task.goals.is_some() && task.booked.is_none() && task.dialogues.is_none() {
        return Err(usage(anyhow::anyhow!(
            "--goals ask what was booked: give --booked FILE (the evaluator's booked_domains.json), or --dialogues FILE, \
             which tell it"
        )));
    }
    if args.num_hashes.len() > 1 && (task.predictions.is_some() || task.transcripts.is_some()) {
        return Err(usage(anyhow::anyhow!(
            "--predictions and --transcripts are of one model: give one number of --num-hashes"
        )));
    }
    let tables = task.tables.as_deref().context("--tables FILE is needed")?;
    let database = Database::open_beside(tables)?;
    let goals = task.goals.as_deref().map(read_goals).transpose()?;
    let stated = match &task.dialogues {
        Some(path) => {
            let mut all = read_states(path)?;
            all.truncate(task.limit.map_or(usize::MAX, |limit| limit as usize));
            all
        }
        None => Vec::new(),
    };
    let golds = golds(&database, &stated)?;
    let booked = match &task.booked {
        Some(path) => read_booked(path)?,
        None => booked_of(&golds),
    };
    let against = Against { golds: &golds, goals: goals.as_ref().map(|goals| (goals, &booked)) };
    let measure = |predictions: &Predictions, of: String| -> anyhow::Result<Line> {
        let scores = scores(&database, predictions, against)?;
        if scores.joint.is_none() && scores.bleu.is_none() && !golds.is_empty() {
            anyhow::bail!("none of the dialogues of {of} is one of --dialogues: their names differ");
        }
        Ok(Line { scores, of, attention: "-", num_hashes: None, seconds: 0.0 })
    };
    let mut lines = Vec::new();
    let mut interrupted = false;
    if let Some(path) = &task.score {
        lines.push(measure(&Predictions::read(path)?, path.display().to_string())?);
    } else if task.oracle {
        let predictions = oracle(&golds);
        write(args, &predictions, &[])?;
        lines.push(measure(&predictions, "the dialogues themselves".to_owned())?);
    } else if let Some(model) = &args.model {
        let mut opened = open_model::open(model, global, terminal)?;
        holding::check(&opened)?;
        let packed = decoding::pack(&mut opened.model, args.weights, args.attention);
        let interrupt = Interrupt::install()?;
        let trained = opened.model.config().num_hashes;
        let rounds = match args.num_hashes.as_slice() {
            [] => vec![trained],
            rounds => rounds.iter().copied().map(usize::from).collect(),
        };
        let attends = super::eval::attends(opened.model.config(), args.attention);
        for num_hashes in rounds {
            opened.model.set_num_hashes(num_hashes)?;
            let clock = machine::clock();
            let held = holding::Held {
                args,
                global,
                opened: &opened,
                packed: packed.as_ref(),
                interrupt: &interrupt,
            };
            let talks = held.all(&golds, tables, terminal)?;
            interrupted = interrupt.raised();
            if talks.is_empty() {
                break;
            }
            let predictions = predictions_of(&golds, &talks);
            write(args, &predictions, &dialogues_of(&golds, talks))?;
            let line = measure(&predictions, opened.folder.display().to_string())?;
            lines.push(Line { attention: attends, num_hashes: Some(num_hashes), seconds: clock(), ..line });
            if interrupted {
                break;
            }
        }
    }
    for line in &lines {
        unscored(line, terminal);
    }
    report::print(&lines, args.json)?;
    if interrupted {
        let held = lines.last().map_or(0, |line| line.scores.dialogues);
        terminal.warn(format_args!(
            "interrupted after {} of {} dialogues",
            number::count(held),
            number::count(golds.len())
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

/// A dialogue that was held: its place among the golds, and its turns.
type Talk = (usize, Vec<Turn>);

fn predictions_of(golds: &[Gold], talks: &[Talk]) -> Predictions {
    Predictions(talks.iter().map(|(at, turns)| (golds[*at].name.clone(), predicted(turns))).collect())
}

fn dialogues_of(golds: &[Gold], talks: Vec<Talk>) -> Vec<Dialogue> {
    talks.into_iter().map(|(at, turns)| Dialogue { turns, ..golds[at].grounded.clone() }).collect()
}

fn write(args: &EvalArgs, predictions: &Predictions, talks: &[Dialogue]) -> anyhow::Result<()> {
    if let Some(path) = &args.task.predictions {
        predictions.write(path)?;
    }
    if let Some(path) = &args.task.transcripts {
        write_dialogues(path, talks, CorpusFormat::Messages)?;
    }
    Ok(())
}

/// Says which dialogues have no goal: a score of fewer dialogues than were held is not the same score.
fn unscored(line: &Line, terminal: Terminal) {
    let Some(rates) = line.scores.rates.as_ref().filter(|rates| !rates.unscored.is_empty()) else { return };
    let names = rates.unscored.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if rates.unscored.len() > 5 { ", …" } else { "" };
    terminal.warn(format_args!(
        "warning: {} without a goal, or without what was booked, not counted in Inform and Success: {names}{more}",
        match rates.unscored.len() {
            1 => "1 dialogue is".to_owned(),
            many => format!("{} dialogues are", number::count(many)),
        }
    ));
}
