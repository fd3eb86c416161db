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
/// Dialogues of the built-in corpus.
const DEMO_DIALOGUES: usize = 4000;
/// Dialogues of its validation part, from another seed.
const DEMO_VALID: usize = 200;
/// Seeds of the built-in corpus's parts: fixed, so that every run's figures are about the same text.
const DEMO_SEEDS: (u64, u64) = (1, 2);

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
        let read = |name: &str, (seed, count)| match name {
            DEMO => Ok(demo::dialogues(seed, count)),
            path => read_dialogues(Path::new(path), None),
        };
        let train = read(&recipe.data, (DEMO_SEEDS.0, DEMO_DIALOGUES))?;
        if recipe.valid != HOLD_OUT {
            return Ok(Self { train, valid: read(&recipe.valid, (DEMO_SEEDS.1, DEMO_VALID))? });
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
                let texts = self.train.iter().flat_map(|dialogue| &dialogue.turns).map(|turn| turn.text.as_str());
                Tokenizer::train_bpe(texts, recipe.tokenizer.vocab_size)?
            }
        };
        tokenizer.set_form(recipe.packing.form);
        Ok(tokenizer)
    }
}
