//! `reformer train`: a recipe resolved to a plan, then run, resumed, or only described.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reformer::tensor::Cpu;
use reformer::text::Tokenizer;
use reformer::train::{
    Outcome, Plan, Recipe, Resume, Surroundings, TrainError, TrainOptions, dry_run, recipe_of_run, train,
};

use crate::args::{Global, TrainArgs};
use crate::exit::{INTERRUPTED, usage};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::sampling::samples;
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{json, machine, number};

/// Where runs go when nobody says.
const RUNS: &str = "runs";

/// Plans, and trains unless only the plan was asked for.
pub(crate) fn run(args: &TrainArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let options = resolve(args, global)?;
    let clock = machine::clock();
    if args.dry_run {
        let plan = dry_run(&options.recipe, options.threads, &clock).map_err(sort)?;
        if args.json {
            json::line(&plan)?;
        } else {
            print_plan(&plan)?;
        }
        return Ok(ExitCode::SUCCESS);
    }

    let interrupt = Interrupt::install()?;
    let (out, seed) = (options.out.clone(), options.recipe.seed);
    let mut sampler =
        |cpu: &Cpu, model: &reformer::model::Model, tokenizer: &Tokenizer, prompts: &[String]| {
            samples(cpu, model, tokenizer, prompts, seed)
        };
    terminal.say(format_args!("{BOLD}training{PLAIN} into {}", out.display()));
    let mut progress = Progress::new(terminal, &clock);
    let around = Surroundings {
        clock: &clock,
        events: &mut |event| progress.event(event),
        sampler: Some(&mut sampler),
        stop: interrupt.flag(),
    };
    let outcome = train(options, around);
    progress.finish();
    conclude(&out, args.json, &outcome.map_err(sort)?, clock(), terminal)
}

/// The recipe, the run's directory and where to begin.
fn resolve(args: &TrainArgs, global: &Global) -> anyhow::Result<TrainOptions> {
    let mut sets = args.sets.clone();
    if let Some(seed) = global.seed {
        sets.push(("seed".into(), seed.to_string()));
    }
    if let Some(dtype) = args.dtype {
        sets.push(("dtype".into(), dtype.name().into()));
    }
    let named = args.recipe.as_ref().and_then(|path| path.file_stem()).map(Path::new);
    let named = if args.demo { Some(Path::new("demo")) } else { named };
    let default = || named.map_or_else(newest_run, |name| Ok(Path::new(RUNS).join(name)));
    let (out, resume) = match &args.resume {
        None if args.overwrite => (None, Resume::Overwrite),
        None => (None, Resume::Fresh),
        Some(None) => (None, Resume::Newest),
        Some(Some(dir)) if !dir.is_dir() => {
            return Err(usage(anyhow::anyhow!("nothing to resume: there is no directory {}", dir.display())));
        }
        // A checkpoint: its run is two folders up, unless --out names another.
        Some(Some(dir)) if dir.join("config.json").exists() => {
            let run = dir.canonicalize()?.ancestors().nth(2).map(Path::to_owned);
            (run, Resume::From(dir.clone()))
        }
        Some(Some(dir)) => (Some(dir.clone()), Resume::Newest),
    };
    let out = match args.out.clone().or(out) {
        Some(out) => out,
        None => default()?,
    };
    let recipe = match &args.recipe {
        Some(path) => Recipe::load(path, &sets).map_err(TrainError::from),
        None if args.demo => Recipe::demo(&sets).map_err(TrainError::from),
        None => recipe_of_run(&out, &sets),
    };
    Ok(TrainOptions { recipe: recipe.map_err(sort)?, out, resume, threads: machine::threads(global) })
}

/// The run that was written to last, for a bare `--resume`.
fn newest_run() -> anyhow::Result<PathBuf> {
    let runs = std::fs::read_dir(RUNS).into_iter().flatten().flatten();
    let dated = runs.filter_map(|run| {
        Some((run.path().join("recipe.toml").metadata().ok()?.modified().ok()?, run.path()))
    });
    let newest = dated.max().map(|(_, path)| path);
    newest.ok_or_else(|| {
        usage(anyhow::anyhow!("nothing to resume: there is no run in {RUNS}/; name one with --resume=DIR"))
    })
}

/// Faults of the recipe and of the command line are configuration, the rest is failure.
fn sort(error: TrainError) -> anyhow::Error {
    match error {
        TrainError::Recipe(_) | TrainError::Occupied(_) | TrainError::Changed { .. } => usage(error),
        other => other.into(),
    }
}

fn conclude(
    out: &Path,
    json: bool,
    outcome: &Outcome,
    seconds: f64,
    terminal: Terminal,
) -> anyhow::Result<ExitCode> {
    match outcome {
        Outcome::Finished { checkpoint, best } => {
            if json {
                json::line(
                    &serde_json::json!({ "run": out, "checkpoint": checkpoint, "best": best, "seconds": seconds }),
                )?;
            }
            terminal.say(format_args!(
                "{BOLD}done{PLAIN} in {}; talk to it: reformer chat {}",
                number::span(seconds),
                out.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Interrupted { checkpoint, step } => {
            terminal.say(format_args!(
                "interrupted after step {step}; saved {}\ncontinue with: reformer train --resume={}",
                checkpoint.display(),
                out.display()
            ));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

fn print_plan(plan: &Plan) -> anyhow::Result<()> {
    let count = number::count;
    let mut out = crate::terminal::stdout();
    let mut row = |name: &str, value: String| writeln!(out, "{name:16} {value}");
    row("parameters", count(plan.parameters))?;
    row("vocabulary", count(plan.vocab_size))?;
    row(
        "corpus",
        format!(
            "{} dialogues, {} tokens ({:.2} bytes each), {} for validation",
            count(plan.dialogues),
            count(plan.epoch_tokens),
            plan.bytes_per_token,
            count(plan.valid_tokens)
        ),
    )?;
    row("steps", format!("{} of {} tokens", count(plan.steps as usize), count(plan.tokens_per_step)))?;
    row("tokens", format!("{}, {:.2} epochs", count(plan.tokens as usize), plan.epochs))?;
    row("memory", number::bytes(plan.memory.total_bytes()))?;
    let rate = plan.tokens_per_step as f64 / plan.seconds_per_step;
    row(
        "time",
        format!(
            "{} ({} a step, {} tokens/s; evaluations and samples not counted)",
            number::span(plan.seconds),
            number::span(plan.seconds_per_step),
            count(rate as usize)
        ),
    )?;
    Ok(())
}
