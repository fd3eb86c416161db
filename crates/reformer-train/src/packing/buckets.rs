//! Rows of one dialogue each, batched by length bucket (the course's `bucket_by_length`).
//!
//! Bucket `b` holds pieces of up to `b` tokens, for `b` the powers of two below `length` and `length` itself; a batch of
//! it has `batch · length / b` rows. Pieces fill their buckets in the epoch's order, and a full bucket is a batch;
//! what is left at the epoch's end makes smaller ones, so every piece comes exactly once an epoch.

use reformer_model::Batch;

use super::Corpus;

/// A piece of a dialogue: tokens `from .. from + len` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    dialogue: u32,
    from: usize,
    len: usize,
}

/// Shortest bucket: below it, padding costs less than another bucket's leftover batch.
const SHORTEST: usize = 32;

fn bucket(len: usize, length: usize) -> usize {
    len.next_power_of_two().max(SHORTEST).min(length)
}

fn rows(bucket: usize, length: usize, batch: usize) -> usize {
    batch * (length / bucket).max(1)
}

fn cuts(corpus: &Corpus, dialogue: u32, length: usize) -> impl Iterator<Item = Cut> {
    let total = corpus.dialogue(dialogue as usize).0.len();
    (0..total).step_by(length).map(move |from| Cut { dialogue, from, len: length.min(total - from) })
}

/// Batches of an epoch: it depends on the lengths only, not on the order.
pub(super) fn count(corpus: &Corpus, length: usize, batch: usize) -> u64 {
    let mut pieces = std::collections::BTreeMap::new();
    for dialogue in 0..corpus.dialogues() as u32 {
        for cut in cuts(corpus, dialogue, length) {
            *pieces.entry(bucket(cut.len, length)).or_insert(0usize) += 1;
        }
    }
    pieces.iter().map(|(&bucket, pieces)| pieces.div_ceil(rows(bucket, length, batch)) as u64).sum()
}

/// The batches of an epoch in this order of dialogues.
pub(super) fn plan(corpus: &Corpus, order: &[u32], length: usize, batch: usize) -> Vec<Vec<Cut>> {
    let mut open: std::collections::BTreeMap<usize, Vec<Cut>> = std::collections::BTreeMap::new();
    let mut batches = Vec::new();
    for &dialogue in order {
        for cut in cuts(corpus, dialogue, length) {
            let bucket = bucket(cut.len, length);
            let filling = open.entry(bucket).or_default();
            filling.push(cut);
            if filling.len() == rows(bucket, length, batch) {
                batches.push(std::mem::take(filling));
            }
        }
    }
    batches.extend(open.into_values().filter(|left| !left.is_empty()));
    batches
}

/// One batch: a row a piece, padded to the bucket, the context of a dialogue's first token being `opening`.
pub(super) fn fill(corpus: &Corpus, cuts: &[Cut], length: usize, opening: u32, pad: u32) -> Batch {
    let len = cuts.iter().map(|cut| bucket(cut.len, length)).max().unwrap_or(1);
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
