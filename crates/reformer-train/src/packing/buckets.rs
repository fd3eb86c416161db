//! Rows of one dialogue each, batched by length bucket (the course's `bucket_by_length`).
//!
//! Bucket `b` holds pieces of up to `b` tokens, for `b` the powers of two from `shortest` to below `length` and
//! `length` itself; a batch of it has `batch · length / b` rows. Pieces fill their buckets in the epoch's order, and
//! a full bucket is a batch; what is left at the epoch's end makes smaller ones, so every piece comes exactly once an
//! epoch. Where dialogues are drawn at random an epoch is as many batches, all of them full.

use std::collections::BTreeMap;

use reformer_model::Batch;

use super::Corpus;

/// A piece of a dialogue: tokens `from .. from + len` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    dialogue: u32,
    from: usize,
    len: usize,
}

/// Batches at work, by bucket.
type Open = BTreeMap<usize, Vec<Cut>>;

/// How pieces are put into buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets {
    /// The longest bucket.
    pub(super) length: usize,
    /// Rows of a batch of it.
    pub(super) batch: usize,
    /// The shortest bucket.
    pub(super) shortest: usize,
    /// Longer dialogues are left out instead of split.
    pub(super) drop_longer: bool,
}

impl Buckets {
    fn bucket(&self, len: usize) -> usize {
        len.next_power_of_two().max(self.shortest).min(self.length)
    }

    fn rows(&self, bucket: usize) -> usize {
        self.batch * (self.length / bucket).max(1)
    }

    fn cuts(&self, corpus: &Corpus, dialogue: u32) -> impl Iterator<Item = Cut> + use<> {
        let (total, length) = (corpus.dialogue(dialogue as usize).0.len(), self.length);
        let kept = if self.drop_longer && total > length { 0 } else { total };
        (0..kept).step_by(length).map(move |from| Cut { dialogue, from, len: length.min(kept - from) })
    }

    /// Batches of an epoch of all dialogues: it depends on the lengths only, not on the order. 0 if all are left out.
    pub(super) fn count(&self, corpus: &Corpus) -> u64 {
        let mut pieces = BTreeMap::new();
        for dialogue in 0..corpus.dialogues() as u32 {
            for cut in self.cuts(corpus, dialogue) {
                *pieces.entry(self.bucket(cut.len)).or_insert(0usize) += 1;
            }
        }
        pieces.iter().map(|(&bucket, pieces)| pieces.div_ceil(self.rows(bucket)) as u64).sum()
    }

    /// The batches of an epoch in this order of dialogues.
    pub(super) fn plan(&self, corpus: &Corpus, order: &[u32]) -> Vec<Vec<Cut>> {
        let mut open = Open::default();
        let mut batches: Vec<Vec<Cut>> =
            order.iter().flat_map(|&dialogue| self.put(corpus, dialogue, &mut open)).collect();
        batches.extend(open.into_values().filter(|left| !left.is_empty()));
        batches
    }

    /// Whole batches of dialogues as they are drawn, until there are `count`. Some dialogue must not be left out.
    pub(super) fn fill_up(
        &self,
        corpus: &Corpus,
        count: usize,
        draws: impl Iterator<Item = u32>,
    ) -> Vec<Vec<Cut>> {
        let mut open = Open::default();
        draws.flat_map(|dialogue| self.put(corpus, dialogue, &mut open)).take(count).collect()
    }

    /// Adds a dialogue to the batches at work; those that are full come out.
    fn put(&self, corpus: &Corpus, dialogue: u32, open: &mut Open) -> Vec<Vec<Cut>> {
        let mut full = Vec::new();
        for cut in self.cuts(corpus, dialogue) {
            let bucket = self.bucket(cut.len);
            let filling = open.entry(bucket).or_default();
            filling.push(cut);
            if filling.len() == self.rows(bucket) {
                full.push(std::mem::take(filling));
            }
        }
        full
    }

    /// One batch: a row a piece, padded to the bucket, the context of a dialogue's first token being `opening`.
    pub(super) fn batch(&self, corpus: &Corpus, cuts: &[Cut], opening: u32, pad: u32) -> Batch {
        let len = cuts.iter().map(|cut| self.bucket(cut.len)).max().unwrap_or(1);
        let size = cuts.len() * len;
        let mut inputs = vec![pad; size];
        let mut targets = vec![pad; size];
        let mut weights = vec![0.0; size];
        let mut mask = vec![false; size];
        for (row, cut) in cuts.iter().enumerate() {
            let (ids, loss) = corpus.dialogue(cut.dialogue as usize);
            let here = row * len..row * len + cut.len;
            let piece = cut.from..cut.from + cut.len;
            inputs[here.start] = if cut.from == 0 { opening } else { ids[cut.from - 1] };
            inputs[here.start + 1..here.end].copy_from_slice(&ids[cut.from..piece.end - 1]);
            targets[here.clone()].copy_from_slice(&ids[piece.clone()]);
            weights[here.clone()].copy_from_slice(&loss[piece]);
            mask[here].fill(true);
        }
        let mask = mask.contains(&false).then_some(mask);
        Batch { rows: cuts.len(), len, inputs, targets, weights, mask }
    }
}
