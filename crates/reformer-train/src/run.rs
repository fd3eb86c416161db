//! A run: the trainer over a directory, with events, checkpoints, evaluations, stopping and resuming.
//!
//! ```text
//! runs/<name>/recipe.toml       resolved        metrics.jsonl, train.log    see journal
//!             checkpoints/      see checkpoint
//! ```
//!
//! A step that is due for an evaluation or a sample is saved first: nothing that can fail stands between the work and
//! the disk. The clock, the events' reader, the sampler and the wish to stop are arguments.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use reformer_model::Model;
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;

use crate::checkpoint::{self, Checkpoints, TrainingState};
use crate::corpora::Corpora;
use crate::error::TrainError;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_corpus};
use crate::event::Event;
use crate::journal::Journal;
use crate::packing::{Corpus, Packer, Weighting};
use crate::recipe::{ModelTokens, Recipe};
use crate::trainer::Trainer;

/// The resolved recipe's name in a run directory.
pub const RECIPE: &str = "recipe.toml";

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At step 0, in a directory that holds no run.
    Fresh,
    /// At step 0, throwing a run in the directory away.
    Overwrite,
    /// At the newest complete checkpoint.
    Newest,
    /// At this checkpoint: the newest of the directory's own run, or one of another run to begin a directory with.
    From(PathBuf),
}

/// What to train and where.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The recipe.
    pub recipe: Recipe,
    /// The run directory.
    pub out: PathBuf,
    /// Where to begin.
    pub resume: Resume,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

/// What a sampler is given: model, tokenizer, and the recipe's prompts; it gives one text a prompt.
pub type Sampler<'a> = &'a mut dyn FnMut(&Cpu, &Model, &Tokenizer, &[String]) -> Vec<String>;

/// What the run is told from outside.
pub struct Surroundings<'a> {
    /// Seconds from any beginning; only differences are used.
    pub clock: &'a dyn Fn() -> f64,
    /// Is told every event.
    pub events: &'a mut dyn FnMut(&Event),
    /// Writes the samples, if somebody can.
    pub sampler: Option<Sampler<'a>>,
    /// Set to save and stop after the step at hand.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished {
        /// The last checkpoint.
        checkpoint: PathBuf,
        /// The best evaluation.
        best: Option<EvalReport>,
    },
    /// Stopped by wish; resuming continues exactly here.
    Interrupted {
        /// The checkpoint that was saved.
        checkpoint: PathBuf,
        /// Its step.
        step: u64,
    },
}

/// Trains; see the module's documentation.
pub fn train(options: TrainOptions, around: Surroundings<'_>) -> Result<Outcome, TrainError> {
    let checkpoints = Checkpoints::of(&options.out);
    let from = beginning(&options, &checkpoints)?;
    let mut run = Run::begin(options, checkpoints, from, around)?;
    let outcome = run.go();
    // Whatever ended the run early, the message names what is left to continue from.
    outcome.map_err(|error| match error {
        TrainError::NonFinite { step, what, place, .. } => {
            TrainError::NonFinite { step, what, place, kept: run.checkpoints.newest() }
        }
        other => other,
    })
}

/// The checkpoint to begin at, if any.
fn beginning(options: &TrainOptions, checkpoints: &Checkpoints) -> Result<Option<PathBuf>, TrainError> {
    let found = match &options.resume {
        Resume::Fresh if checkpoints.newest().is_some() => {
            return Err(TrainError::Occupied(options.out.clone()));
        }
        Resume::Fresh => None,
        Resume::Overwrite => {
            checkpoints.clear()?;
            None
        }
        Resume::Newest => {
            Some(checkpoints.newest().ok_or_else(|| TrainError::NoCheckpoint(options.out.clone()))?)
        }
        Resume::From(path) => Some(branch(path, &options.out, checkpoints)?),
    };
    fs::create_dir_all(&options.out).map_err(|error| TrainError::Save {
        path: options.out.clone(),
        problem: error.to_string(),
        kept: None,
    })?;
    checkpoints.prepare()?;
    Ok(found)
}

/// A named checkpoint to begin at: its own run's newest, or one of another run to begin a new directory with. Going
/// back inside a run would leave checkpoints of two pasts side by side.
fn branch(path: &Path, out: &Path, checkpoints: &Checkpoints) -> Result<PathBuf, TrainError> {
    let path = path.canonicalize().map_err(|_| TrainError::NoCheckpoint(path.to_owned()))?;
    match checkpoints.newest().and_then(|newest| newest.canonicalize().ok()) {
        None => Ok(path),
        Some(newest) if newest == path => Ok(path),
        Some(newest) if newest.parent() == path.parent() => Err(TrainError::NotNewest { path, newest }),
        Some(_) => Err(TrainError::Occupied(out.to_owned())),
    }
}

/// The recipe of a run directory with overrides laid over it: what `--resume` continues with.
pub fn recipe_of_run(run: &Path, sets: &[(String, String)]) -> Result<Recipe, TrainError> {
    Ok(Recipe::load(&run.join(RECIPE), sets)?)
}

/// Everything that is ready before the first step.
pub(crate) struct Prepared {
    pub(crate) trainer: Trainer,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) valid: Corpus,
    pub(crate) opening: u32,
}

/// Reads the corpora and builds, or loads from a checkpoint, tokenizer and model.
pub(crate) fn prepare(recipe: &Recipe, threads: usize, from: Option<&Path>) -> Result<Prepared, TrainError> {
    let cpu = Cpu::new(threads)
        .map_err(|error| TrainError::Threads { count: threads, reason: error.to_string() })?
        .with_precision(recipe.dtype);
    let corpora = Corpora::load(recipe)?;
    let tokenizer = match from {
        Some(path) => Tokenizer::load(path)?,
        None => corpora.tokenizer(recipe)?,
    };
    let form = recipe.packing.form;
    let corpus =
        Corpus::encode(&tokenizer, &corpora.train, form, Weighting::of(&recipe.packing), "training")?;
    let valid = Corpus::encode(&tokenizer, &corpora.valid, form, Weighting::ALL, "validation")?;
    let (end, pad) = (tokenizer.end_token(), tokenizer.pad_token());
    let model = if let Some(path) = from {
        Model::load(path)?
    } else {
        let tokens = ModelTokens { vocab_size: tokenizer.vocab_size(), pad, end };
        Model::new(recipe.model.config(tokens, recipe.seed)?, recipe.seed)
    };
    let opening = end.unwrap_or(pad);
    let packer = Packer::new(corpus, recipe, opening, pad);
    packer.check()?;
    Ok(Prepared { trainer: Trainer::new(cpu, model, packer, recipe), tokenizer, valid, opening })
}

struct Run<'a> {
    recipe: Recipe,
    checkpoints: Checkpoints,
    prepared: Prepared,
    journal: Journal,
    around: Surroundings<'a>,
    state: TrainingState,
    /// Seconds of earlier sessions, and the clock at this one's first step.
    clock: (f64, f64),
    /// The newest checkpoint's step, so that no step is saved twice.
    saved: Option<u64>,
}

impl<'a> Run<'a> {
    fn begin(
        options: TrainOptions,
        checkpoints: Checkpoints,
        from: Option<PathBuf>,
        around: Surroundings<'a>,
    ) -> Result<Self, TrainError> {
        let TrainOptions { recipe, out, threads, .. } = options;
        let text = recipe.to_toml();
        let mut state = match &from {
            Some(path) => checkpoint::read_state(path)?,
            None => TrainingState { step: 0, tokens: 0, seconds: 0.0, recipe: text.clone() },
        };
        let changed = if from.is_some() { changes(&state.recipe, &recipe)? } else { Vec::new() };
        let mut prepared = prepare(&recipe, threads, from.as_deref())?;
        if let Some(path) = &from {
            checkpoint::read_moments(path, prepared.trainer.optimizer_mut())?;
            prepared.trainer.continue_after(state.step);
        }
        state.recipe.clone_from(&text);
        checkpoint::write_whole(&out.join(RECIPE), text.as_bytes())?;

        let evaluated = from.as_deref().and_then(checkpoint::read_eval);
        let (step, known) = (state.step, evaluated.is_some());
        let past = move |line: &serde_json::Value| {
            let at = line["step"].as_u64();
            let kind = line["event"].as_str().unwrap_or_default();
            // What happens after a save at its step happens again, unless the checkpoint remembers it.
            at.is_some_and(|at| at < step)
                || (at == Some(step) && (matches!(kind, "step" | "saved") || (kind == "eval" && known)))
        };
        let keep: Option<&dyn Fn(&serde_json::Value) -> bool> =
            if from.is_some() { Some(&past) } else { None };
        let journal = Journal::open(&out, recipe.log_every, keep)?;
        let clock = (state.seconds, (around.clock)());
        // A run that branches off another has nothing of its own saved yet.
        let saved = checkpoints.newest().and(from.as_ref()).map(|_| state.step);
        let mut run = Self { recipe, checkpoints, prepared, journal, around, state, clock, saved };
        run.emit(Event::Start {
            step,
            steps: run.recipe.steps,
            parameters: run.prepared.trainer.model().parameters().count(),
            vocab_size: run.prepared.tokenizer.vocab_size(),
            dialogues: run.prepared.trainer.packer().corpus().dialogues(),
            epoch_tokens: run.prepared.trainer.packer().corpus().len(),
            valid_tokens: run.prepared.valid.len(),
            tokens_per_step: run.recipe.tokens_per_step(),
            threads,
        })?;
        let (wanted, used) = (run.recipe.dtype, run.prepared.trainer.cpu().precision());
        if wanted != used {
            let message = format!("this processor has no {wanted} products: computing in {used}");
            run.emit(Event::Warning { step, message })?;
        }
        for key in changed {
            let message =
                format!("{key} changed since the checkpoint: the run continues, but not bit for bit");
            run.emit(Event::Warning { step, message })?;
        }
        Ok(run)
    }

    fn go(&mut self) -> Result<Outcome, TrainError> {
        // A run that was stopped between saving and evaluating a step owes the evaluation.
        let owed = self.saved.is_some_and(|step| self.eval_due(step))
            && self.checkpoints.newest().is_some_and(|path| checkpoint::read_eval(&path).is_none());
        if owed && !self.evaluate()? {
            return self.interrupt();
        }
        while self.state.step < self.recipe.steps {
            if self.stopping() {
                return self.interrupt();
            }
            self.step()?;
            let step = self.state.step;
            let sample =
                self.recipe.sample_every > 0 && due(step, self.recipe.sample_every, self.recipe.steps);
            if self.eval_due(step) || sample || due(step, self.recipe.save_every, self.recipe.steps) {
                self.save()?;
            }
            if self.eval_due(step) && !self.evaluate()? {
                return self.interrupt();
            }
            if sample {
                self.sample()?;
            }
            if self.saved == Some(step) {
                self.checkpoints.prune(self.recipe.keep)?;
            }
        }
        let checkpoint = self.save()?;
        let best = self.checkpoints.best();
        let done = Event::Done {
            step: self.state.step,
            seconds: self.seconds(),
            best_loss: best.map(|report| report.loss),
        };
        self.emit(done)?;
        Ok(Outcome::Finished { checkpoint, best })
    }

    fn step(&mut self) -> Result<(), TrainError> {
        let before = self.seconds();
        let report = self.prepared.trainer.step()?;
        let step = self.prepared.trainer.done();
        self.state.step = step;
        self.state.tokens += report.tokens as u64;
        let seconds = self.seconds();
        self.state.seconds = seconds;
        let per_epoch = self.prepared.trainer.packer().batches_per_epoch();
        self.emit(Event::Step {
            step,
            steps: self.recipe.steps,
            loss: report.loss.loss / report.loss.weight.max(f64::MIN_POSITIVE),
            accuracy: report.loss.correct / report.loss.weight.max(f64::MIN_POSITIVE),
            learning_rate: report.learning_rate,
            gradient_norm: report.gradient_norm,
            tokens: self.state.tokens,
            epoch: (step * self.recipe.accumulate as u64) as f64 / per_epoch,
            tokens_per_second: report.tokens as f64 / (seconds - before).max(1e-9),
            seconds,
        })
    }

    fn save(&mut self) -> Result<PathBuf, TrainError> {
        if self.saved == Some(self.state.step)
            && let Some(path) = self.checkpoints.newest()
        {
            return Ok(path);
        }
        self.prepared.trainer.check_parameters()?;
        let (model, optimizer) = self.prepared.trainer.model_and_optimizer();
        let path = self.checkpoints.save(&self.state, model, &self.prepared.tokenizer, optimizer)?;
        self.saved = Some(self.state.step);
        self.emit(Event::Saved { step: self.state.step, path: path.clone() })?;
        Ok(path)
    }

    /// Evaluates the saved step; false if the wish to stop came in between.
    fn evaluate(&mut self) -> Result<bool, TrainError> {
        // The same tokens every time, the last included: `best` compares the losses.
        let max_tokens = self.recipe.eval_tokens;
        let options =
            EvalOptions { rows: self.recipe.batch, max_tokens, ..EvalOptions::rows_of(self.recipe.length) };
        let Prepared { trainer, valid, opening, .. } = &self.prepared;
        let stop = self.around.stop;
        let mut proceed = |_| !stop.load(Ordering::Relaxed);
        let report =
            evaluate_corpus(trainer.cpu(), trainer.model(), valid, *opening, &options, &mut proceed)?;
        let Some(report) = report else { return Ok(false) };
        let step = self.state.step;
        let best = self.checkpoints.is_best(step, &report);
        // Into the metrics first: a kill in between repeats the evaluation and cuts the line, never loses it.
        self.emit(Event::Eval { step, report, best, seconds: self.seconds() })?;
        self.checkpoints.record_eval(step, &report, best)?;
        Ok(true)
    }

    fn sample(&mut self) -> Result<(), TrainError> {
        let Some(sampler) = &mut self.around.sampler else { return Ok(()) };
        let Prepared { trainer, tokenizer, .. } = &self.prepared;
        let texts = sampler(trainer.cpu(), trainer.model(), tokenizer, &self.recipe.sample_prompts);
        self.emit(Event::Sample { step: self.state.step, texts })
    }

    fn interrupt(&mut self) -> Result<Outcome, TrainError> {
        let checkpoint = self.save()?;
        let step = self.state.step;
        self.emit(Event::Interrupted { step, path: checkpoint.clone() })?;
        Ok(Outcome::Interrupted { checkpoint, step })
    }

    fn emit(&mut self, event: Event) -> Result<(), TrainError> {
        self.journal.write(&event)?;
        (self.around.events)(&event);
        Ok(())
    }

    fn eval_due(&self, step: u64) -> bool {
        due(step, self.recipe.eval_every, self.recipe.steps)
    }

    fn stopping(&self) -> bool {
        self.around.stop.load(Ordering::Relaxed)
    }

    fn seconds(&self) -> f64 {
        self.clock.0 + (self.around.clock)() - self.clock.1
    }
}

/// Whether something of this period is due: at its multiples, and at the last step.
fn due(step: u64, every: u64, steps: u64) -> bool {
    step == steps || (every > 0 && step > 0 && step.is_multiple_of(every))
}

/// Keys that differ from the checkpoint's recipe and make the continuation another run's; an error for those that make
/// it impossible.
fn changes(was: &str, now: &Recipe) -> Result<Vec<String>, TrainError> {
    let was = Recipe::parse(was, &[])?;
    let differing = |a: &toml::Table, b: &toml::Table| -> Vec<(String, String, String)> {
        let show =
            |value: Option<&toml::Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
        b.iter()
            .filter(|(key, value)| a.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), show(a.get(key)), value.to_string()))
            .collect()
    };
    let table = |recipe: &Recipe| recipe.to_toml().parse::<toml::Table>().expect("a resolved recipe is TOML");
    let (was, now) = (table(&was), table(now));
    for section in ["model", "tokenizer"] {
        let (Some(a), Some(b)) = (was[section].as_table(), now[section].as_table()) else { continue };
        // Rates may change between sessions; shapes cannot.
        let changed = differing(a, b).into_iter().find(|(key, ..)| !key.contains("dropout"));
        if let Some((key, was, now)) = changed {
            return Err(TrainError::Changed { key: format!("{section}.{key}"), was, now });
        }
    }
    let harmless = [
        "log_every",
        "eval_every",
        "eval_tokens",
        "save_every",
        "sample_every",
        "sample_prompts",
        "keep",
        "valid",
    ];
    let mut keys: Vec<String> = differing(&was, &now)
        .into_iter()
        .map(|(key, ..)| key)
        .filter(|key| !harmless.contains(&key.as_str()))
        .collect();
    keys.sort();
    Ok(keys)
}
