//! From a recipe's names to dialogues and a tokenizer.

use std::path::Path;

use reformer_text::{Dialogue, Tokenizer, demo, read_dialogues};

use crate::error::TrainError;
use crate::packing::hold_out;
use crate::recipe::{Recipe, TokenizerKind};

/// The built-in corpus's name in a recipe.
pub const DEMO: &str = "demo";
/// The name that holds dialogues of the training corpus out for validation.
pub const HOLD_OUT: &str = "hold-out";
/// Every how many-th dialogue is held out.
const HELD_EVERY: usize = 50;
/// Dialogues to train on, and to validate on.
type Parts = (Vec<Dialogue>, Vec<Dialogue>);

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
        // The demo's two parts come from different seeds, so that valid = "demo" is never what was learned.
        let read = |name: &str, part: fn(Parts) -> Vec<Dialogue>| match name {
            DEMO => Ok(part(demo::split())),
            path => read_dialogues(Path::new(path), None),
        };
        let train = read(&recipe.data, |parts| parts.0)?;
        if recipe.valid != HOLD_OUT {
            return Ok(Self { train, valid: read(&recipe.valid, |parts| parts.1)? });
        }
        // A corpus too small to give one dialogue up is measured on itself.
        if train.len() < HELD_EVERY {
            return Ok(Self { valid: train.clone(), train });
        }
        let (train, valid) = hold_out(train, HELD_EVERY);
        Ok(Self { train, valid })
    }

    /// The recipe's tokenizer; a BPE one learns from the training dialogues.
    pub fn tokenizer(&self, recipe: &Recipe) -> Result<Tokenizer, TrainError> {
        let mut tokenizer = match recipe.tokenizer.kind {
            TokenizerKind::Bytes => Tokenizer::bytes(),
            TokenizerKind::Bpe => {
                let texts =
                    self.train.iter().flat_map(|dialogue| &dialogue.turns).map(|turn| turn.text.as_str());
                Tokenizer::train_bpe(texts, recipe.tokenizer.vocab_size)?
            }
        };
        tokenizer.set_form(recipe.packing.form);
        Ok(tokenizer)
    }
}
