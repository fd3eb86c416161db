//! What is ready before the first step: corpora, tokenizer, model, packer; every reason not to begin comes up here.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use reformer_model::Model;
use reformer_tensor::Cpu;
use reformer_text::{Tokenizer, is_plain_text};

use crate::checkpoint::Fingerprints;
use crate::corpora::{Corpora, Pictures, levels};
use crate::error::TrainError;
use crate::init::{InitReport, initialize};
use crate::packing::{Corpus, Packer, Weighting};
use crate::plan::{check_memory, planned_config};
use crate::recipe::{ModelTokens, Recipe, Rows, TokenizerKind};
use crate::trainer::Trainer;

/// Everything that is ready before the first step.
pub(crate) struct Prepared {
    pub(crate) trainer: Trainer,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) valid: Corpus,
    pub(crate) opening: u32,
    /// The recipe, what the corpus decides included.
    pub(crate) recipe: Recipe,
    /// What was taken of another model's weights, if it begins with them.
    pub(crate) initialized: Option<InitReport>,
}

impl Prepared {
    /// What the corpora are, to know them again.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        let train = self.trainer.packer().corpus().fingerprint();
        Fingerprints { train, valid: self.valid.fingerprint() }
    }
}

/// Reads the corpora and builds, or loads from a checkpoint, tokenizer and model; a model that is built begins with
/// what fits of the weights in `init`. `memory` is what the machine has in bytes, if that is known: a step that needs
/// more is refused by the formula, before anything is read. Gives up soon after `stop` is raised.
pub(crate) fn prepare(
    mut recipe: Recipe,
    threads: usize,
    memory: Option<usize>,
    from: Option<&Path>,
    init: Option<&Path>,
    stop: &AtomicBool,
) -> Result<Prepared, TrainError> {
    check_memory(&recipe, &planned_config(&recipe)?, memory)?;
    let cpu = Cpu::new(threads)
        .map_err(|error| TrainError::Threads { count: threads, reason: error.to_string() })?
        .with_precision(recipe.dtype);
    let Encoded { tokenizer, train: corpus, valid } = match recipe.tokenizer.kind {
        TokenizerKind::Pixels => images(&recipe, from)?,
        TokenizerKind::Bytes | TokenizerKind::Bpe => texts(&mut recipe, from, stop)?,
    };
    // The same tokens at every evaluation: `best` compares their losses.
    let valid = valid.beginning(recipe.eval_tokens, &tokenizer);
    let (end, pad) = (tokenizer.end_token(), tokenizer.pad_token());
    let opening = end.unwrap_or(pad);
    let packer = Packer::new(corpus, &recipe, opening, pad);
    packer.check()?;
    recipe.resolve_steps(packer.batches_per_epoch());
    let mut initialized = None;
    let model = if let Some(path) = from {
        Model::load(path)?
    } else {
        let tokens = ModelTokens { vocab_size: tokenizer.vocab_size(), pad, end };
        let config = recipe.model.config(tokens, recipe.seed)?;
        check_memory(&recipe, &config, memory)?;
        let mut model = Model::new(config, recipe.seed);
        if let Some(path) = init {
            initialized = Some(initialize(&mut model, &tokenizer, path)?);
        }
        model
    };
    let trainer = Trainer::new(cpu, model, packer, &recipe);
    Ok(Prepared { trainer, tokenizer, valid, opening, recipe, initialized })
}

/// What is learned and measured on, as tokens.
struct Encoded {
    tokenizer: Tokenizer,
    train: Corpus,
    valid: Corpus,
}

fn texts(recipe: &mut Recipe, from: Option<&Path>, stop: &AtomicBool) -> Result<Encoded, TrainError> {
    let corpora = Corpora::load(recipe)?;
    let plain = is_plain_text(&corpora.train);
    if plain {
        recipe.tells(corpora.valid.first().map_or("", |text| &text.turns[0].text));
    }
    let tokenizer = match from {
        Some(path) => Tokenizer::load(path)?,
        None => corpora.tokenizer(recipe, stop)?,
    };
    let (form, weighting) = (recipe.packing.form, Weighting::of(&recipe.packing));
    let mut train = Corpus::encode_until(&tokenizer, &corpora.train, form, weighting, "training", stop)?;
    if plain && recipe.packing.rows == Rows::Joined {
        train = train.in_pieces(recipe.length);
    }
    let valid = Corpus::encode_until(&tokenizer, &corpora.valid, form, Weighting::ALL, "validation", stop)?;
    Ok(Encoded { tokenizer, train, valid })
}

fn images(recipe: &Recipe, from: Option<&Path>) -> Result<Encoded, TrainError> {
    let pictures = Pictures::load(recipe)?;
    let raster = pictures.raster(recipe)?;
    let tokenizer = match from {
        Some(path) => Tokenizer::load(path)?,
        None => Tokenizer::pixels(raster),
    };
    match tokenizer.raster() {
        Some(was) if was != raster => return Err(TrainError::OtherRaster { was, is: raster }),
        Some(_) => {}
        None => return Err(TrainError::NoImages),
    }
    let encode = |images| Corpus::of_images(images, levels(raster));
    let [train, valid] = [&pictures.train, &pictures.valid].map(encode);
    Ok(Encoded { tokenizer, train, valid })
}
