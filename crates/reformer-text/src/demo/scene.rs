//! A dialogue in the making: its turns so far, and what was settled in them.

use super::draw::Draw;
use super::world::PRICES;
use crate::{Role, Turn};

/// Something booked, which later turns may ask about.
pub(super) struct Booking {
    /// `table`, `room`, `train`.
    pub(super) what: &'static str,
    /// `the restaurant`, `the hotel`, `the train`.
    pub(super) kind: &'static str,
    /// Of the place; of the train.
    pub(super) name: String,
    pub(super) day: &'static str,
    /// None for rooms.
    pub(super) time: Option<usize>,
    pub(super) reference: String,
}

/// A taxi that was ordered.
pub(super) struct Taxi {
    pub(super) car: String,
    pub(super) phone: String,
    pub(super) time: String,
}

pub(super) struct Scene {
    pub(super) draw: Draw,
    pub(super) turns: Vec<Turn>,
    /// People write in lower case without a full stop, or they do not.
    casual: bool,
    /// Said before the next request.
    pub(super) lead: String,
    pub(super) people: Option<usize>,
    pub(super) day: Option<&'static str>,
    pub(super) bookings: Vec<Booking>,
    pub(super) taxi: Option<Taxi>,
}

impl Scene {
    pub(super) fn new(mut draw: Draw) -> Self {
        let casual = draw.chance(35);
        Self {
            draw,
            turns: Vec::new(),
            casual,
            lead: String::new(),
            people: None,
            day: None,
            bookings: Vec::new(),
            taxi: None,
        }
    }

    /// The person says one of `phrases`, slots filled in, after whatever leads to it.
    pub(super) fn user(&mut self, phrases: &[&str], slots: &[(&str, &str)]) {
        let mut text = std::mem::take(&mut self.lead);
        let phrase: &&str = self.draw.pick(phrases);
        text.push_str(&fill(phrase, slots));
        if self.casual {
            text = text.to_lowercase();
            while text.ends_with(['.', '!']) {
                text.pop();
            }
        }
        self.turns.push(Turn::new(Role::User, text));
    }

    /// The other side answers with one of `phrases`.
    pub(super) fn answer(&mut self, phrases: &[&str], slots: &[(&str, &str)]) {
        let phrase: &&str = self.draw.pick(phrases);
        let text = fill(phrase, slots);
        self.turns.push(Turn::new(Role::Assistant, text));
    }

    /// A word that people have for a price, with its article.
    pub(super) fn price_word(&mut self, price: &str) -> &'static str {
        let words = PRICES.iter().find(|(name, _)| *name == price).map_or(PRICES[0].1, |(_, words)| *words);
        let word: &&str = self.draw.pick(words);
        word
    }

    pub(super) fn booking(&self, kind: &str) -> Option<&Booking> {
        self.bookings.iter().find(|booking| booking.kind == kind)
    }
}

/// A phrase with its `{slots}` filled.
fn fill(phrase: &str, slots: &[(&str, &str)]) -> String {
    let mut text = phrase.to_owned();
    for (slot, value) in slots {
        text = text.replace(&format!("{{{slot}}}"), value);
    }
    debug_assert!(!text.contains('{'), "a slot is not filled: {text}");
    text
}
