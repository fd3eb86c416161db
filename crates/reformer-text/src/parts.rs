//! A corpus cut into parts to train, to validate and to test on.
//!
//! Dialogues are drawn by a seed, and those that say the same go to the same part, so that nothing is tested on what
//! was learned. A single text is cut by its length instead, where paragraphs end: the beginning to train on, the end
//! to test on.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{Dialogue, TextError, Turn};

/// The parts, each in the order of the corpus.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// To learn from.
    pub train: Vec<Dialogue>,
    /// To choose by.
    pub valid: Vec<Dialogue>,
    /// To measure the end result on.
    pub test: Vec<Dialogue>,
}

impl Parts {
    /// Parts with the shares `valid` and `test` of the dialogues, at least one each where the share is not 0.
    pub fn of(dialogues: &[Dialogue], valid: f64, test: f64, seed: u64) -> Result<Self, TextError> {
        if let [only] = dialogues
            && only.document
        {
            return Self::of_text(only, valid, test);
        }
        let mut groups: HashMap<Vec<&Turn>, usize> = HashMap::new();
        let group: Vec<usize> = dialogues
            .iter()
            .map(|dialogue| {
                let next = groups.len();
                *groups.entry(dialogue.turns.iter().collect()).or_insert(next)
            })
            .collect();
        let count = |share: f64| {
            if share > 0.0 { ((groups.len() as f64 * share).round() as usize).max(1) } else { 0 }
        };
        let (for_valid, for_test) = (count(valid), count(test));
        if groups.len() <= for_valid + for_test {
            return Err(TextError::TooFew { distinct: groups.len(), needed: for_valid + for_test + 1 });
        }
        let order = shuffled(groups.len(), seed);
        let mut parts = Self::default();
        for (dialogue, group) in dialogues.iter().zip(group) {
            let part = match order[group] {
                place if place < for_valid => &mut parts.valid,
                place if place < for_valid + for_test => &mut parts.test,
                _ => &mut parts.train,
            };
            part.push(dialogue.clone());
        }
        Ok(parts)
    }

    fn of_text(document: &Dialogue, valid: f64, test: f64) -> Result<Self, TextError> {
        let text = document.turns.first().map_or("", |turn| turn.text.as_str());
        let first = border(text, ((1.0 - valid - test) * text.len() as f64) as usize);
        let second = border(text, ((1.0 - test) * text.len() as f64) as usize).max(first);
        let part = |text: &str, name: &str| {
            let own =
                (!text.trim().is_empty()).then(|| Dialogue::of_text(format!("{}-{name}", document.id), text));
            own.into_iter().collect::<Vec<_>>()
        };
        let parts = Self {
            train: part(&text[..first], "train"),
            valid: if valid > 0.0 { part(&text[first..second], "valid") } else { Vec::new() },
            test: if test > 0.0 { part(&text[second..], "test") } else { Vec::new() },
        };
        let missing = (valid > 0.0 && parts.valid.is_empty()) || (test > 0.0 && parts.test.is_empty());
        if parts.train.is_empty() || missing {
            return Err(TextError::TooFew { distinct: 1, needed: 2 });
        }
        Ok(parts)
    }
}

/// Where the text is cut near byte `at`: behind the paragraph there, else behind the line, else there.
fn border(text: &str, at: usize) -> usize {
    let at = text.floor_char_boundary(at);
    // What is cut off too much for a whole paragraph comes off the next part.
    let near = text.floor_char_boundary((at + text.len() / 50).min(text.len()));
    let found = |end: &str| text[at..near].find(end).map(|found| at + found + end.len());
    if at == 0 || at == text.len() { at } else { found("\n\n").or_else(|| found("\n")).unwrap_or(at) }
}

/// The place of each of `count` things in an order drawn by `seed`.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut draws = ChaCha8Rng::from_seed(key);
    let mut places: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        places.swap(last, (draws.next_u64() % (last as u64 + 1)) as usize);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_drawn_by_the_seed_and_what_is_said_twice_is_in_one_part() {
        let say = |n: usize| Dialogue::new(n.to_string(), vec![Turn::user(format!("{}", n % 40))]);
        let dialogues: Vec<Dialogue> = (0..80).map(say).collect();
        let parts = Parts::of(&dialogues, 0.1, 0.2, 7).unwrap();
        assert_eq!((parts.train.len(), parts.valid.len(), parts.test.len()), (56, 8, 16));
        assert_eq!(parts, Parts::of(&dialogues, 0.1, 0.2, 7).unwrap());
        assert_ne!(parts, Parts::of(&dialogues, 0.1, 0.2, 8).unwrap());
        for dialogue in &parts.valid {
            assert!(!parts.train.iter().any(|other| other.turns == dialogue.turns));
        }
        let error = Parts::of(&dialogues[..1], 0.1, 0.0, 0).unwrap_err().to_string();
        assert!(error.contains("1 different") && error.contains("at least 2"), "{error}");
    }

    #[test]
    fn a_single_text_is_cut_where_a_paragraph_ends() {
        let text = (0..200).map(|n| format!("Paragraph {n} of it.\n\n")).collect::<Vec<_>>().concat();
        let parts = Parts::of(&[Dialogue::of_text("book", &text)], 0.2, 0.1, 0).unwrap();
        let said: Vec<&str> =
            [&parts.train, &parts.valid, &parts.test].map(|part| part[0].turns[0].text.as_str()).to_vec();
        assert_eq!(said.concat(), text);
        assert!(said.iter().all(|part| part.starts_with("Paragraph") && part.ends_with("\n\n")));
        assert!(said[1].len() > said[2].len() && said[0].len() > 3 * said[1].len());
        assert!(Parts::of(&[Dialogue::of_text("x", "x")], 0.1, 0.0, 0).is_err());
    }
}
