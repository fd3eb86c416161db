//! A training recipe: a TOML file whose few keys that vary come first, checked once into a type that cannot be wrong.
//!
//! ```toml
//! data = "train.jsonl.gz"      # dialogues; "demo" is the built-in corpus
//! valid = "valid.jsonl.gz"     # or "hold-out": every 50th dialogue of `data`
//! length = 2048                # tokens of a row
//! batch = 4                    # rows of a step
//! steps = 2000                 # or epochs = 3
//! learning_rate = 1e-3
//! seed = 1
//! dtype = "f32"                # "bf16": products of bf16 operands, half the time where the processor has them
//!
//! [model]                      # see ModelRecipe
//! [tokenizer]                  # kind = "bpe" | "bytes", vocab_size
//! [packing]                    # form, rows, draw, longer, shortest, loss_on
//! [optimizer]                  # kind = "adamw" | "adafactor", betas, weight decay, clipping
//! [schedule]                   # kind = "constant" | "warmup_rsqrt" | "cosine", warmup
//! ```
//!
//! Every key has a default. An unknown key, a wrong type and an illegal value are errors that name the key, where it
//! stands and what to write; `--set section.key=value` goes through the same checks. [`Recipe::to_toml`] writes
//! every key resolved, and parsing that gives the same recipe again.

mod document;
mod error;
mod keys;
mod model;
mod sections;

use std::path::Path;

use reformer_tensor::Precision;
use reformer_text::Form;
use serde::Serialize;

use document::Document;
pub use error::RecipeError;
pub use model::{ModelRecipe, ModelTokens, Positions};
pub use sections::{
    ClipBy, Draw, Longer, LossOn, OptimizerKind, OptimizerRecipe, PackingRecipe, Rows, ScheduleKind,
    ScheduleRecipe, TokenizerKind, TokenizerRecipe,
};

/// The built-in corpus's name in a recipe.
pub const DEMO_CORPUS: &str = "demo";
/// The name that holds a part of the training corpus out for validation.
pub const HOLD_OUT: &str = "hold-out";

/// The recipe behind `--demo`, a file of the repository.
const DEMO: &str = include_str!("../../../recipes/demo.toml");

/// What samples answer where nobody says.
const SAMPLE_PROMPT: &str = "i need a cheap restaurant in the centre.";

/// Tokens of a step at most: more fit on no machine, and their number must not overflow.
const MOST_TOKENS: u128 = 1 << 40;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// A checked recipe; every field is legal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// The training corpus: a path, or `demo` for the built-in one.
    pub data: String,
    /// The validation corpus: a path, `demo`, or `hold-out` for every 50th training dialogue.
    pub valid: String,
    /// Tokens of a row.
    pub length: usize,
    /// Rows of a forward and backward pass.
    pub batch: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Passes over the corpus instead of `steps`, 0 = by steps; resolved to steps when the corpus is read.
    #[serde(skip_serializing_if = "is_zero")]
    pub epochs: f64,
    /// Whether the warm-up's default waits for the number of steps.
    #[serde(skip)]
    pub warmup_by_steps: bool,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Seed of every random number of the run.
    pub seed: u64,
    /// Number type of the products' operands.
    #[serde(serialize_with = "sections::write_precision")]
    pub dtype: Precision,
    /// Number type in which the streams' gradients are kept; bf16 takes a quarter off a long row's memory.
    #[serde(serialize_with = "sections::write_precision")]
    pub gradient_streams: Precision,
    /// Forward and backward passes of an optimizer step.
    pub accumulate: usize,
    /// Steps between step events in the metrics file.
    pub log_every: u64,
    /// Steps between evaluations, 0 = only at the end.
    pub eval_every: u64,
    /// Validation tokens of an evaluation, whole dialogues, always the same first ones; 0 = all.
    pub eval_tokens: usize,
    /// Steps between checkpoints, 0 = only at evaluations and the end.
    pub save_every: u64,
    /// Steps between samples, 0 = never.
    pub sample_every: u64,
    /// What the samples answer.
    pub sample_prompts: Vec<String>,
    /// Checkpoints kept beside the best and the last.
    pub keep: usize,
    /// The model's shape.
    pub model: ModelRecipe,
    /// How text becomes tokens.
    pub tokenizer: TokenizerRecipe,
    /// How dialogues become rows.
    pub packing: PackingRecipe,
    /// How gradients become updates.
    pub optimizer: OptimizerRecipe,
    /// The learning rate's course.
    pub schedule: ScheduleRecipe,
}

impl Recipe {
    /// Parses and checks a recipe with overrides laid over it.
    pub fn parse(text: &str, sets: &[(String, String)]) -> Result<Self, RecipeError> {
        let mut doc = Document::parse(text, sets)?;
        let recipe = Self::read(&mut doc)?;
        doc.finish()?;
        Ok(recipe)
    }

    fn read(doc: &mut Document) -> Result<Self, RecipeError> {
        let data = doc.text("data", "demo")?;
        if data.trim().is_empty() {
            return Err(doc.illegal("data", "got an empty text", "name a file of dialogues, or \"demo\""));
        }
        let valid = doc.text("valid", if data == "demo" { "demo" } else { "hold-out" })?;
        let length = doc.size("length", 2048, 1)?;
        let steps = doc.count("steps", 1000, 1)?;
        let mut epochs = doc.number("epochs", 0.0, 0.0, 1e9)?;
        if epochs > 0.0 && doc.contradict("epochs", "steps") {
            let is = format!("got {epochs}, beside steps = {steps}");
            return Err(doc.illegal("epochs", is, "a run ends after one or the other: remove one"));
        }
        if doc.is_set("steps") {
            epochs = 0.0;
        }
        let recipe = Self {
            epochs,
            warmup_by_steps: epochs > 0.0 && !doc.has("schedule.warmup"),
            data,
            valid,
            length,
            batch: doc.size("batch", 4, 1)?,
            steps,
            learning_rate: doc.number("learning_rate", 1e-3, 0.0, 1e3)?,
            seed: doc.count("seed", 1, 0)?,
            dtype: sections::read_precision(doc, "dtype")?,
            gradient_streams: sections::read_precision(doc, "gradient_streams")?,
            accumulate: doc.size("accumulate", 1, 1)?,
            log_every: doc.count("log_every", 1, 1)?,
            eval_every: doc.count("eval_every", 500, 0)?,
            eval_tokens: doc.size("eval_tokens", 65_536, 0)?,
            save_every: doc.count("save_every", 500, 0)?,
            sample_every: doc.count("sample_every", 500, 0)?,
            sample_prompts: doc.texts("sample_prompts", &[SAMPLE_PROMPT])?,
            keep: doc.size("keep", 2, 1)?,
            model: ModelRecipe::read(doc, length)?,
            tokenizer: TokenizerRecipe::read(doc)?,
            packing: PackingRecipe::read(doc)?,
            optimizer: OptimizerRecipe::read(doc)?,
            schedule: ScheduleRecipe::read(doc, steps)?,
        };
        let recipe = if recipe.tokenizer.kind == TokenizerKind::Pixels { recipe.shows() } else { recipe };
        if recipe.optimizer.in_backward && recipe.accumulate > 1 {
            let got = format!("got {} with optimizer.in_backward", recipe.accumulate);
            let then = "an update in the reverse pass cannot wait for another batch: write 1, or in_backward = false";
            return Err(doc.illegal("accumulate", &got, then));
        }
        if recipe.optimizer.clip_by == ClipBy::Group && !recipe.optimizer.in_backward {
            let then =
                "groups are clipped by themselves only with optimizer.in_backward = true; write \"global\"";
            return Err(doc.illegal("optimizer.clip_by", "got \"group\"", then));
        }
        let tokens = [recipe.length, recipe.batch, recipe.accumulate];
        if tokens.iter().fold(1, |all: u128, &n| all * n as u128) > MOST_TOKENS {
            let is = format!("got {} rows of {} tokens, {} times a step", tokens[1], tokens[0], tokens[2]);
            return Err(doc.illegal("batch", is, "lower batch, length or accumulate"));
        }
        Ok(recipe)
    }

    /// Reads a file. Corpora named in it are looked for beside it first, then from the current directory; corpora
    /// named by `sets` from the current directory only.
    pub fn load(path: &Path, sets: &[(String, String)]) -> Result<Self, RecipeError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RecipeError::Read { path: path.to_owned(), source })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let named = |problem| RecipeError::InFile { path: path.to_owned(), problem: Box::new(problem) };
        let mut recipe = Self::parse(text, sets).map_err(named)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (key, named) in recipe.paths() {
            let beside = folder.join(named.as_str());
            if !sets.iter().any(|(set, _)| set == key) && beside.exists() {
                *named = beside.to_string_lossy().into_owned();
            }
        }
        Ok(recipe)
    }

    /// Puts `folder`, the current one, before the relative paths that the recipe names: so they mean the same files
    /// wherever the run is resumed.
    #[must_use]
    pub fn at(mut self, folder: &Path) -> Self {
        for (_, named) in self.paths() {
            *named = folder.join(named.as_str()).to_string_lossy().into_owned();
        }
        self
    }

    /// The keys that name files, with what they name.
    fn paths(&mut self) -> Vec<(&'static str, &mut String)> {
        let mut paths = vec![("data", &mut self.data), ("valid", &mut self.valid)];
        paths.retain(|(_, named)| !matches!(named.as_str(), DEMO_CORPUS | HOLD_OUT));
        paths.extend(self.tokenizer.path.as_mut().map(|path| ("tokenizer.path", path)));
        paths
    }

    /// Makes this the recipe of a corpus in which nobody speaks: texts are written as they are, and samples continue
    /// the beginning of `held_out`, unless the recipe has prompts of its own.
    pub(crate) fn tells(&mut self, held_out: &str) {
        /// Characters of a prompt at most: about a line.
        const PROMPT: usize = 60;
        self.packing.form = Form::Text;
        if self.sample_prompts == [SAMPLE_PROMPT] {
            let line = held_out.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            self.sample_prompts = vec![line.trim().chars().take(PROMPT).collect()];
        }
    }

    /// Makes this the recipe of images: a row is one of them, and there is nothing to say between or about them.
    fn shows(mut self) -> Self {
        self.packing.form = Form::Text;
        self.packing.rows = Rows::Buckets;
        self.packing.loss_on = LossOn::All;
        self.sample_every = 0;
        self
    }

    /// Counts the steps of the recipe's epochs, now that the corpus is known: batches of an epoch need not be whole.
    pub(crate) fn resolve_steps(&mut self, batches_per_epoch: f64) {
        if self.epochs == 0.0 {
            return;
        }
        self.steps = ((self.epochs * batches_per_epoch / self.accumulate as f64).ceil() as u64).max(1);
        if self.warmup_by_steps {
            self.schedule.warmup = ScheduleRecipe::warmup_of(self.steps);
        }
        (self.epochs, self.warmup_by_steps) = (0.0, false);
    }

    /// Every key with its default and its meaning, as a page of Markdown: what `reformer recipe --explain` prints.
    pub fn explain() -> String {
        keys::explain()
    }

    /// The embedded default, `recipes/demo.toml`.
    pub fn demo(sets: &[(String, String)]) -> Result<Self, RecipeError> {
        Self::parse(DEMO, sets)
    }

    /// Every key with its resolved value.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe holds only numbers, texts, flags and lists of these")
    }

    /// Tokens of one optimizer step.
    pub fn tokens_per_step(&self) -> usize {
        self.length * self.batch * self.accumulate
    }
}
