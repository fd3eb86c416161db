//! `reformer train`: a recipe resolved to a plan, then run, resumed, or only described.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reformer::tensor::Cpu;
use reformer::text::Tokenizer;
use reformer::train::checkpoint::is_complete;
use reformer::train::recipe::DEMO_CORPUS;
use reformer::train::{
    Outcome, Plan, Recipe, RecipeError, Resume, Surroundings, TrainError, TrainOptions, dry_run,
    recipe_of_run, train,
};

use crate::args::{Global, TrainArgs};
use crate::exit::{INTERRUPTED, usage};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::sampling::samples;
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{demo_tables, json, machine, number, process};

/// Where runs go when nobody says.
const RUNS: &str = "runs";

/// Plans, and trains unless only the plan was asked for.
pub(crate) fn run(args: &TrainArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let options = resolve(args, global)?;
    let clock = machine::clock();
    if args.dry_run {
        let plan = dry_run(&options.recipe).map_err(|error| in_recipe(args, error))?;
        if args.json {
            json::line(&plan)?;
        } else {
            print_plan(&plan, super::plan::rate(&options.recipe) * options.threads as f64)?;
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
    let demo = options.recipe.data == DEMO_CORPUS;
    let outcome = train(options, around);
    progress.finish();
    if demo && outcome.is_ok() {
        demo_tables::write(&out)?;
    }
    conclude(&out, args.json, &outcome.map_err(|error| in_recipe(args, error))?, clock(), terminal)
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
        Some(Some(dir)) if dir.join("config.json").exists() && !is_complete(dir) => {
            return Err(usage(TrainError::NoTrainingState(dir.clone())));
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
    let resume = match &args.init {
        Some(dir) => Resume::Init(crate::open_model::checkpoint(dir)?),
        None => resume,
    };
    let recipe = match &args.recipe {
        Some(path) => Recipe::load(path, &sets).map_err(TrainError::from),
        None if args.demo => Recipe::demo(&sets).map_err(TrainError::from),
        None => recipe_of_run(&out, &sets),
    };
    // Absolute, so that the run finds its corpora from wherever it is resumed.
    let recipe = recipe.map_err(sort)?.at(&std::env::current_dir()?);
    let holder = format!("process {} on {}", std::process::id(), process::host());
    let (threads, memory) = (machine::threads(global), process::available());
    Ok(TrainOptions { recipe, out, resume, threads, memory, holder })
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
        TrainError::Recipe(_)
        | TrainError::Occupied(_)
        | TrainError::Changed { .. }
        | TrainError::NoTrainingState(_)
        | TrainError::NothingLeft { .. }
        | TrainError::NothingInCommon(_)
        | TrainError::NothingToHoldOut { .. }
        | TrainError::Memory { .. } => usage(error),
        other => other.into(),
    }
}

/// What the recipe as a whole asks for names its file, which each of its keys does by itself.
fn in_recipe(args: &TrainArgs, error: TrainError) -> anyhow::Error {
    let whole = matches!(
        error,
        TrainError::Memory { .. } | TrainError::Recipe(RecipeError::Model(_) | RecipeError::TooLarge(_))
    );
    match &args.recipe {
        Some(path) if whole => sort(error).context(format!("cannot train by {}", path.display())),
        _ => sort(error),
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
            let (span, dir) = (number::span(seconds), out.display());
            let chats = Tokenizer::load(checkpoint).is_ok_and(|tokenizer| tokenizer.can_chat());
            let next = if chats { "talk to it: reformer chat" } else { "let it write: reformer generate" };
            terminal.say(format_args!("{BOLD}done{PLAIN} in {span}; {next} {dir}"));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Complete { checkpoint, best, step, steps } => {
            if json {
                json::line(
                    &serde_json::json!({ "run": out, "checkpoint": checkpoint, "best": best, "complete": true }),
                )?;
            }
            let dir = out.display();
            terminal.say(format_args!(
                "{dir} is complete: {} of {} steps are done\ntrain on with: reformer train --resume={dir} --set steps={}",
                number::count(*step as usize),
                number::count(*steps as usize),
                2 * step
            ));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Interrupted { checkpoint: None, .. } => {
            terminal.say("interrupted before the first step; there is nothing to save");
            Ok(ExitCode::from(INTERRUPTED))
        }
        Outcome::Interrupted { checkpoint: Some(checkpoint), step } => {
            terminal.say(format_args!(
                "interrupted after step {step}; saved {}\ncontinue with: reformer train --resume={}",
                checkpoint.display(),
                out.display()
            ));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// `rate` is in billions of operations a second.
fn print_plan(plan: &Plan, rate: f64) -> anyhow::Result<()> {
    let count = number::count;
    let mut out = crate::terminal::stdout();
    let mut row = |name: &str, value: String| writeln!(out, "{name:16} {value}");
    row("parameters", count(plan.parameters))?;
    row("vocabulary", format!("{} at most", count(plan.vocab_size)))?;
    let corpus = plan.corpus_bytes.map(|bytes| number::bytes(bytes as usize));
    let there = if plan.missing.is_empty() { "built in" } else { "not there" };
    row("corpus", corpus.unwrap_or_else(|| there.into()))?;
    for name in &plan.missing {
        row("", format!("{name} is needed to train: name yours with --set data=FILE, valid=FILE"))?;
    }
    let (each, seconds) = (count(plan.tokens_per_step), plan.flops_per_step / (rate * 1e9));
    match (plan.steps, plan.tokens) {
        (Some(steps), Some(tokens)) => {
            row("steps", format!("{} of {each} tokens", count(steps as usize)))?;
            row("tokens", count(tokens as usize))?;
        }
        _ => row(
            "steps",
            format!(
                "of {each} tokens; {} epochs, counted when the corpus is read",
                plan.epochs.unwrap_or(0.0)
            ),
        )?,
    }
    row("memory", number::bytes(plan.memory.total_bytes()))?;
    let whole = plan.steps.map_or_else(String::new, |steps| number::span(seconds * steps as f64) + ", ");
    row(
        "time",
        format!(
            "{whole}{} a step at {rate:.0} GFLOP/s, stated; `reformer plan --measure` times it (evaluations and samples \
             not counted)",
            number::span(seconds)
        ),
    )?;
    Ok(())
}
