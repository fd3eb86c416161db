//! Training a byte-level BPE (Sennrich and others 2016, on the bytes of UTF-8): merge the most frequent pair
//! of neighbouring tokens within words until the vocabulary is full.
//!
//! Words are GPT-2's: letters, digits or other signs with one space before them, but of at most 64 characters: the time
//! that merging takes grows with the square of a word's length, and a genome or a text without spaces is one word.
//! Every one of the 256 bytes is in the vocabulary, so no text is unknown. Special tokens take the first ids: the five
//! that every dialogue needs, then the caller's (a placeholder such as `{hotel.name}` is one token).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, NormalizerWrapper, OffsetReferential, OffsetType, PostProcessorWrapper, PreTokenizedString,
    PreTokenizer, PreTokenizerWrapper, SplitDelimiterBehavior, TokenizerBuilder, Trainer,
};

use super::{END, PAD};
use crate::{Role, TextError};

const SPECIALS: usize = 5;

/// GPT-2's expression with an end to every run.
pub(super) const WORDS: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}{1,64}| ?\p{N}{1,64}| ?[^\s\p{L}\p{N}]{1,64}|\s{1,64}(?!\S)|\s{1,64}";

/// Bytes that are split into words at once; splitting takes some 100 bytes a byte.
const PIECE: usize = 1 << 14;

/// `tokenizer.json` of a BPE trained on `texts`, unless `stop` is raised meanwhile.
pub(super) fn byte_level_bpe<S: AsRef<str> + Sync>(
    texts: impl IntoIterator<Item = S>,
    more: &[String],
    vocab_size: usize,
    stop: &AtomicBool,
) -> Result<String, TextError> {
    let specials = SPECIALS + more.len();
    let least = 256 + specials;
    if vocab_size < least {
        return Err(TextError::VocabularyTooSmall { got: vocab_size, least, specials });
    }
    let failed =
        |action| move |error: tokenizers::Error| TextError::Tokenizer { action, reason: error.to_string() };
    let specials =
        [PAD, END].into_iter().chain(Role::ALL.map(Role::mark)).chain(more.iter().map(String::as_str));
    let specials = specials.map(|token| AddedToken::from(token, true));
    let specials: Vec<AddedToken> = specials.collect();
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(specials.clone())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let words = words().map_err(failed("be set up"))?;
    let texts: Vec<S> = texts.into_iter().collect();
    if texts.iter().all(|text| text.as_ref().is_empty()) {
        return Err(TextError::NothingToTrainOn);
    }
    let asked = || stop.load(Ordering::Relaxed);
    let failed_unless_stopped =
        |error| if asked() { TextError::Stopped } else { failed("be trained")(error) };
    let split = |piece: &str| if asked() { Err("stopped".into()) } else { split(&words, piece) };
    let all = texts.iter().flat_map(|text| pieces(text.as_ref()));
    trainer.feed(all, split).map_err(failed_unless_stopped)?;
    let model = merge(trainer, stop).ok_or(TextError::Stopped)?.map_err(failed("be trained"))?;
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        ByteLevel,
    >::new()
    .with_model(model)
    .with_normalizer(None)
    .with_pre_tokenizer(Some(words))
    .with_post_processor(None)
    .with_decoder(Some(ByteLevel::new(false, false, true)))
    .build()
    .map_err(failed("be set up"))?;
    tokenizer.add_special_tokens(specials).map_err(failed("be set up"))?;
    tokenizer.to_string(true).map_err(failed("be written"))
}

/// Merges until the vocabulary is full; nothing if `stop` was raised meanwhile.
///
/// The library's loop looks at no flag and takes minutes for a large vocabulary, so it has a thread of its own, which
/// is left to itself, and whose result nobody waits for, when the caller wants to stop.
fn merge(trainer: BpeTrainer, stop: &AtomicBool) -> Option<Result<BPE, tokenizers::Error>> {
    let (send, merged) = mpsc::channel();
    std::thread::spawn(move || {
        let mut model = BPE::default();
        let result = trainer.train(&mut model).map(|_| model);
        // Nobody listens any more if the caller has stopped.
        let _ = send.send(result);
    });
    loop {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        match merged.recv_timeout(Duration::from_millis(20)) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(Err("the merging thread ended early".into())),
        }
    }
}

/// Words by the expression, bytes by the alphabet; no space is put before a text.
fn words() -> Result<PreTokenizerWrapper, tokenizers::Error> {
    let split = Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Isolated, false)?;
    let bytes = ByteLevel::new(false, false, false);
    Ok(Sequence::new(vec![split.into(), bytes.into()]).into())
}

fn split(words: &PreTokenizerWrapper, piece: &str) -> Result<Vec<String>, tokenizers::Error> {
    let mut pre_tokenized = PreTokenizedString::from(piece);
    words.pre_tokenize(&mut pre_tokenized)?;
    let splits = pre_tokenized.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(splits.into_iter().map(|(word, _, _)| word.to_owned()).collect())
}

/// Pieces of a text, cut before a space where there is one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let border = rest.floor_char_boundary(PIECE);
        let cut = rest[border..].find(' ').filter(|cut| *cut < PIECE).unwrap_or(0);
        let (piece, later) = rest.split_at(border + cut);
        rest = later;
        Some(piece)
    })
}
