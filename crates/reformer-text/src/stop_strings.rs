//! Stop strings in a stream of text: nothing of a stop string is ever released.
//!
//! Text that may be the beginning of a stop string is held back until it is one or cannot become one. The
//! stop string that is complete first ends the text; of two that complete with the same character, the
//! longer. So the text does not depend on how the stream is cut into pieces.

/// What a piece of text released.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Text that is certain not to belong to a stop string.
    pub text: String,
    /// The stop string that was met, once; nothing is released after it.
    pub stop: Option<String>,
}

/// Watches a stream for stop strings.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Watches for `stops`; empty ones are ignored.
    pub fn new<S: Into<String>>(stops: impl IntoIterator<Item = S>) -> Self {
        let stops = stops.into_iter().map(Into::into);
        Self { stops: stops.filter(|stop| !stop.is_empty()).collect(), held: String::new(), stopped: false }
    }

    /// Whether a stop string was met.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes a piece of text, returns what may be shown.
    pub fn push(&mut self, piece: &str) -> Released {
        if self.stopped {
            return Released::default();
        }
        self.held.push_str(piece);
        let first = self
            .stops
            .iter()
            .filter_map(|stop| Some((self.held.find(stop.as_str())?, stop)))
            .min_by_key(|(start, stop)| (start + stop.len(), *start));
        if let Some((start, stop)) = first {
            let stop = stop.clone();
            self.stopped = true;
            let mut text = std::mem::take(&mut self.held);
            text.truncate(start);
            return Released { text, stop: Some(stop) };
        }
        let keep = self.stops.iter().map(|stop| longest_beginning(&self.held, stop)).max().unwrap_or(0);
        let at = self.held.len() - keep;
        let rest = self.held.split_off(at);
        Released { text: std::mem::replace(&mut self.held, rest), stop: None }
    }

    /// Ends the stream: what was held back and became no stop string.
    pub fn flush(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        std::mem::take(&mut self.held)
    }
}

/// Bytes of the longest end of `text` that is a proper beginning of `stop`.
fn longest_beginning(text: &str, stop: &str) -> usize {
    stop.char_indices().map(|(at, _)| at).rev().find(|&at| text.ends_with(&stop[..at])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let mut watch = StopStrings::new(stops.iter().copied());
        let (mut text, mut stop) = (String::new(), None);
        for piece in pieces {
            let released = watch.push(piece);
            text.push_str(&released.text);
            stop = stop.or(released.stop);
        }
        text.push_str(&watch.flush());
        (text, stop)
    }

    #[test]
    fn a_stop_string_over_three_tokens_is_not_shown_in_any_part() {
        let mut watch = StopStrings::new([" Person 1:"]);
        assert_eq!(watch.push("Booked. Per").text, "Booked.");
        assert_eq!(watch.push("son").text, "");
        let released = watch.push(" 1: thanks");
        assert_eq!(released.text, "");
        assert_eq!(released.stop.as_deref(), Some(" Person 1:"));
        assert_eq!(watch.push("more"), Released::default());
        assert_eq!(watch.flush(), "");
    }

    #[test]
    fn text_that_only_began_like_a_stop_string_comes_out() {
        assert_eq!(run(&["stop"], &["a st", "ar"]), ("a star".into(), None));
        assert_eq!(run(&["stop"], &["sto"]), ("sto".into(), None));
        assert_eq!(run(&["aab"], &["aa", "ab"]), ("a".into(), Some("aab".into())));
    }

    #[test]
    fn of_two_stop_strings_the_one_complete_first_ends_the_text() {
        assert_eq!(run(&["ab", "abc"], &["xabc"]), ("x".into(), Some("ab".into())));
        assert_eq!(run(&["abc", "ab"], &["xab", "c"]), ("x".into(), Some("ab".into())));
        assert_eq!(run(&["abcd", "bc"], &["abcd"]), ("a".into(), Some("bc".into())));
        assert_eq!(run(&["bc", "abc"], &["abc"]), (String::new(), Some("abc".into())));
    }

    #[test]
    fn without_stop_strings_everything_passes_at_once() {
        let mut watch = StopStrings::new(["", ""]);
        assert_eq!(watch.push("ab").text, "ab");
        assert_eq!(watch.flush(), "");
    }

    proptest! {
        #[test]
        fn the_pieces_that_a_text_comes_in_make_no_difference(
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            pieces in prop::collection::vec("[abcé]{0,4}", 0..8),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let whole = pieces.concat();
            let (text, stop) = run(&stops, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!((&text, &stop), (&run(&stops, &[&whole]).0, &run(&stops, &[&whole]).1));
            if let Some(stop) = stop {
                prop_assert!(whole.starts_with(&(text + &stop)));
            } else {
                prop_assert_eq!(&text, &whole);
                prop_assert!(!stops.iter().any(|stop| whole.contains(stop)));
            }
        }
    }
}
