//! From dialogues with a belief state after each user turn to dialogues with lookups.
//!
//! ```text
//! state changed    → a lookup of the table with the whole of its state, run on the database
//! a reference      → a booking; its result says that it went well (or, where the system says so, that it did not)
//! system's words   → values that a row, the state or a booking explains become placeholders
//! ```
//! Where the system names a row, that row stands first in the result: a lookup's order is the database's own business,
//! and people chose freely. Where it names another row than the one at hand without a change of state, the lookup is
//! repeated, which asks for another row. A value in the state that the user did not say but the conversation knows
//! (the hotel at hand as a taxi's destination) is written as that placeholder.

mod explain;
mod guided;
mod led;
mod mentioned;
mod read;
mod report;
mod states;

use std::collections::BTreeMap;

use reformer_text::{Call, Dialogue, Lookup, Role, Turn};
use serde_json::json;

pub use led::Led;
pub use read::read_states;
pub use report::Report;
pub use states::{StateTurn, Stated};

use self::explain::{Names, Words};
use crate::plain::{is_any, plain};
use crate::result::{found, object};
use crate::{Database, Row, Table, TablesError, Talk};

/// Values of one table: its columns and details.
type Wishes = Vec<(String, String)>;

/// Turns annotated dialogues to grounded ones.
pub struct Grounder<'a> {
    database: &'a Database,
    names: Names,
    report: Report,
}

impl<'a> Grounder<'a> {
    /// A grounder over a database.
    pub fn new(database: &'a Database) -> Result<Self, TablesError> {
        let names = Names::of(database)?;
        Ok(Self { database, names, report: Report::default() })
    }

    /// How much was explained so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// One dialogue.
    pub fn ground(&mut self, stated: &Stated) -> Result<Dialogue, TablesError> {
        self.report.dialogues += 1;
        let mut talk = Talk::default();
        let mut turns: Vec<Turn> = Vec::new();
        let mut state: BTreeMap<String, Wishes> = BTreeMap::new();
        let mut asked = Words::of("");
        let mut changed: Vec<String> = Vec::new();
        let mut active: Vec<String> = Vec::new();
        for turn in &stated.turns {
            if turn.role == Role::User {
                asked = Words::of(&turn.text);
                if let Some(values) = &turn.state {
                    let now = self.by_table(values);
                    changed = self
                        .database
                        .schema()
                        .tables
                        .iter()
                        .filter(|table| {
                            now.get(&table.name).is_some_and(|w| Some(w) != state.get(&table.name))
                        })
                        .map(|table| table.name.clone())
                        .collect();
                    state = now;
                }
                turns.push(Turn::user(turn.text.clone()));
                continue;
            }
            if turn.role == Role::System {
                turns.push(Turn::system(turn.text.clone()));
                continue;
            }
            let said = Words::of(&turn.text);
            for table in &changed {
                active.retain(|name| name != table);
                active.insert(0, table.clone());
            }
            let mut lookups = Vec::new();
            for name in &changed {
                let Some(table) = self.database.schema().table(name) else { continue };
                lookups.push(self.look_up(&mut talk, table, &state[name], &asked, &said)?);
            }
            if let Some(lookup) = self.another(&mut talk, &active, &changed, &state, &said)? {
                lookups.push(lookup);
            }
            if let Some(booking) = self.booked(&mut talk, &active, &said) {
                self.report.bookings += usize::from(!is_refused(&booking));
                lookups.push(booking);
            }
            let text = self.report.count(
                &stated.id,
                &turn.text,
                explain::replace(&said, &talk, self.database, &active, &self.names),
            );
            self.report.lookups += lookups.len();
            turns.push(Turn { lookups, ..Turn::assistant(text) });
            changed.clear();
        }
        Ok(Dialogue { domains: stated.domains.clone(), ..Dialogue::new(stated.id.clone(), turns) })
    }

    /// The state by tables, in the order of the schema's columns; what the schema does not know is counted.
    fn by_table(&mut self, values: &BTreeMap<String, String>) -> BTreeMap<String, Wishes> {
        let mut tables = BTreeMap::new();
        let mut known = 0;
        for table in &self.database.schema().tables {
            let mut wishes = Wishes::new();
            for name in table.names() {
                // Some corpora write a name of two words as one: `hotel-bookday`.
                let slot = |name: &str| values.get(&format!("{}-{name}", table.name));
                if let Some(value) = slot(name).or_else(|| slot(&name.replace(' ', ""))) {
                    known += 1;
                    let column = table.column(name);
                    let value =
                        if is_any(value) { "any" } else { column.map_or(value.as_str(), |c| c.meant(value)) };
                    wishes.push((name.to_owned(), value.to_owned()));
                }
            }
            if !wishes.is_empty() {
                tables.insert(table.name.clone(), wishes);
            }
        }
        self.report.states += values.len();
        self.report.states_known += known;
        tables
    }

    fn look_up(
        &mut self,
        talk: &mut Talk,
        table: &Table,
        wishes: &Wishes,
        asked: &Words,
        said: &Words,
    ) -> Result<Lookup, TablesError> {
        let values: Vec<(&str, String)> = wishes
            .iter()
            .map(|(name, value)| (name.as_str(), self.written(talk, table, name, value, asked)))
            .collect();
        let call = Call::of_table("lookup", &table.name, values.iter().map(|(n, v)| (*n, v.as_str())));
        self.run(talk, table, wishes, call, said)
    }

    /// A value as the model should write it: the user's word, or where the user did not say it a placeholder that
    /// stands for it.
    fn written(&mut self, talk: &Talk, table: &Table, name: &str, value: &str, asked: &Words) -> String {
        let before = talk.about(&table.name);
        // What was written before is written again.
        if is_any(value) || asked.finds(value) {
            return value.to_owned();
        }
        let wished = before.is_some_and(|about| about.wishes.iter().any(|(n, v)| n == name && v == value));
        let wanted = plain(value);
        let same = |cell: &str| plain(cell) == wanted;
        let title = table.column(name).is_some_and(|column| column.name == table.title().name);
        if title && let Some(row) = before.and_then(|about| about.rows.first()) {
            let cell = row.iter().find(|(column, _)| column == name);
            if cell.is_some_and(|(_, cell)| same(cell)) {
                return format!("{{{}.{name}}}", table.name);
            }
        }
        if wished && title {
            return value.to_owned();
        }
        for (other, about) in talk.tables() {
            if other == table.name {
                continue;
            }
            let Some(known) = self.database.schema().table(other) else { continue };
            let own = &known.title().name;
            let titled = about.rows.first().and_then(|row| row.iter().find(|(column, _)| column == own));
            if titled.is_some_and(|(_, cell)| same(cell)) && value.len() > 3 {
                return format!("{{{other}.{own}}}");
            }
            if table.detail(name).is_some() || table.column(name).is_some_and(|c| c.kind == crate::Kind::Time)
            {
                let detail = about
                    .wishes
                    .iter()
                    .find(|(n, v)| known.detail(n).is_some() && same(v) && (n == name || v.contains(':')));
                if let Some((detail, _)) = detail {
                    return format!("{{{other}.{detail}}}");
                }
            }
        }
        value.to_owned()
    }

    fn run(
        &self,
        talk: &mut Talk,
        table: &Table,
        wishes: &Wishes,
        call: Call,
        said: &Words,
    ) -> Result<Lookup, TablesError> {
        let borrowed: Vec<_> = wishes.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut answer = self.database.select(table, &borrowed)?;
        let before = talk.about(&table.name).and_then(|about| about.rows.first().cloned());
        let named = self.names.offered(table, said);
        let first = match named.first() {
            Some(&row) => Some(self.names.row(table, row).clone()),
            None => explain::mentioned(table, &answer, said),
        };
        let kept = first.clone().or(before.filter(|row| answer.rows.contains(row)));
        let mut front: Vec<Row> = kept.into_iter().collect();
        front.extend(named.iter().skip(1).map(|&row| self.names.row(table, row).clone()));
        for row in front.into_iter().rev() {
            let at = answer.rows.iter().position(|other| *other == row);
            // Beyond the rows that an answer lists a row may match all the same; one that does not is not put there.
            if at.is_some() || (answer.count > answer.rows.len() && self.meets(table, &row, wishes)?) {
                if let Some(at) = at {
                    answer.rows.remove(at);
                }
                answer.rows.insert(0, row);
            }
        }
        let lookup = Lookup { call, result: found(table, wishes, &answer, 0) };
        talk.learn(&lookup);
        Ok(lookup)
    }

    fn meets(&self, table: &Table, row: &Row, wishes: &Wishes) -> Result<bool, TablesError> {
        let title = &table.title().name;
        let own = row.iter().filter(|(name, _)| name == title).map(|(n, v)| (n.as_str(), v.as_str()));
        let all: Vec<_> = wishes.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(own).collect();
        Ok(self.database.select(table, &all)?.rows.contains(row))
    }

    /// A repeated lookup where the system names a row that is not the one at hand.
    fn another(
        &mut self,
        talk: &mut Talk,
        active: &[String],
        changed: &[String],
        state: &BTreeMap<String, Wishes>,
        said: &Words,
    ) -> Result<Option<Lookup>, TablesError> {
        let Some(name) = active.first().filter(|name| !changed.contains(name)) else { return Ok(None) };
        let (Some(table), Some(wishes)) = (self.database.schema().table(name), state.get(name)) else {
            return Ok(None);
        };
        let Some(&row) = self.names.offered(table, said).first() else { return Ok(None) };
        let row = self.names.row(table, row);
        let at_hand = talk.about(name).is_some_and(|about| about.rows.contains(row));
        if at_hand || !self.meets(table, row, wishes)? {
            return Ok(None);
        }
        let values = wishes.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let call = Call::of_table("lookup", name, values);
        self.run(talk, table, wishes, call, said).map(Some)
    }

    /// A booking where the system tells of one.
    fn booked(&self, talk: &mut Talk, active: &[String], said: &Words) -> Option<Lookup> {
        let bookable =
            |name: &&String| self.database.schema().table(name).is_some_and(|table| table.booking.is_some());
        let name = active.iter().find(bookable)?.clone();
        let table = self.database.schema().table(&name)?;
        // One that was told before is only told again.
        let known: Vec<_> = talk.tables().filter_map(|(_, about)| about.reference.clone()).collect();
        let reference = explain::reference(said, table).filter(|reference| !known.contains(reference));
        let failed = reference.is_none() && explain::failure(said);
        if reference.is_none() && !failed {
            return None;
        }
        let call = Call::of_table("book", &name, []);
        let row = talk.about(&name).and_then(|about| about.rows.first().cloned());
        let mut result = if let Some(reference) = &reference {
            json!({"says": "booked", "table": name, "reference": reference})
        } else {
            json!({"says": "not possible", "table": name, "error": "no room"})
        };
        if let (Some(row), true) = (row, reference.is_some()) {
            let row = explain::as_said(table, row, said, &self.names);
            result["rows"] = json!([object(&row)]);
        }
        let lookup = Lookup { call, result: result.to_string() };
        talk.learn(&lookup);
        Some(lookup)
    }
}

/// Whether a result tells of something that could not be.
fn is_refused(lookup: &Lookup) -> bool {
    serde_json::from_str::<serde_json::Value>(&lookup.result)
        .is_ok_and(|result| result.get("error").is_some())
}
