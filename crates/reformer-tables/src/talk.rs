//! What a conversation has looked up so far, and what that makes of a call and of a reply.
//!
//! ```text
//! lookup hotel area=north        → 13 rows; the conversation is about the first
//! lookup hotel area=north again  → the next one
//! book hotel                     → the row at hand, with the details that lookups noted
//! "try {hotel.name} ."           → "try acorn guest house ."
//! ```
//! A value of a call may be a placeholder: `departure={hotel.name}` is the hotel at hand. Whatever is wrong with a call
//! is its result, so that the conversation goes on.
//!
//! All of it follows from the results in the turns ([`Talk::replay`]): undoing a turn needs nothing else.

use std::collections::BTreeMap;

use reformer_text::lookups::compact::{Piece, inside, split};
use reformer_text::{Call, Lookup, Turn};
use serde_json::{Value, json};

use crate::plain::is_any;
use crate::result::{found, object, pairs, refusal};
use crate::schema::Lookups;
use crate::{Bookings, Database, Outcome, Row, Schema, Table};

/// What has been said of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// Wishes and details, placeholders filled.
    pub wishes: Vec<(String, String)>,
    /// Rows that met the wishes.
    pub count: usize,
    /// The first of them; the conversation is about `rows[0]`.
    pub rows: Vec<Row>,
    /// How many rows the conversation has passed over with repeated lookups.
    pub passed: usize,
    /// The reference of the last booking.
    pub reference: Option<String>,
    /// Whether a row was booked since the last lookup.
    pub settled: bool,
}

/// The placeholder of all that was booked in a conversation.
pub(crate) const BOOKINGS: &str = "bookings";

/// A conversation's knowledge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Talk {
    tables: BTreeMap<String, About>,
    /// The table of the last call.
    current: Option<String>,
    /// What was booked, in order: table, the row's title, reference.
    booked: Vec<[String; 3]>,
}

impl Talk {
    /// What these turns looked up.
    pub fn replay(turns: &[Turn]) -> Self {
        let mut talk = Self::default();
        for lookup in turns.iter().flat_map(|turn| &turn.lookups) {
            talk.learn(lookup);
        }
        talk
    }

    /// What is known of a table.
    pub fn about(&self, table: &str) -> Option<&About> {
        self.tables.get(table)
    }

    /// Every table that was spoken of.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &About)> {
        self.tables.iter().map(|(name, about)| (name.as_str(), about))
    }

    /// The table of the last call.
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Takes a result in.
    pub fn learn(&mut self, lookup: &Lookup) {
        let Ok(Value::Object(result)) = serde_json::from_str::<Value>(&lookup.result) else { return };
        let Some(table) = result.get("table").and_then(Value::as_str) else { return };
        let about = self.tables.entry(table.to_owned()).or_default();
        self.current = Some(table.to_owned());
        if let Some(Value::Object(wishes)) = result.get("where") {
            about.wishes = pairs(wishes);
        }
        if let Some(Value::Array(rows)) = result.get("rows") {
            about.rows = rows.iter().filter_map(Value::as_object).map(pairs).collect();
        }
        if let Some(count) = result.get("count").and_then(Value::as_u64) {
            about.count = count as usize;
            about.passed = result.get("passed").and_then(Value::as_u64).unwrap_or(0) as usize;
            about.settled = false;
        }
        if let Some(reference) = result.get("reference").and_then(Value::as_str) {
            about.reference = Some(reference.to_owned());
            about.settled = true;
            let title = result.get("title").and_then(Value::as_str).unwrap_or_default();
            self.booked.push([table, title, reference].map(str::to_owned));
        }
    }

    /// The wishes of a call with placeholders filled; an error says what cannot be.
    pub fn wishes(&self, schema: &Schema, call: &Call) -> Result<(String, Vec<(String, String)>), String> {
        let (table, values) =
            call.table_values().ok_or_else(|| format!("{} asks no table and columns", call.tool))?;
        let Some(known) = schema.table(table) else {
            let names: Vec<_> = schema.tables.iter().map(|table| table.name.as_str()).collect();
            return Err(format!("no table {table}; there are {}", names.join(", ")));
        };
        let mut wishes = Vec::new();
        for (name, value) in values {
            let asked = known.column(name).is_some_and(|column| column.ask) || known.detail(name).is_some();
            if !asked {
                return Err(format!("no column {name} in {table}"));
            }
            let mut filled = String::new();
            for piece in split(value) {
                match piece {
                    Piece::Special(placeholder) => {
                        let value = self.value(&placeholder);
                        filled.push_str(&value.ok_or_else(|| format!("{placeholder} is not known yet"))?);
                    }
                    Piece::Text(text) => filled.push_str(&text),
                }
            }
            wishes.push((name.to_owned(), filled));
        }
        Ok((table.to_owned(), wishes))
    }

    /// The answer to a call: a booking for `book`, else what is found. `self` has learned it.
    pub fn answer(&mut self, database: &Database, bookings: &mut Bookings, call: &Call) -> Lookup {
        if call.tool == "book" { self.book(database, bookings, call) } else { self.look_up(database, call) }
    }

    /// The result of a `lookup`, as JSON; `self` has learned it.
    ///
    /// Of several wishes those that name something unknown are left out: "the same people" where nobody was counted says
    /// no less about the area. A booking that needs them will say that they are missing.
    pub fn look_up(&mut self, database: &Database, call: &Call) -> Lookup {
        let known = self.without_unknown(call);
        let result = match self.wishes(database.schema(), known.as_ref().unwrap_or(call)) {
            Ok((name, wishes)) => match database.schema().table(&name) {
                Some(table) => {
                    let wishes = match database.schema().lookups {
                        Lookups::Whole => wishes,
                        Lookups::Changes => self.laid_over(table, wishes),
                    };
                    self.found(database, table, wishes)
                }
                None => refusal(&format!("no table {name}")),
            },
            Err(problem) => refusal(&problem),
        };
        let lookup = Lookup { call: call.clone(), result };
        self.learn(&lookup);
        lookup
    }

    /// The call without the wishes whose placeholders nothing fills; none if nothing or all would be left out.
    fn without_unknown(&self, call: &Call) -> Option<Call> {
        let (table, values) = call.table_values()?;
        let is_known = |piece: Piece<'_>| match piece {
            Piece::Special(placeholder) => self.value(&placeholder).is_some(),
            Piece::Text(_) => true,
        };
        let filled = values.iter().filter(|(_, value)| split(value).into_iter().all(is_known));
        let kept: Vec<(&str, &str)> = filled.copied().collect();
        let some = !kept.is_empty() && kept.len() < values.len();
        some.then(|| Call::of_table(&call.tool, table, kept))
    }

    /// The wishes so far with new ones over them, in the order of the schema's columns.
    fn laid_over(&self, table: &Table, new: Vec<(String, String)>) -> Vec<(String, String)> {
        let (title, about) = (&table.title().name, self.tables.get(&table.name));
        let stays = |name: &str| {
            let anew = about.is_some_and(|about| about.settled) && table.detail(name).is_none();
            !anew && !new.iter().any(|(own, _)| own == name) && (new.is_empty() || name != title)
        };
        let before = about.map(|about| about.wishes.clone()).unwrap_or_default();
        let mut all: Vec<_> = before.into_iter().filter(|(name, _)| stays(name)).chain(new.clone()).collect();
        let place = |name: &str| table.names().position(|own| own == name);
        all.sort_by_key(|(name, _)| place(name));
        all
    }

    fn found(&self, database: &Database, table: &Table, wishes: Vec<(String, String)>) -> String {
        let borrowed: Vec<_> = wishes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = match database.select(table, &borrowed) {
            Ok(answer) => answer,
            Err(error) => return refusal(&error.to_string()),
        };
        let before = self.tables.get(&table.name);
        let (mut passed, mut answer) = (0, answer);
        let first = before.and_then(|before| before.rows.first());
        if let (Some(before), Some(at)) =
            (before, first.and_then(|row| answer.rows.iter().position(|r| r == row)))
        {
            if before.wishes == wishes {
                // The same question again asks for another row: the one after the row at hand.
                passed = before.passed + 1;
                let next = (at + 1) % answer.rows.len();
                answer.rows.rotate_left(next);
            } else {
                // What was spoken of stays first as long as it meets the wishes.
                answer.rows[..=at].rotate_right(1);
            }
        }
        found(table, &wishes, &answer, passed)
    }

    /// The result of a `book`: of the row at hand, with the details that lookups noted and the call's own.
    pub fn book(&mut self, database: &Database, bookings: &mut Bookings, call: &Call) -> Lookup {
        let result = self.booked(database, bookings, call).unwrap_or_else(|problem| refusal(&problem));
        let lookup = Lookup { call: call.clone(), result };
        self.learn(&lookup);
        lookup
    }

    fn booked(&self, database: &Database, bookings: &mut Bookings, call: &Call) -> Result<String, String> {
        let (name, wishes) = self.wishes(database.schema(), call)?;
        let table = database.schema().table(&name).filter(|table| table.booking.is_some());
        let table = table.ok_or_else(|| format!("{name} cannot be booked"))?;
        let about = self.tables.get(&name);
        let mut all = about.map(|about| about.wishes.clone()).unwrap_or_default();
        for (name, value) in wishes {
            all.retain(|(own, _)| *own != name);
            all.push((name, value));
        }
        let details: Vec<_> = all.iter().filter(|(name, _)| table.detail(name).is_some()).cloned().collect();
        if let Some(missing) = missing(table, &details) {
            return Err(format!("{missing} is not known"));
        }
        let known = about.and_then(|about| about.rows.first().cloned());
        let service = table.columns.iter().all(|column| !column.ask);
        let row = if let Some(row) = known.filter(|_| !service) {
            row
        } else {
            let borrowed: Vec<_> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let mut rows = database.select(table, &borrowed).map_err(|e| e.to_string())?.rows;
            if rows.is_empty() {
                return Err(format!("no {name} meets the wishes"));
            }
            // A service's rows take turns.
            let turn = if service { bookings.list().map_err(|e| e.to_string())?.len() } else { 0 };
            rows.swap_remove(turn % rows.len())
        };
        match bookings.book(table, &row, &details).map_err(|e| e.to_string())? {
            // Another time is enough the next time: the rest is remembered.
            Outcome::Full => Ok(json!({
                "says": "not possible : no room", "table": name, "where": object(&all), "error": "no room"
            })
            .to_string()),
            Outcome::Booked(reference) => Ok(json!({
                "says": "booked", "table": name, "where": object(&all), "reference": reference,
                "title": table.title_of(&row), "rows": [object(&row)]
            })
            .to_string()),
        }
    }

    /// The value that a placeholder stands for: `{hotel.name}`, `{hotel.name.2}`, `{hotel.count}`, and `{bookings}`
    /// for all that was booked.
    pub fn value(&self, placeholder: &str) -> Option<String> {
        let name = inside(placeholder)?;
        if name == BOOKINGS {
            return Some(self.all_booked());
        }
        let mut parts = name.splitn(3, '.');
        let (table, column) = (parts.next()?, parts.next()?);
        let place = match parts.next() {
            Some(place) => place.parse::<usize>().ok().filter(|&place| place > 0)? - 1,
            None => 0,
        };
        let about = self.tables.get(table)?;
        let of = |pairs: &[(String, String)]| {
            let found = pairs.iter().find(|(name, value)| name == column && !is_any(value));
            found.map(|(_, value)| value.clone())
        };
        match column {
            "count" => Some(about.count.to_string()),
            "reference" => about.reference.clone(),
            "total" => total(about),
            _ => about.rows.get(place).and_then(|row| of(row)).or_else(|| of(&about.wishes)),
        }
    }

    /// Everything that was booked, as a list in one sentence.
    fn all_booked(&self) -> String {
        let one = |[table, title, reference]: &[String; 3]| {
            let of = if title.is_empty() { String::new() } else { format!(" {title}") };
            format!("{table}{of} (reference {reference})")
        };
        match self.booked.as_slice() {
            [] => "nothing yet".to_owned(),
            booked => booked.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    }

    /// A reply with its placeholders filled. One that nothing explains is said in words, never made up.
    pub fn fill(&self, text: &str) -> String {
        split(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.into_owned(),
                Piece::Special(name) => self.value(&name).unwrap_or_else(|| unknown(&name)),
            })
            .collect()
    }
}

/// What a row's price comes to for all people of a booking.
fn total(about: &About) -> Option<String> {
    let named = |pairs: &[(String, String)], wanted: &str| {
        pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    let price = about.rows.first().and_then(|row| named(row, "price"))?;
    let (amount, currency) = price.split_once(' ').unwrap_or((&price, ""));
    let people: u32 = named(&about.wishes, "book people")?.trim().parse().ok()?;
    // In hundredths, as money is.
    let hundredths =
        (amount.parse::<f64>().ok().filter(|a| a.is_finite() && *a < 1e9)? * 100.0).round() as u64;
    let sum = hundredths * u64::from(people);
    Some(format!("{}.{:02} {currency}", sum / 100, sum % 100).trim_end().to_owned())
}

fn unknown(placeholder: &str) -> String {
    let name = inside(placeholder).unwrap_or("value");
    format!("(no {} known)", name.split('.').take(2).collect::<Vec<_>>().join(" "))
}

/// A detail that a booking needs and that is not known.
fn missing(table: &Table, details: &[(String, String)]) -> Option<String> {
    let known = |name: &str| details.iter().any(|(own, value)| own == name && !is_any(value));
    let group_known = |group: &str| {
        table.details.iter().any(|detail| detail.one_of.as_deref() == Some(group) && known(&detail.name))
    };
    table.details.iter().find_map(|detail| match &detail.one_of {
        Some(group) if !group_known(group) => Some(group.clone()),
        None if detail.required && !known(&detail.name) => Some(detail.name.clone()),
        _ => None,
    })
}
