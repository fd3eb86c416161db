//! `reformer explain`: a unit of the course as a walk through small real numbers, and the pictures that go with it.
//!
//! ```text
//! unit → lesson (steps of words, numbers and pictures) → one screen a step, all at once, or JSON
//! ```
//! Every number is computed when it is shown, by the libraries that train and generate; nothing here is written down.
//! One file a unit makes its lesson; `lesson.rs` is what a lesson consists of, `walk.rs` shows it, `canvas.rs` draws.

mod attend;
mod canvas;
mod chatbot;
mod cloud;
mod complexity;
mod five_rows;
mod hashing;
mod knn;
mod layer;
mod lesson;
mod lsh_attention;
mod matrices;
mod noise;
mod reversible;
mod vectors;
mod walk;

use std::process::ExitCode;

use crate::args::Global;
use crate::args::explain::{ExplainArgs, Unit};
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{machine, open_model};

/// Makes the lesson, writes its pictures, shows it.
pub(crate) fn run(args: &ExplainArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    check(args)?;
    let seed = global.seed.unwrap_or(0);
    let cpu = machine::cpu(global)?;
    let lesson = match args.unit {
        Unit::Knn => knn::lesson(&cpu, args.vectors.as_deref(), seed)?,
        Unit::Hashing => hashing::lesson(&cpu, args.vectors.as_deref(), seed)?,
        Unit::LshAttention => {
            let layer = layer::Layer::choose(args, global, terminal, seed)?;
            lsh_attention::lesson(&cpu, &layer)?
        }
        Unit::Reversible => {
            let opened =
                args.model.as_deref().map(|dir| open_model::open(dir, global, terminal)).transpose()?;
            reversible::lesson(&cpu, opened.as_ref(), seed)?
        }
        Unit::Complexity => complexity::lesson(seed)?,
        Unit::Chatbot => {
            let opened =
                args.model.as_deref().map(|dir| open_model::open(dir, global, terminal)).transpose()?;
            chatbot::lesson(args.text.as_deref(), opened.as_ref(), seed)?
        }
    };
    walk::show(&lesson, args, terminal)
}

/// Refuses what a unit has no use for, rather than leaving it aside.
fn check(args: &ExplainArgs) -> anyhow::Result<()> {
    let uses = |units: &[Unit]| units.contains(&args.unit);
    let given = [
        (args.text.is_some(), "--text", &[Unit::LshAttention, Unit::Chatbot][..]),
        (args.vectors.is_some(), "--vectors", &[Unit::Knn, Unit::Hashing][..]),
        (args.model.is_some(), "--model", &[Unit::LshAttention, Unit::Reversible, Unit::Chatbot][..]),
    ];
    for (given, flag, units) in given {
        if given && !uses(units) {
            let names: Vec<&str> = units.iter().map(|unit| unit.name()).collect();
            return Err(usage(anyhow::anyhow!(
                "{flag} does nothing for {}: it is for {}; leave it out",
                args.unit.name(),
                names.join(", ")
            )));
        }
    }
    if args.text.as_deref().is_some_and(|text| text.trim().is_empty()) {
        return Err(usage(anyhow::anyhow!("--text is empty: give a sentence of some words")));
    }
    Ok(())
}
