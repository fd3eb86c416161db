//! Packing: every token once an epoch, rows without gaps, the same batch again at the same index.

use std::collections::BTreeMap;

use proptest::prelude::*;
use reformer_text::{Dialogue, Form, Tokenizer, Turn};

use super::*;

fn dialogues(lengths: &[usize]) -> Vec<Dialogue> {
    let dialogue = |(index, &length): (usize, &usize)| {
        let text: String = (0..length).map(|at| char::from(b'a' + ((index * 7 + at) % 26) as u8)).collect();
        Dialogue::new(index.to_string(), vec![Turn::user("hi"), Turn::assistant(text)])
    };
    lengths.iter().enumerate().map(dialogue).collect()
}

fn packer(lengths: &[usize], text: &str) -> Packer {
    let recipe = Recipe::parse(text, &[]).expect("a legal recipe");
    let tokenizer = Tokenizer::bytes();
    let weighting = Weighting::of(&recipe.packing);
    let corpus =
        Corpus::encode(&tokenizer, &dialogues(lengths), Form::Marks, weighting, "test").expect("not empty");
    Packer::new(corpus, &recipe, tokenizer.end_token().expect("bytes have one"), tokenizer.pad_token())
}

/// The dialogues that a stream of tokens is made of; each ends with `<|end|>`.
fn split(stream: &[u32], end: u32) -> BTreeMap<Vec<u32>, usize> {
    let mut found = BTreeMap::new();
    for dialogue in stream.split_inclusive(|&token| token == end) {
        *found.entry(dialogue.to_vec()).or_insert(0) += 1;
    }
    found
}

fn corpus_split(packer: &Packer) -> BTreeMap<Vec<u32>, usize> {
    split(packer.corpus().tokens(), packer.opening)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn joined_rows_hold_every_dialogue_once_an_epoch_without_gaps(
        lengths in prop::collection::vec(0usize..40, 1..8), length in 1usize..50, batch in 1usize..4, seed in 0u64..5,
    ) {
        let text = format!("length = {length}\nbatch = {batch}\nseed = {seed}");
        let mut packer = packer(&lengths, &text);
        let (tokens, end) = (packer.corpus().len(), packer.opening);
        let mut stream = Vec::new();
        let mut index = 0;
        while stream.len() < 2 * tokens {
            let batch = packer.batch(index);
            prop_assert!(batch.mask.is_none());
            prop_assert!(batch.weights.iter().all(|&weight| weight == 1.0));
            let before = stream.last().copied().unwrap_or(end);
            prop_assert_eq!(batch.inputs[0], before, "the context goes on across rows and batches");
            prop_assert_eq!(&batch.inputs[1..], &batch.targets[..batch.targets.len() - 1]);
            stream.extend(batch.targets);
            index += 1;
        }
        let wanted = corpus_split(&packer);
        prop_assert_eq!(split(&stream[..tokens], end), wanted.clone());
        prop_assert_eq!(split(&stream[tokens..2 * tokens], end), wanted);
    }

    #[test]
    fn buckets_hold_every_token_once_an_epoch_and_mask_the_padding(
        lengths in prop::collection::vec(0usize..90, 1..12), length in 1usize..70, batch in 1usize..3,
    ) {
        let text = format!("length = {length}\nbatch = {batch}\n[packing]\nrows = \"buckets\"");
        let mut packer = packer(&lengths, &text);
        for epoch in 0..2 {
            let count = packer.batches_per_epoch() as u64;
            let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
            for index in epoch * count..(epoch + 1) * count {
                let batch = packer.batch(index);
                prop_assert!(batch.len <= length);
                for at in 0..batch.targets.len() {
                    let real = batch.mask.as_ref().is_none_or(|mask| mask[at]);
                    prop_assert_eq!(batch.weights[at], if real { 1.0 } else { 0.0 });
                    if real {
                        *seen.entry(batch.targets[at]).or_insert(0) += 1;
                    }
                }
            }
            let mut wanted: BTreeMap<u32, usize> = BTreeMap::new();
            packer.corpus().tokens().iter().for_each(|&token| *wanted.entry(token).or_insert(0) += 1);
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn a_batch_depends_on_its_number_alone(order in Just(vec![5u64, 0, 9, 3, 5, 1]).prop_shuffle(), rows in 0..2) {
        let rows = ["joined", "buckets"][rows as usize];
        let text = format!("length = 16\nbatch = 2\n[packing]\nrows = \"{rows}\"");
        let lengths = [3, 30, 12, 7, 19];
        let mut forth = packer(&lengths, &text);
        for index in order {
            prop_assert_eq!(forth.batch(index), packer(&lengths, &text).batch(index));
        }
    }
}

#[test]
fn a_long_text_is_read_in_pieces_in_another_order_every_epoch_and_whole() {
    let text: String = (0..1000).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    let dialogues = [Dialogue::of_text("novel", text), Dialogue::of_text("note", "short")];
    let recipe = Recipe::parse("length = 64\nbatch = 1", &[]).expect("a legal recipe");
    let tokenizer = Tokenizer::bytes();
    let whole =
        Corpus::encode(&tokenizer, &dialogues, Form::Text, Weighting::ALL, "test").expect("not empty");
    let (tokens, bytes) = (whole.tokens().to_vec(), whole.text_bytes());
    let corpus = whole.in_pieces(64);
    // 1,001 tokens with the end are 15 pieces and a rest; the note is one.
    assert_eq!((corpus.dialogues(), corpus.text_bytes()), (17, bytes));
    assert!((0..15).all(|piece| corpus.dialogue(piece).0.len() == 64));
    let mut packer = Packer::new(corpus, &recipe, 1, 0);
    assert_ne!(packer.order(0), packer.order(1));
    let mut seen: Vec<u32> =
        (0..16).flat_map(|index| packer.batch(index).targets).take(tokens.len()).collect();
    let mut wanted = tokens;
    assert_ne!(seen, wanted, "not in order");
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
}

#[test]
fn epochs_and_seeds_shuffle_differently() {
    let lengths: Vec<usize> = (0..20).collect();
    let packer = |seed| packer(&lengths, &format!("seed = {seed}"));
    let (one, two) = (packer(1), packer(2));
    assert_ne!(one.order(0), one.order(1));
    assert_ne!(one.order(0), two.order(0));
    assert_eq!(one.order(3), packer(1).order(3));
    let mut sorted = one.order(0);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..20).collect::<Vec<u32>>());
}

#[test]
fn loss_on_the_assistant_counts_its_words_and_the_token_that_ends_them() {
    let mut packer =
        packer(&[3], "length = 9\nbatch = 1\n[packing]\nloss_on = \"assistant\"\nloss_elsewhere = 0.25");
    // <|user|> h i <|assistant|> a b c <|end|>, then the next epoch's <|user|>.
    let weights = packer.batch(0).weights;
    assert_eq!(weights, [0.25, 0.25, 0.25, 0.25, 1.0, 1.0, 1.0, 1.0, 0.25]);
}

#[test]
fn a_corpus_without_tokens_or_without_weight_is_an_error() {
    let encode = |dialogues: &[Dialogue], loss_on| {
        let weighting = Weighting { loss_on, elsewhere: 0.0, calls: 1.0 };
        Corpus::encode(&Tokenizer::bytes(), dialogues, Form::Course, weighting, "training")
            .map(|corpus| corpus.len())
            .map_err(|error| error.to_string())
    };
    let error = encode(&[], crate::recipe::LossOn::All).expect_err("empty");
    assert!(error.contains("the training corpus is empty"), "{error}");
    let user = [Dialogue::new("1", vec![Turn::user("hello")])];
    assert!(encode(&user, crate::recipe::LossOn::All).is_ok());
    let error = encode(&user, crate::recipe::LossOn::Assistant).expect_err("nothing to learn");
    assert!(error.contains("no assistant turn"), "{error}");
}

#[test]
fn a_beginning_has_as_many_tokens_as_asked_and_the_bytes_that_they_stand_for() {
    let tokenizer = Tokenizer::bytes();
    // A mark, the text, an end: 8, 9 and 10 tokens of 5, 6 and 7 bytes.
    let corpus = || {
        Corpus::encode(&tokenizer, &dialogues(&[3, 4, 5]), Form::Marks, Weighting::ALL, "test")
            .expect("not empty")
    };
    assert_eq!((corpus().len(), corpus().text_bytes()), (8 + 9 + 10, 5 + 6 + 7));
    for (asked, bytes) in [(1, 0), (4, 2), (8, 5), (9, 5), (17, 11), (27, 18), (0, 18), (99, 18)] {
        let part = corpus().beginning(asked, &tokenizer);
        let tokens = if asked == 0 { 27 } else { asked.min(27) };
        assert_eq!((part.len(), part.tokens().len()), (tokens, tokens), "{asked}");
        assert!(
            part.text_bytes().abs_diff(bytes) <= 2 && part.text_bytes() <= 18,
            "{asked}: {}",
            part.text_bytes()
        );
        assert_eq!(part.dialogues(), [8, 17, 27].iter().filter(|&&end| end < tokens).count() + 1, "{asked}");
    }
    assert_ne!(corpus().fingerprint(), corpus().beginning(26, &tokenizer).fingerprint());
    assert_eq!(corpus().fingerprint(), corpus().fingerprint());
}

#[test]
fn holding_out_splits_without_loss() {
    let (train, held) = hold_out(dialogues(&[1; 105]), 50);
    assert_eq!((train.len(), held.len()), (103, 2));
    assert_eq!(held[0].id, "49");
}

/// Eleven short dialogues and one that is longer than a row.
const LENGTHS: [usize; 12] = [3, 40, 9, 61, 25, 14, 2, 33, 90, 7, 18, 52];

#[test]
fn longer_dialogues_are_left_out_where_the_recipe_drops_them() {
    let text = "length = 64\nbatch = 1\n[packing]\nrows = \"buckets\"\nlonger = \"drop\"\nshortest = 16";
    let mut packer = packer(&LENGTHS, text);
    let wanted: usize = (0..12).map(|d| packer.corpus().dialogue(d).0.len()).filter(|&len| len <= 64).sum();
    assert!(wanted < packer.corpus().len(), "one is too long");
    let count = packer.batches_per_epoch() as u64;
    let mut seen = 0;
    for index in 0..count {
        let batch = packer.batch(index);
        assert!([16, 32, 64].contains(&batch.len) && batch.rows <= 64 / batch.len, "{}", batch.len);
        seen += batch.mask.map_or(batch.rows * batch.len, |mask| mask.iter().filter(|&&real| real).count());
    }
    assert_eq!(seen, wanted);
}

#[test]
fn dialogues_drawn_at_random_fill_every_batch_and_come_unequally_often() {
    let text = "length = 128\nbatch = 2\n[packing]\nrows = \"buckets\"\ndraw = \"random\"\nlonger = \"drop\"";
    let mut packer = packer(&LENGTHS, text);
    let mut starts: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for index in 0..40 {
        let batch = packer.batch(index);
        assert_eq!(batch.rows, 2 * 128 / batch.len, "full");
        for row in batch.targets.chunks(batch.len) {
            *starts.entry(row.iter().copied().take_while(|&id| id != packer.pad).collect()).or_default() += 1;
        }
    }
    assert_eq!(starts.len(), 12, "each is drawn some time");
    let counts: Vec<usize> = starts.into_values().collect();
    assert!(counts.iter().max() > counts.iter().min(), "{counts:?}");
    assert_eq!(
        packer.batch(17),
        self::packer(&LENGTHS, text).batch(17),
        "a function of the seed and the number"
    );
}

#[test]
fn a_corpus_of_which_every_dialogue_is_left_out_is_refused() {
    let text = "length = 8\n[packing]\nrows = \"buckets\"\nlonger = \"drop\"";
    let error = packer(&[50, 60], text).check().unwrap_err().to_string();
    assert!(error.contains("each of the 2 training dialogues is longer than 8 tokens"), "{error}");
    assert!(
        packer(&[1, 60], "length = 12\n[packing]\nrows = \"buckets\"\nlonger = \"drop\"").check().is_ok()
    );
}

#[test]
fn random_draws_and_leaving_out_are_refused_for_joined_rows() {
    for (key, value) in [("draw", "random"), ("longer", "drop")] {
        let error = Recipe::parse(&format!("[packing]\n{key} = \"{value}\""), &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("packing.{key}")) && error.contains("buckets"), "{error}");
    }
}
