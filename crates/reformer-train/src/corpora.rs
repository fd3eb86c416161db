//! From a recipe's names to dialogues or images, and a tokenizer.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use reformer_text::lookups::compact;
use reformer_text::{Dialogue, Tokenizer, demo, read_dialogues};

use crate::error::TrainError;
use crate::recipe::{DEMO_CORPUS, HOLD_OUT, Recipe, TokenizerKind};

mod hold_out;
mod images;

pub(crate) use images::Pictures;
pub use images::{held_out_images, images_for, levels};

/// Which part of the built-in corpus is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Train,
    /// Held out, to measure on.
    Valid,
}

/// The dialogues of a corpus by its name in a recipe or on a command line: a path, or `demo`, whose two parts come from
/// different seeds, so that the one to measure on is never what was learned.
pub fn read(name: &str, part: Part) -> Result<Vec<Dialogue>, TrainError> {
    match (name, part) {
        (DEMO_CORPUS, Part::Train) => Ok(demo::split().0),
        (DEMO_CORPUS, Part::Valid) => Ok(demo::split().1),
        (path, _) => Ok(read_dialogues(Path::new(path), None)?),
    }
}

/// Training and validation dialogues.
#[derive(Debug)]
pub struct Corpora {
    /// To learn from.
    pub train: Vec<Dialogue>,
    /// To measure on.
    pub valid: Vec<Dialogue>,
}

impl Corpora {
    /// Reads or makes what the recipe names.
    pub fn load(recipe: &Recipe) -> Result<Self, TrainError> {
        let train = read(&recipe.data, Part::Train)?;
        if recipe.valid != HOLD_OUT {
            return Ok(Self { train, valid: read(&recipe.valid, Part::Valid)? });
        }
        let (train, valid) = hold_out::hold_out(train, &recipe.data)?;
        Ok(Self { train, valid })
    }

    /// The recipe's tokenizer; a BPE one learns from the training dialogues, and gives up soon after `stop` is raised.
    pub fn tokenizer(&self, recipe: &Recipe, stop: &AtomicBool) -> Result<Tokenizer, TrainError> {
        if let Some(path) = &recipe.tokenizer.path {
            return Ok(Tokenizer::load(folder_of(Path::new(path)))?);
        }
        let mut tokenizer = match recipe.tokenizer.kind {
            TokenizerKind::Bytes => Tokenizer::bytes(),
            TokenizerKind::Pixels => return Err(TrainError::NoImages),
            TokenizerKind::Bpe => {
                let size = recipe.tokenizer.vocab_size;
                let specials = compact::specials(&self.train);
                let texts: Vec<Cow<'_, str>> = if specials.is_empty() {
                    let turns = self.train.iter().flat_map(|dialogue| &dialogue.turns);
                    turns.map(|turn| turn.text.as_str().into()).collect()
                } else {
                    compact::texts(&self.train).into_iter().map(Cow::Owned).collect()
                };
                if recipe.tokenizer.lowercase {
                    let lower = texts.iter().map(|text| text.to_lowercase());
                    Tokenizer::train_bpe_until(lower, &specials, size, stop)?.reading_lower_case()?
                } else {
                    Tokenizer::train_bpe_until(texts, &specials, size, stop)?
                }
            }
        };
        tokenizer.set_form(recipe.packing.form);
        Ok(tokenizer)
    }
}

/// A tokenizer is a directory; its `tokenizer.json` may be named instead.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if path.is_file() => folder,
        _ => path,
    }
}
