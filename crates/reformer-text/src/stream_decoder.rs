//! Bytes of tokens to text, whole characters only.
//!
//! A character may be spread over several tokens. Bytes that can still become one are held back; bytes that
//! no longer can become U+FFFD, as in [`String::from_utf8_lossy`]: all that is pushed and the final flush,
//! joined, is what that function makes of all the bytes at once.

/// Holds the beginning of a character until the rest comes.
#[derive(Debug, Clone, Default)]
pub struct StreamDecoder {
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// A decoder that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a token's bytes, returns the characters that are complete now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            let last = used + invalid.len() == self.pending.len();
            if last && could_continue(invalid) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            used += invalid.len();
        }
        self.pending.drain(..used);
        text
    }

    /// Ends the text: a character that never came to its end becomes U+FFFD.
    pub fn flush(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// Whether `bytes`, the last and invalid ones, are the beginning of some character.
fn could_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_emoji_in_four_tokens_comes_out_at_the_fourth() {
        let mut decoder = StreamDecoder::new();
        let bytes = "🦀".as_bytes();
        for byte in &bytes[..3] {
            assert_eq!(decoder.push(&[*byte]), "");
        }
        assert_eq!(decoder.push(&bytes[3..]), "🦀");
        assert_eq!(decoder.flush(), "");
    }

    #[test]
    fn a_broken_character_is_replaced_as_soon_as_it_is_known_to_be_broken() {
        let mut decoder = StreamDecoder::new();
        assert_eq!(decoder.push(b"a\xff"), "a\u{fffd}");
        assert_eq!(decoder.push(b"\xf0\x9f"), "");
        assert_eq!(decoder.push(b"b"), "\u{fffd}b");
        assert_eq!(decoder.push(b"\xe2\x82"), "");
        assert_eq!(decoder.flush(), "\u{fffd}");
        assert_eq!(decoder.push(b"c"), "c");
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_lossy_text_of_all(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..5),
                    "[aé€🦀]{0,2}".prop_map(String::into_bytes),
                    prop::sample::select(vec![vec![0xf0_u8, 0x9f], vec![0xa6], vec![0x80], vec![0xe2]]),
                ],
                0..12,
            )
        ) {
            let mut decoder = StreamDecoder::new();
            let mut text: String = pieces.iter().map(|piece| decoder.push(piece)).collect();
            text.push_str(&decoder.flush());
            let all = pieces.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&all));
        }
    }
}
