//! `reformer plan`: what a recipe's step costs at a length, and what to change to fit a memory.
//!
//! Arguments → recipe (with positions for the length) → [`Budget`] → text or JSON. Seconds are operations over a
//! rate: one that was stated, or one measured with steps of the same model on a short row.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use reformer::model::memory::MemoryEstimate;
use reformer::model::{Batch, Config, Model, Pass};
use reformer::tensor::{Address, Precision, Purpose};
use reformer::train::{Budget, Change, Learner, Recipe, RecipeError, changes_to_fit, planned_config};
use serde_json::json;

use crate::args::Global;
use crate::args::plan::PlanArgs;
use crate::exit::usage;
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{json as print, machine, number, process};

/// Tokens of the rows that are timed, at most.
const MEASURED: usize = 2048;
/// Plans and prints.
pub(crate) fn run(args: &PlanArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let (recipe, raised) = recipe(args, global)?;
    let named = args.recipe.as_ref().map_or_else(|| "the demo".into(), |path| path.display().to_string());
    let config = planned_config(&recipe).map_err(usage).with_context(|| format!("cannot plan {named}"))?;
    let budget = Budget::of(&recipe, &config);
    let changes = args.memory.map(|limit| (limit, changes_to_fit(&recipe, &config, limit)));
    let threads = machine::threads(global);
    let rate = if args.measure {
        measured(&recipe, &config, global, terminal)?
    } else {
        positive_rate(stated(args, &recipe))? * 1e9 * threads as f64
    };
    let plan = Plan { args, recipe: &recipe, budget: &budget, changes, raised, threads, rate };
    if args.json {
        print::line(&plan.json())?;
    } else {
        plan.text()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The rate that was typed, or the usual one.
fn stated(args: &PlanArgs, recipe: &Recipe) -> f64 {
    args.gflops.unwrap_or_else(|| rate(recipe))
}

/// Billions of operations a second and thread that steps of d 256 and more reach on AVX-512.
pub(super) fn rate(recipe: &Recipe) -> f64 {
    if recipe.dtype.in_use() == Precision::Bf16 { 130.0 } else { 80.0 }
}

fn positive_rate(rate: f64) -> anyhow::Result<f64> {
    if rate > 0.0 && rate.is_finite() {
        return Ok(rate);
    }
    Err(usage(anyhow::anyhow!(
        "--gflops {rate} is no rate: give billions of operations a second, for example 80"
    )))
}

/// The recipe at the length, and whether its positions had to be raised for it.
fn recipe(args: &PlanArgs, global: &Global) -> anyhow::Result<(Recipe, bool)> {
    let mut sets = args.sets.clone();
    if let Some(seed) = global.seed {
        sets.push(("seed".into(), seed.to_string()));
    }
    if let Some(length) = args.length {
        if length == 0 {
            return Err(usage(anyhow::anyhow!("--length 0 is no row: give at least 1")));
        }
        sets.push(("length".into(), length.to_string()));
    }
    let load = |sets: &[(String, String)]| -> Result<Recipe, RecipeError> {
        match &args.recipe {
            Some(path) => Recipe::load(path, sets),
            None => Recipe::demo(sets),
        }
    };
    let (recipe, raised) = match (load(&sets), args.length) {
        (Ok(recipe), _) => (recipe, false),
        // A recipe that names its positions has them for its own length.
        (Err(error), Some(length)) => {
            sets.push(("model.max_positions".into(), length.to_string()));
            sets.push(("model.axial_shape".into(), "auto".into()));
            (load(&sets).map_err(|_| usage(error))?, true)
        }
        (Err(error), None) => return Err(usage(error)),
    };
    Ok((recipe, raised))
}

/// Operations a second of steps on one short row: one to warm up, two timed.
fn measured(recipe: &Recipe, config: &Config, global: &Global, terminal: Terminal) -> anyhow::Result<f64> {
    let length = recipe.length.min(MEASURED);
    let mut short = Recipe { length, batch: 1, accumulate: 1, ..recipe.clone() };
    short.optimizer.in_backward = false;
    let budget = Budget::of(&short, config);
    if process::available().is_some_and(|free| budget.total_bytes() > free) {
        return Err(usage(anyhow::anyhow!(
            "a step of {} tokens needs {}, more than is free here: plan without --measure",
            number::count(length),
            number::bytes(budget.total_bytes())
        )));
    }
    terminal.detail(format_args!("timing steps of {} tokens", number::count(length)));
    let cpu = machine::cpu(global)?.with_precision(recipe.dtype);
    let key = Address::new(recipe.seed, Purpose::Corpus).key();
    let ids: Vec<u32> = (0..=length).map(|i| key.bits(i as u64) % config.vocab_size as u32).collect();
    let batches = [(Batch::next_token(1, length, &ids), Pass::training(recipe.seed, 0))];
    let mut learner = Learner::new(Model::new(config.clone(), recipe.seed), &short.optimizer);
    learner.step(&cpu, &batches, 1e-4)?;
    let clock = machine::clock();
    learner.step(&cpu, &batches, 1e-4)?;
    learner.step(&cpu, &batches, 1e-4)?;
    Ok(2.0 * budget.flops_per_step / clock())
}

struct Plan<'a> {
    args: &'a PlanArgs,
    recipe: &'a Recipe,
    budget: &'a Budget,
    /// The limit and what brings the step within it.
    changes: Option<(usize, Vec<Change>)>,
    raised: bool,
    threads: usize,
    /// Operations a second.
    rate: f64,
}

impl Plan<'_> {
    fn seconds(&self) -> f64 {
        self.budget.flops_per_step / self.rate
    }

    fn json(&self) -> serde_json::Value {
        let mut all = json!(self.budget);
        all["threads"] = self.threads.into();
        all["gflops"] = (self.rate / 1e9).into();
        all["measured"] = self.args.measure.into();
        all["seconds_per_step"] = self.seconds().into();
        all["tokens_per_second"] = (self.budget.tokens_per_step as f64 / self.seconds()).into();
        all["positions_raised"] = self.raised.into();
        all["total_bytes"] = self.budget.total_bytes().into();
        if let Some((limit, changes)) = &self.changes {
            all["memory_limit_bytes"] = (*limit).into();
            all["fits"] = (self.budget.total_bytes() <= *limit).into();
            all["changes"] = json!(changes);
        }
        all
    }

    fn text(&self) -> anyhow::Result<()> {
        let (budget, count) = (self.budget, number::count);
        let mut out = crate::terminal::styled_stdout();
        let rows =
            if budget.batch == 1 { "1 row".to_owned() } else { format!("{} rows", count(budget.batch)) };
        let passes = match self.recipe.accumulate {
            1 => String::new(),
            passes => format!(", {passes} passes a step"),
        };
        writeln!(out, "{BOLD}step{PLAIN}         {rows} of {} tokens{passes}", count(budget.length))?;
        if self.raised {
            writeln!(
                out,
                "             (the recipe has positions for fewer: model.max_positions = {})",
                budget.length
            )?;
        }
        let share = number::bytes(4 * budget.parameters);
        writeln!(out, "{BOLD}parameters{PLAIN}   {} ({share})", count(budget.parameters))?;
        self.operations(&mut out)?;
        let stated = if self.args.measure {
            format!("measured on rows of {}", count(budget.length.min(MEASURED)))
        } else {
            format!("stated, {} a thread; --measure times it", stated(self.args, self.recipe))
        };
        writeln!(
            out,
            "{BOLD}time{PLAIN}         {} a step, {} tokens/s, at {:.0} GFLOP/s on {} ({stated})",
            number::span(self.seconds()),
            count((budget.tokens_per_step as f64 / self.seconds()) as usize),
            self.rate / 1e9,
            number::threads(self.threads),
        )?;
        self.memory(&mut out)?;
        self.advice(&mut out)
    }

    fn operations(&self, out: &mut impl Write) -> io::Result<()> {
        let budget = self.budget;
        let training = budget.flops_per_token.training as f64;
        writeln!(
            out,
            "{BOLD}operations{PLAIN}   a token {} forward, {} in training; a step {}",
            operations(budget.flops_per_token.forward as f64),
            operations(training),
            operations(budget.flops_per_step),
        )?;
        let parts = budget.flops_by_part.iter().filter(|part| part.training > 0);
        let parts: Vec<String> = parts
            .map(|part| format!("{} {:.0} %", part.part, part.training as f64 / training * 100.0))
            .collect();
        writeln!(out, "             {}", parts.join(", "))?;
        let exact = budget.exact_flops_per_token.training as f64;
        if exact > training {
            writeln!(
                out,
                "             exact attention in place of LSH: {:.1} times as many",
                exact / training
            )?;
        }
        Ok(())
    }

    /// A column a way, the recipe's own first. Ways that do not differ (no LSH layer) are left out.
    fn memory(&self, out: &mut impl Write) -> io::Result<()> {
        let ways: Vec<_> = self
            .budget
            .ways
            .iter()
            .filter(|way| !way.exact || self.recipe.model.attn_layers.iter().any(|kind| kind == "lsh"))
            .collect();
        let heading = |exact: bool, reversible: bool| {
            let layers = if exact { "exact" } else { "as it is" };
            (layers, if reversible { "reversible" } else { "all kept" })
        };
        let titles: Vec<_> = ways.iter().map(|way| heading(way.exact, way.reversible)).collect();
        let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.map(|cell| format!("{cell:>12}")).collect();
            writeln!(out, "  {name:22}{}", cells.join(" ").trim_end())
        };
        line("", &mut std::iter::empty())?;
        line("memory of a step", &mut titles.iter().map(|title| title.0.to_owned()))?;
        line("", &mut titles.iter().map(|title| title.1.to_owned()))?;
        let parts: Vec<Vec<(&str, usize)>> = ways.iter().map(|way| way.memory.parts().to_vec()).collect();
        for (i, &(name, _)) in parts[0].iter().enumerate() {
            if parts.iter().any(|way| way[i].1 > 0) {
                line(name, &mut parts.iter().map(|way| number::bytes(way[i].1)))?;
            }
        }
        line("total", &mut ways.iter().map(|way| number::bytes(way.total_bytes)))?;
        writeln!(
            out,
            "  Of working set and head piece the larger counts. A plain implementation of exact attention keeps {} of scores besides.",
            number::bytes(self.budget.score_matrix_bytes)
        )
    }

    fn advice(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let Some((limit, changes)) = &self.changes else { return Ok(()) };
        let (total, limit) = (self.budget.total_bytes(), *limit);
        let within = format!("{} GB ({})", limit as f64 / 1e9, number::bytes(limit));
        writeln!(out)?;
        if total <= limit {
            writeln!(out, "{BOLD}fits{PLAIN} into {within} with {} to spare", number::bytes(limit - total))?;
            return Ok(());
        }
        writeln!(
            out,
            "{BOLD}does not fit{PLAIN} into {within}: {} too much. Each on top of the one before:",
            number::bytes(total - limit)
        )?;
        let mut known: &[(String, String)] = &[];
        for change in changes {
            let new = change.sets.iter().filter(|set| !known.contains(set));
            let flags: Vec<String> = new.map(|(key, value)| format!("--set {key}={value}")).collect();
            let verdict = if change.fits { ", fits" } else { "" };
            writeln!(
                out,
                "  {}\n    {}: {}{verdict}",
                flags.join(" "),
                change.meaning,
                number::bytes(change.total_bytes)
            )?;
            known = &change.sets;
        }
        if !changes.last().is_some_and(|change| change.fits) {
            let MemoryEstimate { process, parameters, .. } = self.budget.ways[0].memory;
            writeln!(
                out,
                "  and still it does not: parameters and process alone take {}; make the model smaller (hidden_size, layers, vocab_size)",
                number::bytes(process + parameters)
            )?;
        }
        Ok(())
    }
}

/// `1.2 M`, `51.3 T`.
fn operations(n: f64) -> String {
    let (unit, scale) = match n {
        n if n >= 1e15 => ("P", 1e15),
        n if n >= 1e12 => ("T", 1e12),
        n if n >= 1e9 => ("G", 1e9),
        _ => ("M", 1e6),
    };
    format!("{:.1} {unit}FLOP", n / scale)
}
