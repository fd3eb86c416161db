//! A run from its first step to its last, or to the wish to stop.
//!
//! A step that is due for an evaluation or a sample is saved first: nothing that can fail stands between the work and
//! the disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use reformer_tensor::simd::Level;
use reformer_text::Form;

use super::changes::changes;
use super::lock::Lock;
use super::options::{Outcome, RECIPE, Resume, Surroundings, TrainOptions};
use super::prepare::{Prepared, prepare};
use super::replaced;
use crate::checkpoint::{self, Checkpoints, Evaluated, TrainingState};
use crate::error::TrainError;
use crate::evaluate::{EvalOptions, evaluate_corpus};
use crate::event::Event;
use crate::journal::{Journal, METRICS};
use crate::recipe::Recipe;

/// A run in training.
pub(super) struct Session<'a, 'l> {
    run: PathBuf,
    recipe: Recipe,
    checkpoints: &'l Checkpoints,
    lock: &'l Lock,
    prepared: Prepared,
    journal: Journal,
    around: Surroundings<'a>,
    state: TrainingState,
    /// Seconds of earlier sessions, and the clock at this one's first step.
    clock: (f64, f64),
    /// The newest checkpoint's step, so that no step is saved twice.
    saved: Option<u64>,
}

impl<'a, 'l> Session<'a, 'l> {
    /// Checks everything that can be wrong, and then writes the first of the run.
    pub(super) fn begin(
        options: TrainOptions,
        checkpoints: &'l Checkpoints,
        lock: &'l mut Lock,
        from: Option<PathBuf>,
        around: Surroundings<'a>,
    ) -> Result<Self, TrainError> {
        let TrainOptions { recipe, out, threads, resume, memory, .. } = options;
        let past = from.as_deref().map(checkpoint::read_state).transpose()?;
        let mut warnings = Vec::new();
        let init = if let Resume::Init(path) = &resume { Some(path.as_path()) } else { None };
        let mut prepared = prepare(recipe, threads, memory, from.as_deref(), init, around.stop)?;
        let recipe = prepared.recipe.clone();
        if let Some(past) = &past {
            warnings.extend(changes(&past.recipe, &recipe)?.into_iter().map(|key| {
                format!("{key} changed since the checkpoint: the run continues, but not bit for bit")
            }));
        }
        let state = TrainingState {
            step: past.as_ref().map_or(0, |past| past.step),
            tokens: past.as_ref().map_or(0, |past| past.tokens),
            seconds: past.as_ref().map_or(0.0, |past| past.seconds),
            recipe: recipe.to_toml(),
            corpora: Some(prepared.fingerprints()),
            simd: Some(Level::description()),
        };
        let own = checkpoints.newest().is_some() && from.is_some();
        if let Some(path) = &from {
            checkpoint::read_moments(path, prepared.trainer.optimizer_mut())?;
            prepared.trainer.continue_after(state.step);
            if !own && state.step >= recipe.steps {
                let (step, steps) = (state.step, recipe.steps);
                return Err(TrainError::NothingLeft { path: path.clone(), step, steps });
            }
        }
        let used = prepared.trainer.cpu().precision();
        if recipe.dtype != used {
            warnings.push(format!("this processor has no {} products: computing in {used}", recipe.dtype));
        }
        if recipe.valid == recipe.data && recipe.data != crate::recipe::DEMO_CORPUS {
            warnings.push(format!(
                "validation measures the training corpus {} itself, which says nothing of other texts; name another with \
                 valid, or write valid = \"hold-out\"",
                recipe.data
            ));
        }
        if let Some(past) = &past {
            warnings.extend(differences(past, &state));
        }

        if resume == Resume::Overwrite && checkpoints.any() {
            replaced::set_aside(&out).map_err(|error| TrainError::saving(&out, &error))?;
        }
        checkpoints.prepare()?;
        if own {
            checkpoints.tidy(recipe.keep)?;
        }
        lock.begun();
        checkpoint::write_whole(&out.join(RECIPE), state.recipe.as_bytes())?;
        let (journal, told) = journal(&out, &recipe, from.as_deref(), state.step)?;
        if own && told + recipe.log_every <= state.step {
            warnings.push(format!(
                "{} ends at step {told}, before the checkpoint's {}: it was cut or removed, and what it held is lost",
                out.join(METRICS).display(),
                state.step
            ));
        }
        let clock = (state.seconds, (around.clock)());
        // A run that branches off another has nothing of its own saved yet.
        let saved = own.then_some(state.step);
        let mut session =
            Self { run: out, recipe, checkpoints, lock, prepared, journal, around, state, clock, saved };
        session.announce(threads, warnings)?;
        Ok(session)
    }

    fn announce(&mut self, threads: usize, warnings: Vec<String>) -> Result<(), TrainError> {
        let (step, corpus) = (self.state.step, self.prepared.trainer.packer().corpus());
        self.emit(Event::Start {
            step,
            steps: self.recipe.steps,
            parameters: self.prepared.trainer.model().parameters().count(),
            vocab_size: self.prepared.tokenizer.vocab_size(),
            dialogues: corpus.dialogues(),
            unit: match (corpus.apart(), self.recipe.packing.form) {
                (Some(_), _) => "images",
                (None, Form::Text) => "pieces of text",
                (None, _) => "dialogues",
            },
            epoch_tokens: corpus.len(),
            valid_tokens: self.prepared.valid.len(),
            tokens_per_step: self.recipe.tokens_per_step(),
            threads,
        })?;
        if let Some(report) = self.prepared.initialized.take() {
            self.emit(Event::Initialized { step, report })?;
        }
        warnings.into_iter().try_for_each(|message| self.emit(Event::Warning { step, message }))
    }

    /// Takes the steps that are left.
    pub(super) fn go(mut self) -> Result<Outcome, TrainError> {
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
        // Where the directory was there may be another one by now, which is not this run's to write to.
        if !self.lock.in_place() {
            return Err(TrainError::Moved { run: self.run.clone(), step: self.state.step });
        }
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
        let tokenizer = &self.prepared.tokenizer;
        let path = self.checkpoints.save(&self.state, model, tokenizer, optimizer, self.recipe.keep)?;
        self.saved = Some(self.state.step);
        // What this run overwrites has done its duty.
        replaced::forget(&self.run).map_err(|error| TrainError::saving(&self.run, &error))?;
        self.emit(Event::Saved { step: self.state.step, path: path.clone() })?;
        Ok(path)
    }

    /// Evaluates the saved step; false if the wish to stop came in between.
    fn evaluate(&mut self) -> Result<bool, TrainError> {
        let options = EvalOptions { rows: self.recipe.batch, ..EvalOptions::rows_of(self.recipe.length) };
        let Prepared { trainer, valid, opening, .. } = &self.prepared;
        let stop = self.around.stop;
        let mut proceed = |_| !stop.load(Ordering::Relaxed);
        let report =
            evaluate_corpus(trainer.cpu(), trainer.model(), valid, *opening, &options, &mut proceed)?;
        let Some(report) = report else { return Ok(false) };
        let step = self.state.step;
        let measured = Evaluated { report, corpus: Some(self.prepared.valid.fingerprint()) };
        let best = self.checkpoints.is_best(step, &measured);
        // Into the metrics first: a kill in between repeats the evaluation and cuts the line, never loses it.
        self.emit(Event::Eval { step, report, best, seconds: self.seconds() })?;
        self.checkpoints.record_eval(step, &measured, best)?;
        Ok(true)
    }

    fn sample(&mut self) -> Result<(), TrainError> {
        let Some(sampler) = &mut self.around.sampler else { return Ok(()) };
        let Prepared { trainer, tokenizer, .. } = &self.prepared;
        let texts = sampler(trainer.cpu(), trainer.model(), tokenizer, &self.recipe.sample_prompts);
        self.emit(Event::Sample { step: self.state.step, texts })
    }

    fn interrupt(&mut self) -> Result<Outcome, TrainError> {
        let step = self.state.step;
        if step == 0 {
            return Ok(Outcome::Interrupted { checkpoint: None, step });
        }
        let checkpoint = Some(self.save()?);
        if let Some(path) = checkpoint.clone() {
            self.emit(Event::Interrupted { step, path })?;
        }
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

/// What the checkpoint was made by and this session is not: the corpora, the processor.
fn differences(past: &TrainingState, now: &TrainingState) -> Vec<String> {
    let mut told = Vec::new();
    if let (Some(was), Some(is)) = (past.corpora, now.corpora) {
        if was.train != is.train {
            told.push(format!(
                "the training corpus is not the one of the checkpoint ({} then, {} now): the run continues, but not bit \
                 for bit",
                was.train, is.train
            ));
        }
        if was.valid != is.valid {
            told.push(format!(
                "the validation corpus is not the one of the checkpoint ({} then, {} now): losses before and after do \
                 not compare, and the best is found anew",
                was.valid, is.valid
            ));
        }
    }
    if let (Some(was), Some(is)) = (&past.simd, &now.simd)
        && was != is
    {
        told.push(format!(
            "the checkpoint was computed with other vector instructions ({was} then, {is} now): the run continues, but \
             not bit for bit"
        ));
    }
    told
}

/// The run's journal, cut back to the checkpoint's past, and the last step that it tells of.
fn journal(
    out: &Path,
    recipe: &Recipe,
    from: Option<&Path>,
    step: u64,
) -> Result<(Journal, u64), TrainError> {
    let known = from.and_then(checkpoint::read_eval).is_some();
    let past = move |line: &serde_json::Value| {
        let at = line["step"].as_u64();
        let kind = line["event"].as_str().unwrap_or_default();
        // What happens after a save at its step happens again, unless the checkpoint remembers it.
        at.is_some_and(|at| at < step)
            || (at == Some(step) && (matches!(kind, "step" | "saved") || (kind == "eval" && known)))
    };
    let keep: Option<&dyn Fn(&serde_json::Value) -> bool> = if from.is_some() { Some(&past) } else { None };
    Journal::open(out, recipe.log_every, keep)
}
