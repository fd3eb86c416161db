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
//! beginning of the next. **By length bucket** (`rows = "buckets"`), the course's way: a row is one dialogue, padded to
//! the power of two that holds it, and a shorter bucket has more rows, so that each batch holds about the same number
//! of tokens. Dialogues longer than `length` continue in a row of their own. Padding is masked and weighs nothing.
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

use crate::recipe::{Recipe, Rows};
use buckets::Cut;
pub use corpus::{Corpus, Weighting};

/// Draws batches by number from a corpus.
#[derive(Debug)]
pub struct Packer {
    corpus: Corpus,
    rows: Rows,
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
        Self {
            corpus,
            rows: recipe.packing.rows,
            length: recipe.length,
            batch: recipe.batch,
            seed: recipe.seed,
            opening,
            pad,
            epoch: None,
        }
    }

    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Batches of an epoch; a joined epoch need not end with a batch.
    pub fn batches_per_epoch(&self) -> f64 {
        match self.rows {
            Rows::Joined => self.corpus.len() as f64 / (self.batch * self.length) as f64,
            Rows::Buckets => buckets::count(&self.corpus, self.length, self.batch) as f64,
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
        let count = buckets::count(&self.corpus, self.length, self.batch);
        self.enter(index / count);
        let Some(epoch) = &self.epoch else { unreachable!("entered above") };
        let cuts = &epoch.batches[(index % count) as usize];
        buckets::fill(&self.corpus, cuts, self.length, self.opening, self.pad)
    }

    /// Makes `number` the epoch at hand.
    fn enter(&mut self, number: u64) {
        if self.epoch.as_ref().is_some_and(|epoch| epoch.number == number) {
            return;
        }
        let order = self.order(number);
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
                epoch.batches = buckets::plan(&self.corpus, &epoch.order, self.length, self.batch);
            }
        }
        self.epoch = Some(epoch);
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
