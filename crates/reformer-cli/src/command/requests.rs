//! `reformer eval --requests`: the demo's people talk to a model, and the tables tell whether it was right.
//!
//! A request is right if every row that the replies name meets what the person wished for, every booking is of the
//! right row with the right details, and references, telephone numbers and the like are told as they are. The wishes
//! are those of dialogues that training has not seen; what the model looked up does not count, what it said and
//! booked does.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use reformer::generate::{ChatSession, ContextPolicy, Conversation, Generator, Sampling};
use reformer::text::{Dialogue, Role, demo};
use reformer_tables::{Bookings, Check, Database, Fault, Said, Talk};
use serde::Serialize;

use crate::args::{EvalArgs, Global};
use crate::desk::Desk;
use crate::exit::usage;
use crate::interrupt::Interrupt;
use crate::open_model::{self, OpenModel};
use crate::terminal::Terminal;
use crate::{decoding, demo_tables, json, machine};

/// Requests of training's seeds are none that a model has not seen.
const SEED: u64 = 100;

/// What came of all requests.
#[derive(Debug, Default, Serialize)]
struct Report {
    requests: usize,
    right: usize,
    right_percent: f64,
    replies: usize,
    lookups: usize,
    bookings: usize,
    invented: usize,
    seed: u64,
    seconds: f64,
}

/// Puts the requests to the model, one conversation each.
pub(super) fn run(
    args: &EvalArgs,
    model: &Path,
    count: usize,
    global: &Global,
    terminal: Terminal,
) -> anyhow::Result<ExitCode> {
    let mut opened = open_model::open(model, global, terminal)?;
    if !opened.tokenizer.has_lookups() {
        return Err(usage(anyhow::anyhow!(
            "{} has not learned to look things up; `reformer train --demo` trains a model that has",
            opened.folder.display()
        )));
    }
    let Some((tables, _)) = demo_tables::of_run(model, &opened.folder) else {
        return Err(usage(anyhow::anyhow!(
            "{}: no tables.sqlite in the run; --requests is for a run of `reformer train --demo`",
            model.display()
        )));
    };
    let database = Database::open_beside(&tables)?;
    let packed = decoding::pack(&mut opened.model, args.weights, args.attention);
    let (clock, interrupt) = (machine::clock(), Interrupt::install()?);
    let generator = || -> anyhow::Result<Generator<'_>> {
        let generator = Generator::new(&opened.cpu, &opened.model, &opened.tokenizer, &clock)?;
        Ok(generator.with_packed(packed.as_ref()).with_stop(interrupt.flag()))
    };
    let mut report = Report { seed: global.seed.unwrap_or(SEED), ..Report::default() };
    for request in demo::requests(report.seed, count) {
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let session =
            ChatSession::new(generator()?, Conversation::new(None), sampling, ContextPolicy::Slide)?;
        let faults = converse(&request, session, &database, &mut report, terminal)?;
        if interrupt.raised() {
            return Ok(ExitCode::from(crate::exit::INTERRUPTED));
        }
        report.requests += 1;
        report.right += usize::from(faults.is_empty());
        for fault in &faults {
            report.invented += usize::from(matches!(fault, Fault::Invented(_)));
            terminal.detail(format_args!("{}: {}", request.id, told(fault)));
        }
    }
    report.right_percent = 100.0 * report.right as f64 / report.requests.max(1) as f64;
    report.seconds = clock();
    if args.json {
        json::line(&report)?;
    } else {
        tell(&report, &opened)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One conversation; what was wrong in it. It ends with the first reply that is.
fn converse(
    request: &Dialogue,
    mut session: ChatSession<'_>,
    database: &Database,
    report: &mut Report,
    terminal: Terminal,
) -> anyhow::Result<Vec<Fault>> {
    let mut check = Check::new(database)?;
    let mut desk = Desk { database, bookings: Bookings::in_memory()?, talk: Talk::default() };
    for two in request.turns.chunks_exact(2) {
        let [said, truth] = two else { continue };
        check.prepare(&said.text, truth, &mut desk.bookings)?;
        let reply = session.send_with(&said.text, &mut desk, &mut |_| ControlFlow::Continue(()))?;
        report.replies += 1;
        report.lookups += reply.lookups.len();
        report.bookings += reply.lookups.iter().filter(|lookup| lookup.said() == "booked").count();
        let turns = session.conversation().turns();
        let raw = turns.last().filter(|turn| turn.role == Role::Assistant).map_or("", |turn| &turn.text);
        let filled = reply.completion.text.as_str();
        let faults = check.faults(truth, Said { raw, filled }, &desk.bookings)?;
        if !faults.is_empty() {
            terminal.detail(format_args!("> {}\n{filled}", said.text));
            for lookup in &reply.lookups {
                let asked = serde_json::Value::from(lookup.call.arguments.clone());
                terminal.detail(format_args!("[{} {asked} → {}]", lookup.call.tool, lookup.said()));
            }
            return Ok(faults);
        }
    }
    Ok(Vec::new())
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Wrong(problem) => problem.clone(),
        Fault::Invented(word) => format!("{word:?} is made up"),
    }
}

fn tell(report: &Report, opened: &OpenModel) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = crate::terminal::stdout();
    writeln!(
        out,
        "{}: {} of {} requests right ({:.1} %), {} invented names or numbers; {} replies with {} lookups, {} bookings",
        opened.folder.display(),
        report.right,
        report.requests,
        report.right_percent,
        report.invented,
        report.replies,
        report.lookups,
        report.bookings
    )?;
    writeln!(out, "seed {}, {:.0} s; -v shows what was wrong", report.seed, report.seconds)?;
    Ok(())
}
