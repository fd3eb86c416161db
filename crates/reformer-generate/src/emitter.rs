//! From tokens to text that may be shown: whole characters only, and nothing of a stop string.
//!
//! ```text
//! token → TokenStream (its characters, as far as they are whole) → StopStrings (nothing that may become one) → text
//! ```
//! All that is released, joined, is the text of the generation.

use reformer_text::{StopStrings, TokenStream, Tokenizer};

/// What a token released.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Released {
    /// Text to show; often none.
    pub(crate) text: String,
    /// A stop string is complete: the text ends here.
    pub(crate) stopped: bool,
}

/// The text of one generation, as it comes.
#[derive(Debug, Clone)]
pub(crate) struct Emitter {
    stream: TokenStream,
    stops: StopStrings,
    text: String,
}

impl Emitter {
    pub(crate) fn new(stop: &[String]) -> Self {
        Self {
            stream: TokenStream::new(),
            stops: StopStrings::new(stop.iter().cloned()),
            text: String::new(),
        }
    }

    /// The text goes on from `prompt`.
    pub(crate) fn follow(&mut self, tokenizer: &Tokenizer, prompt: &[u32]) {
        self.stream = TokenStream::after(tokenizer, prompt);
    }

    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Released {
        let whole = self.stream.push(tokenizer, id);
        let released = self.stops.push(&whole);
        self.text.push_str(&released.text);
        Released { text: released.text, stopped: released.stop.is_some() }
    }

    /// Releases what was held back in case it became something else.
    pub(crate) fn flush(&mut self) -> String {
        if self.stops.stopped() {
            return String::new();
        }
        let tail = self.stream.flush();
        let mut rest = self.stops.push(&tail).text;
        rest.push_str(&self.stops.flush());
        self.text.push_str(&rest);
        rest
    }

    /// Whether a stop string ended the text.
    pub(crate) fn stopped(&self) -> bool {
        self.stops.stopped()
    }

    /// All that was released.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Leaves out the blanks before the first letter of a text that comes in pieces: the space after a speaker's name is no
/// part of what he says.
#[derive(Debug, Default)]
pub struct Lead {
    begun: bool,
}

impl Lead {
    /// The part of `piece` to show.
    pub fn trim<'p>(&mut self, piece: &'p str) -> &'p str {
        let shown = if self.begun { piece } else { piece.trim_start() };
        self.begun |= !shown.is_empty();
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was released, piece by piece, the whole text, and whether a stop string was met. Every token of the byte
    /// tokenizer is one byte; what the bytes of a piece release is joined.
    fn emit(pieces: &[&[u8]], stop: &[&str]) -> (Vec<String>, String, bool) {
        let tokenizer = Tokenizer::bytes();
        let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
        let mut out = Emitter::new(&stop);
        let (mut seen, mut stopped) = (Vec::new(), false);
        for bytes in pieces {
            let mut text = String::new();
            for &byte in *bytes {
                let released = out.push(&tokenizer, u32::from(byte) + 2);
                stopped |= released.stopped;
                text.push_str(&released.text);
            }
            seen.push(text);
        }
        let rest = out.flush();
        if !rest.is_empty() {
            seen.push(rest);
        }
        (seen, out.into_text(), stopped)
    }

    #[test]
    fn an_emoji_split_over_four_tokens_comes_out_whole_at_the_fourth() {
        let train = "🚂".as_bytes();
        let (seen, text, _) = emit(&[&train[..1], &train[1..2], &train[2..3], &train[3..], b"!"], &[]);
        assert_eq!(seen, ["", "", "", "🚂", "!"]);
        assert_eq!(text, "🚂!");
    }

    #[test]
    fn a_character_that_never_ends_becomes_one_replacement_at_the_end() {
        let (seen, text, _) = emit(&[b"a", &"é".as_bytes()[..1]], &[]);
        assert_eq!((seen.concat().as_str(), text.as_str()), ("a\u{fffd}", "a\u{fffd}"));
    }

    #[test]
    fn a_stop_string_that_spans_tokens_is_never_seen() {
        let (seen, text, stopped) = emit(&[b"yes", b" Per", b"son 1", b": no"], &[" Person 1:"]);
        assert!(stopped);
        assert_eq!((seen.concat().as_str(), text.as_str()), ("yes", "yes"));
    }

    #[test]
    fn a_stop_string_behind_half_an_emoji_is_met() {
        let train = "🚂".as_bytes();
        let (seen, _, stopped) = emit(&[&train[..2], &[train[2], train[3], b'E'], b"ND"], &["END"]);
        assert!(stopped);
        assert_eq!(seen.concat(), "🚂");
    }

    #[test]
    fn of_two_stop_strings_where_one_begins_the_other_the_shorter_one_stops() {
        for stops in [["END.", "END"], ["END", "END."]] {
            let (seen, _, stopped) = emit(&[b"a", b"E", b"N", b"D", b"."], &stops);
            assert!(stopped);
            assert_eq!(seen.concat(), "a");
        }
    }

    #[test]
    fn the_beginning_of_a_stop_string_that_never_comes_is_released_at_the_end() {
        let (seen, text, stopped) = emit(&[b"a", b"EN"], &["END"]);
        assert!(!stopped);
        assert_eq!((seen.concat().as_str(), text.as_str()), ("aEN", "aEN"));
    }
}
