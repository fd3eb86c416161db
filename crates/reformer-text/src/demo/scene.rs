//! A dialogue in the making: its turns so far, what was looked up in them, and what was booked.

use std::collections::BTreeMap;

use super::draw::Draw;
use super::world::{PRICES, table};
use crate::{Call, Lookup, Role, Turn};

/// Wishes and details: names with values, which may be placeholders.
pub(super) type Wishes = Vec<(&'static str, String)>;

/// What was last looked up in a table: the wishes, and the rows with the one at hand in front.
#[derive(Default)]
struct Found {
    wishes: Wishes,
    rows: Vec<usize>,
}

pub(super) struct Scene {
    pub(super) draw: Draw,
    pub(super) turns: Vec<Turn>,
    /// What the assistant looks up before it speaks.
    lookups: Vec<Lookup>,
    found: BTreeMap<&'static str, Found>,
    /// People write in lower case without a full stop, or they do not.
    casual: bool,
    /// Said before the next request.
    pub(super) lead: String,
    /// Tables of which a row is booked, in order.
    pub(super) booked: Vec<&'static str>,
}

impl Scene {
    pub(super) fn new(mut draw: Draw) -> Self {
        let casual = draw.chance(35);
        let (turns, lookups, booked) = (Vec::new(), Vec::new(), Vec::new());
        Self { draw, turns, lookups, found: BTreeMap::new(), casual, lead: String::new(), booked }
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

    /// The other side answers with one of `phrases`, whose `{table.column}` a host fills.
    pub(super) fn answer(&mut self, phrases: &[&str]) {
        let phrase: &&str = self.draw.pick(phrases);
        let lookups = std::mem::take(&mut self.lookups);
        self.turns.push(Turn { lookups, ..Turn::assistant(*phrase) });
    }

    /// Looks rows up that meet all of `wishes`, of which the call names what is new; the first is the one at hand. As
    /// the real tables have it, the same question again asks for the next row, and a row at hand that still meets the
    /// wishes stays in front.
    pub(super) fn look_up(&mut self, name: &'static str, wishes: &[(&'static str, String)]) -> Vec<usize> {
        let mut rows = table(name).select(wishes);
        let before = self.found.entry(name).or_default();
        if let Some(at) = before.rows.first().and_then(|first| rows.iter().position(|row| row == first)) {
            if before.wishes == wishes {
                let next = (at + 1) % rows.len();
                rows.rotate_left(next);
            } else {
                rows[..=at].rotate_right(1);
            }
        }
        let new: Wishes = wishes.iter().filter(|wish| !before.wishes.contains(wish)).cloned().collect();
        *before = Found { wishes: wishes.to_vec(), rows: rows.clone() };
        let says = match rows.len() {
            0 => "none".to_owned(),
            count if count <= 20 => count.to_string(),
            _ => "many".to_owned(),
        };
        self.call("lookup", name, &new, says);
        rows
    }

    /// Books the row at hand.
    pub(super) fn book(&mut self, name: &'static str, details: &[(&'static str, String)]) {
        self.call("book", name, details, "booked".to_owned());
        let found = self.found.entry(name).or_default();
        // The booking's details are wishes from now on: the same question is another one.
        found.wishes.extend_from_slice(details);
        self.booked.retain(|table| *table != name);
        self.booked.push(name);
    }

    /// Tries to, in vain: others have booked all there was.
    pub(super) fn book_in_vain(&mut self, name: &'static str, details: &[(&'static str, String)]) {
        self.call("book", name, details, "not possible : no room".to_owned());
    }

    fn call(&mut self, tool: &str, table: &str, values: &[(&'static str, String)], result: String) {
        let call = Call::of_table(tool, table, values.iter().map(|(name, value)| (*name, value.as_str())));
        self.lookups.push(Lookup { call, result });
    }

    /// A word that people have for a price, with its article.
    pub(super) fn price_word(&mut self, price: &str) -> &'static str {
        let words = PRICES.iter().find(|(name, _)| *name == price).map_or(PRICES[0].1, |(_, words)| *words);
        let word: &&str = self.draw.pick(words);
        word
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
