//! Tokens to text while they come.
//!
//! Where a token is bytes (our tokenizers, byte-level BPE, the byte tokens of others) its text is those bytes, whole
//! characters only. Elsewhere a token's text depends on the tokens before it: WordPiece joins `##s` to a word and
//! puts a space before others, SentencePiece drops the space that a text begins with. There the tokenizer's own decoder
//! is asked twice, for the last few tokens without and with the new one, and the difference is what the token adds.

use super::{Kind, Tokenizer};
use crate::StreamDecoder;

/// Tokens that the decoders look back on; one would do for all that `tokenizers` has but runs of bytes.
const LOOK_BACK: usize = 8;

/// The text of one generation as it comes. Every token is pushed with the same tokenizer.
#[derive(Debug, Clone, Default)]
pub struct TokenStream {
    bytes: StreamDecoder,
    before: Vec<u32>,
}

impl TokenStream {
    /// A text that begins with its first token.
    pub fn new() -> Self {
        Self::default()
    }

    /// The continuation of `prompt`; a special token at its end begins a text.
    pub fn after(tokenizer: &Tokenizer, prompt: &[u32]) -> Self {
        let mut stream = Self::new();
        if let Kind::HuggingFace(inner) = &tokenizer.kind {
            let last = &prompt[prompt.len().saturating_sub(LOOK_BACK)..];
            let begins = last.iter().rposition(|id| inner.special_name(*id).is_some()).map_or(0, |at| at + 1);
            stream.before.extend_from_slice(&last[begins..]);
        }
        stream
    }

    /// Takes a token, returns the characters that are complete now.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        let Kind::HuggingFace(inner) = &tokenizer.kind else {
            return self.bytes.push(&tokenizer.token_bytes(id));
        };
        if inner.special_name(id).is_some() {
            return self.bytes.push(inner.token_bytes(id));
        }
        if let Some(bytes) = inner.own_bytes(id) {
            self.remember(id);
            return self.bytes.push(bytes);
        }
        // A word ends the bytes of a character that is not complete.
        let mut text = self.bytes.flush();
        let without = inner.decode(&self.before);
        self.before.push(id);
        let with = inner.decode(&self.before);
        text.push_str(&with[common(&without, &with)..]);
        self.before.pop();
        self.remember(id);
        text
    }

    /// Ends the text: a character that never came to its end becomes U+FFFD.
    pub fn flush(&mut self) -> String {
        self.bytes.flush()
    }

    fn remember(&mut self, id: u32) {
        if self.before.len() == LOOK_BACK {
            self.before.remove(0);
        }
        self.before.push(id);
    }
}

/// Bytes that two texts have in common at their beginning, whole characters.
fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}
