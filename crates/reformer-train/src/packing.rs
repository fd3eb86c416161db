//! Dialogues as token streams, and streams as training batches.
//!
//! **Joined** (`rows = "joined"`): every epoch shuffles the dialogues at the address (seed, epoch) and joins them end
//! to end; the epochs follow each other in one endless stream `s`, cut into rows without a gap:
//!
//! ```text
//! row r of length n:   targets = s[r·n .. (r+1)·n]        inputs = s[r·n − 1 .. (r+1)·n − 1]        s[−1] = <|end|>
//! ```
//!
//! so every token of the corpus is a target exactly once an epoch, and a row may hold the end of one epoch and the
//! beginning of the next. Of plain text a piece of `length` tokens counts as a dialogue here: read in order, a novel
//! would teach its chapters one after another. **By length bucket** (`rows = "buckets"`), the course's way: a row is one dialogue, padded
//! to the power of two that holds it, and a shorter bucket has more rows, so that each batch holds about the same
//! number of tokens. Dialogues longer than `length` continue in a row of their own, or are left out. Padding is
//! masked and weighs nothing.
//!
//! Batch `i` is a function of the corpus, the seed and `i` alone: resuming needs no loader state but the number.
//!
//! # Shapes
//! - [`Batch`]: `inputs`, `targets`, `weights`, `mask`: `[rows · len]`

mod buckets;
mod corpus;

use reformer_model::Batch;
use reformer_tensor::{Address, Purpose};
use reformer_text::Dialogue;

use crate::error::TrainError;
use crate::recipe::{Draw, Longer, Recipe, Rows};
use buckets::{Buckets, Cut};
pub use corpus::{Corpus, Fingerprint, Weighting};

/// Draws batches by number from a corpus.
#[derive(Debug)]
pub struct Packer {
    corpus: Corpus,
    rows: Rows,
    draw: Draw,
    buckets: Buckets,
    length: usize,
    batch: usize,
    seed: u64,
    /// The context of the stream's first token.
    opening: u32,
    pad: u32,
    /// The epoch at hand; a pure function of its number, kept because neighbours ask for the same one.
    epoch: Option<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    number: u64,
    order: Vec<u32>,
    /// Joined: where each dialogue of `order` starts in the epoch, and the epoch's end.
    starts: Vec<u64>,
    /// Buckets: the batches.
    batches: Vec<Vec<Cut>>,
}

impl Packer {
    /// A packer by the recipe's rows, length, batch and seed.
    pub fn new(corpus: Corpus, recipe: &Recipe, opening: u32, pad: u32) -> Self {
        let buckets = Buckets {
            length: recipe.length,
            batch: recipe.batch,
            shortest: recipe.packing.shortest,
            drop_longer: recipe.packing.longer == Longer::Drop,
        };
        Self {
            corpus,
            rows: recipe.packing.rows,
            draw: recipe.packing.draw,
            buckets,
            length: recipe.length,
            batch: recipe.batch,
            seed: recipe.seed,
            opening,
            pad,
            epoch: None,
        }
    }

    /// Fails where every dialogue is left out, so that there is no batch.
    pub fn check(&self) -> Result<(), TrainError> {
        if self.rows == Rows::Buckets && self.buckets.count(&self.corpus) == 0 {
            let (dialogues, length) = (self.corpus.dialogues(), self.buckets.length);
            return Err(TrainError::AllTooLong { dialogues, length });
        }
        Ok(())
    }

    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Batches of an epoch; a joined epoch need not end with a batch.
    pub fn batches_per_epoch(&self) -> f64 {
        match self.rows {
            Rows::Joined => self.corpus.len() as f64 / (self.batch * self.length) as f64,
            Rows::Buckets => self.buckets.count(&self.corpus) as f64,
        }
    }

    /// Batch number `index`, counted from 0 over all epochs.
    pub fn batch(&mut self, index: u64) -> Batch {
        match self.rows {
            Rows::Joined => self.joined(index),
            Rows::Buckets => self.bucketed(index),
        }
    }

    fn joined(&mut self, index: u64) -> Batch {
        let size = self.batch * self.length;
        let from = index * size as u64;
        // One token more than the targets: the context of the first.
        let mut tokens = Vec::with_capacity(size + 1);
        let mut weights = Vec::with_capacity(size + 1);
        if from == 0 {
            tokens.push(self.opening);
            weights.push(0.0);
        }
        let mut at = from.saturating_sub(1);
        while tokens.len() <= size {
            let wanted = size + 1 - tokens.len();
            let epoch = at / self.corpus.len() as u64;
            let offset = at % self.corpus.len() as u64;
            self.enter(epoch);
            let Some(epoch) = &self.epoch else { unreachable!("entered above") };
            let place = epoch.starts.partition_point(|&start| start <= offset) - 1;
            let (ids, loss) = self.corpus.dialogue(epoch.order[place] as usize);
            let skip = (offset - epoch.starts[place]) as usize;
            let taken = wanted.min(ids.len() - skip);
            tokens.extend_from_slice(&ids[skip..skip + taken]);
            weights.extend_from_slice(&loss[skip..skip + taken]);
            at += taken as u64;
        }
        Batch {
            rows: self.batch,
            len: self.length,
            inputs: tokens[..size].to_vec(),
            targets: tokens[1..].to_vec(),
            weights: weights[1..].to_vec(),
            mask: None,
        }
    }

    fn bucketed(&mut self, index: u64) -> Batch {
        let count = self.buckets.count(&self.corpus);
        self.enter(index / count);
        let Some(epoch) = &self.epoch else { unreachable!("entered above") };
        let cuts = &epoch.batches[(index % count) as usize];
        self.buckets.batch(&self.corpus, cuts, self.opening, self.pad)
    }

    /// Makes `number` the epoch at hand.
    fn enter(&mut self, number: u64) {
        if self.epoch.as_ref().is_some_and(|epoch| epoch.number == number) {
            return;
        }
        let order = match self.draw {
            Draw::Shuffle => self.order(number),
            Draw::Random => Vec::new(),
        };
        let mut epoch = Epoch { number, order, starts: Vec::new(), batches: Vec::new() };
        match self.rows {
            Rows::Joined => {
                let mut end = 0;
                for &dialogue in &epoch.order {
                    epoch.starts.push(end);
                    end += self.corpus.dialogue(dialogue as usize).0.len() as u64;
                }
            }
            Rows::Buckets => {
                epoch.batches = match self.draw {
                    Draw::Shuffle => self.buckets.plan(&self.corpus, &epoch.order),
                    Draw::Random => {
                        let count = self.buckets.count(&self.corpus) as usize;
                        self.buckets.fill_up(&self.corpus, count, self.draws(number))
                    }
                };
            }
        }
        self.epoch = Some(epoch);
    }

    /// Dialogues drawn at random at the address (seed, epoch), without end.
    fn draws(&self, epoch: u64) -> impl Iterator<Item = u32> + use<> {
        let address = Address { seed: self.seed, step: epoch, layer: 0, purpose: Purpose::Shuffle };
        let dialogues = self.corpus.dialogues() as u64;
        (0..).map(move |draw| ((u64::from(address.bits(draw)) * dialogues) >> 32) as u32)
    }

    /// The dialogues' order in an epoch: Fisher–Yates at the address (seed, epoch).
    fn order(&self, epoch: u64) -> Vec<u32> {
        let address = Address { seed: self.seed, step: epoch, layer: 0, purpose: Purpose::Shuffle };
        let mut order: Vec<u32> = (0..self.corpus.dialogues() as u32).collect();
        for last in (1..order.len()).rev() {
            // 32 random bits scaled to 0..=last; the bias is below one in a million for corpora of thousands.
            let pick = (u64::from(address.bits(last as u64)) * (last as u64 + 1)) >> 32;
            order.swap(last, pick as usize);
        }
        order
    }
}

/// Splits off every `every`-th dialogue: the training part and the held-out part.
pub fn hold_out(dialogues: Vec<Dialogue>, every: usize) -> (Vec<Dialogue>, Vec<Dialogue>) {
    let mut train = Vec::with_capacity(dialogues.len());
    let mut held = Vec::new();
    for (place, dialogue) in dialogues.into_iter().enumerate() {
        if place % every == every - 1 {
            held.push(dialogue);
        } else {
            train.push(dialogue);
        }
    }
    (train, held)
}

#[cfg(test)]
mod tests;
