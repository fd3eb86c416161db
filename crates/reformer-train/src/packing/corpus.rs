//! A corpus as one array of tokens, with a loss weight beside each and the dialogues' starts.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use reformer_images::{Images, Levels};
use reformer_text::{Dialogue, Form, Part, Role, TextError, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::recipe::{LossOn, PackingRecipe};

/// Which tokens the loss counts, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighting {
    /// Which tokens count in full.
    pub loss_on: LossOn,
    /// The weight of the others.
    pub elsewhere: f32,
    /// The weight of the assistant's calls.
    pub calls: f32,
}

impl Weighting {
    /// Every token counts in full: what evaluations measure.
    pub const ALL: Self = Self { loss_on: LossOn::All, elsewhere: 0.0, calls: 1.0 };

    /// What a recipe asks for.
    pub fn of(recipe: &PackingRecipe) -> Self {
        Self {
            loss_on: recipe.loss_on,
            elsewhere: recipe.loss_elsewhere as f32,
            calls: recipe.loss_calls as f32,
        }
    }

    /// The token that ends a turn is its speaker's, so a model trained on the assistant alone learns to stop.
    /// What a tool answers is nobody's to learn.
    fn weigh(self, role: Role, part: Part) -> f32 {
        match self.loss_on {
            _ if part == Part::Result => 0.0,
            _ if part == Part::Call => self.calls,
            LossOn::All => 1.0,
            LossOn::Assistant if role == Role::Assistant => 1.0,
            LossOn::Assistant => self.elsewhere,
        }
    }
}

/// What a corpus is, in a few numbers: another corpus has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Dialogues that have tokens.
    pub dialogues: usize,
    /// Tokens.
    pub tokens: usize,
    /// CRC-32 of tokens, loss weights and the dialogues' starts.
    pub checksum: u32,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dialogues of {} tokens, checksum {:08x}", self.dialogues, self.tokens, self.checksum)
    }
}

/// Encoded dialogues; at least one token in all.
#[derive(Debug)]
pub struct Corpus {
    tokens: Vec<u32>,
    weights: Vec<f32>,
    /// The start of each dialogue, and the end of the last.
    starts: Vec<usize>,
    /// UTF-8 bytes of the texts before each dialogue, and of all.
    bytes: Vec<usize>,
    /// The token that stands for text which the vocabulary cannot write.
    unknown: Option<u32>,
    /// Tokens of each sequence, if nothing before a sequence says anything of it: an image does not go on in the next.
    apart: Option<usize>,
}

impl Corpus {
    /// Encodes every dialogue. `name` says in an error which corpus is empty.
    pub fn encode(
        tokenizer: &Tokenizer,
        dialogues: &[Dialogue],
        form: Form,
        weighting: Weighting,
        name: &str,
    ) -> Result<Self, TrainError> {
        Self::encode_until(tokenizer, dialogues, form, weighting, name, &AtomicBool::new(false))
    }

    /// The same, given up between two dialogues once `stop` is raised.
    pub fn encode_until(
        tokenizer: &Tokenizer,
        dialogues: &[Dialogue],
        form: Form,
        weighting: Weighting,
        name: &str,
        stop: &AtomicBool,
    ) -> Result<Self, TrainError> {
        let unknown = tokenizer.unknown_token();
        let mut corpus = Self {
            tokens: Vec::new(),
            weights: Vec::new(),
            starts: vec![0],
            bytes: vec![0],
            unknown,
            apart: None,
        };
        for dialogue in dialogues {
            if stop.load(Ordering::Relaxed) {
                return Err(TextError::Stopped.into());
            }
            let encoded = tokenizer.encode_dialogue(dialogue, form)?;
            if encoded.ids.is_empty() {
                continue;
            }
            let tokens = encoded.roles.iter().zip(&encoded.parts).zip(&encoded.learned);
            let weigh = |((&role, &part), &learned)| if learned { weighting.weigh(role, part) } else { 0.0 };
            corpus.weights.extend(tokens.map(weigh));
            corpus.tokens.extend_from_slice(&encoded.ids);
            corpus.starts.push(corpus.tokens.len());
            let bytes = corpus.bytes[corpus.bytes.len() - 1] + encoded.text_bytes;
            corpus.bytes.push(bytes);
        }
        if corpus.tokens.is_empty() {
            return Err(TrainError::EmptyCorpus { name: name.to_owned(), dialogues: dialogues.len() });
        }
        if corpus.weights.iter().all(|&weight| weight == 0.0) {
            return Err(TrainError::NothingToLearn { name: name.to_owned() });
        }
        Ok(corpus)
    }

    /// Images as sequences of their pixels' levels, line by line; a pixel counts as a byte.
    pub fn of_images(images: &Images, levels: Levels) -> Self {
        let each = images.size().pixels();
        let tokens: Vec<u32> = images.iter().flatten().map(|&shade| levels.level(shade)).collect();
        let starts: Vec<usize> = (0..=images.len()).map(|image| image * each).collect();
        Self {
            weights: vec![1.0; tokens.len()],
            tokens,
            bytes: starts.clone(),
            starts,
            unknown: None,
            apart: Some(each),
        }
    }

    /// Cuts texts of more than `length` tokens into pieces of that length, which are shuffled like texts of their own.
    /// Read in order, a novel teaches its chapters one after another, and each displaces the one before.
    #[must_use]
    pub fn in_pieces(mut self, length: usize) -> Self {
        let (starts, bytes) = (std::mem::take(&mut self.starts), std::mem::take(&mut self.bytes));
        (self.starts, self.bytes) = (vec![0], vec![0]);
        for (text, bytes) in starts.windows(2).zip(bytes.windows(2)) {
            // All bytes of a text are counted at its last piece.
            for cut in (text[0] + length..text[1]).step_by(length) {
                self.starts.push(cut);
                self.bytes.push(bytes[0]);
            }
            self.starts.push(text[1]);
            self.bytes.push(bytes[1]);
        }
        self
    }

    /// Tokens of each sequence, if sequences say nothing of each other: those of images.
    pub fn apart(&self) -> Option<usize> {
        self.apart
    }

    /// Tokens in all.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Never: an empty corpus is an error of [`Corpus::encode`].
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Dialogues that have tokens.
    pub fn dialogues(&self) -> usize {
        self.starts.len() - 1
    }

    /// Tokens that stand for text which the vocabulary cannot write.
    pub fn unknown(&self) -> usize {
        self.unknown.map_or(0, |unknown| self.tokens.iter().filter(|&&token| token == unknown).count())
    }

    /// UTF-8 bytes of the turns' texts.
    pub fn text_bytes(&self) -> usize {
        self.bytes[self.dialogues()]
    }

    /// The first `tokens` tokens (0 = all), which may end in the middle of a dialogue: a book is one. The bytes of
    /// the part are those that its tokens stand for.
    #[must_use]
    pub fn beginning(mut self, tokens: usize, tokenizer: &Tokenizer) -> Self {
        // Half an image is measured by nobody.
        let tokens = self.apart.filter(|_| tokens > 0).map_or(tokens, |each| tokens.next_multiple_of(each));
        if tokens == 0 || tokens >= self.len() {
            return self;
        }
        // The dialogue that holds the last token that stays.
        let last = self.starts.partition_point(|&start| start < tokens) - 1;
        let bytes = if tokens == self.starts[last + 1] {
            self.bytes[last + 1]
        } else {
            let part = &self.tokens[self.starts[last]..tokens];
            let stood_for: usize = part.iter().map(|&id| tokenizer.token_bytes(id).len()).sum();
            (self.bytes[last] + stood_for).min(self.bytes[last + 1])
        };
        self.tokens.truncate(tokens);
        self.weights.truncate(tokens);
        self.starts.truncate(last + 1);
        self.starts.push(tokens);
        self.bytes.truncate(last + 1);
        self.bytes.push(bytes);
        self
    }

    /// What this corpus is, to know it again.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(bytemuck::cast_slice(&self.tokens));
        checksum.update(bytemuck::cast_slice(&self.weights));
        checksum.update(bytemuck::cast_slice(&self.starts));
        Fingerprint { dialogues: self.dialogues(), tokens: self.len(), checksum: checksum.finalize() }
    }

    /// The loss weight of every token.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// All tokens, dialogue after dialogue in the file's order.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The tokens of a dialogue and their loss weights.
    pub fn dialogue(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.starts[index]..self.starts[index + 1];
        (&self.tokens[range.clone()], &self.weights[range])
    }
}
