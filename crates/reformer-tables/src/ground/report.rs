//! How much of a corpus was explained.

use std::collections::BTreeMap;
use std::fmt;

use reformer_text::lookups::compact::{Piece, split};

/// Counts, and examples of what nothing explains.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Dialogues.
    pub dialogues: usize,
    /// Calls, bookings among them.
    pub lookups: usize,
    /// Bookings with a reference.
    pub bookings: usize,
    /// Values of states, and those of columns that the schema knows.
    pub states: usize,
    /// See `states`.
    pub states_known: usize,
    /// Placeholders by name.
    pub placeholders: BTreeMap<String, usize>,
    /// System turns.
    pub turns: usize,
    /// System turns with something that looks like a value and that nothing explains.
    pub unexplained_turns: usize,
    /// Some of them: dialogue, and the turn's text.
    pub examples: Vec<(String, String)>,
}

/// Examples kept.
const EXAMPLES: usize = 20;

impl Report {
    /// Counts a system turn, and hands its new text on.
    pub(crate) fn count(&mut self, id: &str, _before: &str, text: String) -> String {
        self.turns += 1;
        let mut left = false;
        for piece in split(&text) {
            match piece {
                Piece::Special(name) => *self.placeholders.entry(name.into_owned()).or_default() += 1,
                Piece::Text(text) => left |= text.split_whitespace().any(looks_like_a_value),
            }
        }
        if left {
            self.unexplained_turns += 1;
            // Spread over the corpus: every thousandth.
            if self.examples.len() < EXAMPLES && self.unexplained_turns % 97 == 1 {
                self.examples.push((id.to_owned(), text.clone()));
            }
        }
        text
    }
}

/// Letters and digits mixed, a time, or a long number.
fn looks_like_a_value(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    digits >= 3 || (digits >= 1 && letters >= 2 && word.len() >= 5)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize, all: usize| 100.0 * part as f64 / all.max(1) as f64;
        let placeholders: usize = self.placeholders.values().sum();
        writeln!(f, "dialogues     {}, {} system turns", self.dialogues, self.turns)?;
        writeln!(f, "lookups       {}, {} of them bookings with a reference", self.lookups, self.bookings)?;
        writeln!(
            f,
            "states        {} values, {:.1} % of columns that the schema knows",
            self.states,
            share(self.states_known, self.states)
        )?;
        writeln!(f, "placeholders  {placeholders} in {} kinds", self.placeholders.len())?;
        writeln!(
            f,
            "explained     {:.1} % of system turns have no value that nothing explains",
            100.0 - share(self.unexplained_turns, self.turns)
        )?;
        if !self.examples.is_empty() {
            writeln!(f, "not explained, for example:")?;
        }
        for (id, text) in &self.examples {
            writeln!(f, "  {id}: {text}")?;
        }
        Ok(())
    }
}
