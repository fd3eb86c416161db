//! A system's own lookups before the corpus's words: how beliefs are measured where the conversation is the corpus's.
//!
//! ```text
//! user's words → the system's lookups → its own reply is set aside → the corpus's words, with placeholders
//! ```
//! The row that the corpus's words name stands first in the results, as if the system had found it, and a booking that
//! they tell of is made: so the next turn reads a conversation of the form that it was trained on.

use reformer_text::{Lookup, Turn};
use serde_json::{Map, Value};

use super::explain::{self, Words};
use super::{Grounder, Wishes};
use crate::{TablesError, Talk};

/// A conversation so far: what it looked up, and which tables it is about, the last first.
#[derive(Debug, Clone, Default)]
pub struct Led {
    talk: Talk,
    active: Vec<String>,
}

impl Grounder<'_> {
    /// The turn that stands in the conversation: these lookups, answered as the corpus's words have it, and the words.
    /// Bookings of the system's own fall away; refused calls stay as they were.
    pub fn led(&self, led: &mut Led, lookups: &[Lookup], words: &str) -> Result<Turn, TablesError> {
        let said = Words::of(words);
        let mut done = Vec::new();
        for lookup in lookups.iter().filter(|lookup| lookup.call.tool != "book") {
            let asked = asked(lookup);
            let table = asked.as_ref().and_then(|(table, _)| self.database.schema().table(table));
            let (Some((_, wishes)), Some(table)) = (&asked, table) else {
                done.push(lookup.clone());
                continue;
            };
            done.push(self.run(&mut led.talk, table, wishes, lookup.call.clone(), &said)?);
            led.active.retain(|name| *name != table.name);
            led.active.insert(0, table.name.clone());
        }
        done.extend(self.booked(&mut led.talk, &led.active, &said));
        let text = explain::replace(&said, &led.talk, self.database, &led.active, &self.names);
        Ok(Turn { lookups: done, ..Turn::assistant(text) })
    }
}

/// The table and the wishes that a result tells, placeholders filled; none of a call that was refused.
fn asked(lookup: &Lookup) -> Option<(String, Wishes)> {
    let result: Map<String, Value> = serde_json::from_str(&lookup.result).ok()?;
    let wishes = result.get("where")?.as_object()?.iter();
    let wishes = wishes.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Some((result.get("table")?.as_str()?.to_owned(), wishes.collect::<Option<_>>()?))
}
