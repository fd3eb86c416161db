//! Training a byte-level BPE (Sennrich and others 2016, on the bytes of UTF-8): merge the most frequent pair
//! of neighbouring tokens within words until the vocabulary is full.
//!
//! Words are GPT-2's: letters, digits or other signs with one space before them. Every one of the 256 bytes
//! is in the vocabulary, so no text is unknown. Special tokens take the first ids.

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, TokenizerBuilder};
use tokenizers::{NormalizerWrapper, PostProcessorWrapper};

use super::{END, PAD};
use crate::{Role, TextError};

const SPECIALS: usize = 5;

/// `tokenizer.json` of a BPE trained on `texts`.
pub(super) fn byte_level_bpe<S: AsRef<str>>(
    texts: impl IntoIterator<Item = S>,
    vocab_size: usize,
) -> Result<String, TextError> {
    let least = 256 + SPECIALS;
    if vocab_size < least {
        return Err(TextError::VocabularyTooSmall { got: vocab_size, least, specials: SPECIALS });
    }
    // Owned, because the trainer hands texts to its threads and the caller's iterator need not be `Send`.
    let texts: Vec<String> =
        texts.into_iter().map(|text| text.as_ref().to_owned()).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() {
        return Err(TextError::NothingToTrainOn);
    }
    let failed =
        |action| move |error: tokenizers::Error| TextError::Tokenizer { action, reason: error.to_string() };
    let specials =
        [PAD, END].into_iter().chain(Role::ALL.map(Role::mark)).map(|token| AddedToken::from(token, true));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(specials.collect())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    // No space is put before a text, offsets keep their spaces, words are split by the usual expression.
    let byte_level = ByteLevel::new(false, false, true);
    let mut tokenizer =
        TokenizerBuilder::<BPE, NormalizerWrapper, ByteLevel, PostProcessorWrapper, ByteLevel>::new()
            .with_model(BPE::default())
            .with_normalizer(None)
            .with_pre_tokenizer(Some(byte_level))
            .with_post_processor(None)
            .with_decoder(Some(byte_level))
            .build()
            .map_err(failed("be set up"))?;
    tokenizer.train(&mut trainer, texts.into_iter()).map_err(failed("be trained"))?;
    tokenizer.to_string(true).map_err(failed("be written"))
}
