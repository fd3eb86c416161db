//! Holds a conversation against what it should have been: are the rows that it names what was wished for, do its
//! bookings exist, does it make anything up?
//!
//! The truth is a dialogue with lookups: its calls say what was wished for at every turn. What the model called is not
//! looked at; the tables are asked anew whether each row that a reply names meets the wishes, and the bookings whether
//! the right row is booked with the right details.

use std::collections::BTreeSet;

use reformer_text::Turn;
use reformer_text::lookups::compact::{Piece, inside, split};
use serde_json::{Map, Value};

use crate::plain::{plain, time};
use crate::{Booked, Bookings, Database, Row, Table, TablesError, Talk};

/// What is wrong with a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not what was wished for; why.
    Wrong(String),
    /// It names something that neither the tables nor the person know.
    Invented(String),
}

/// A reply, before and after its placeholders were filled.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// As the model wrote it.
    pub raw: &'a str,
    /// As the person reads it.
    pub filled: &'a str,
}

/// One conversation's check.
#[derive(Debug)]
pub struct Check<'a> {
    database: &'a Database,
    truth: Talk,
    bookings: Bookings,
    /// Bookings of the model's before the turn.
    before: usize,
    /// Every word that the person has said.
    heard: BTreeSet<String>,
}

impl<'a> Check<'a> {
    /// At the beginning of a conversation.
    pub fn new(database: &'a Database) -> Result<Self, TablesError> {
        let (truth, bookings) = (Talk::default(), Bookings::in_memory()?);
        Ok(Self { database, truth, bookings, before: 0, heard: BTreeSet::new() })
    }

    /// Before the model answers: the person has said `text`, and `turn` is the right answer. Where it finds that all is
    /// booked, `theirs`, the model's bookings, are filled up by others.
    pub fn prepare(&mut self, text: &str, turn: &Turn, theirs: &mut Bookings) -> Result<(), TablesError> {
        self.heard.extend(words(text).map(plain));
        for lookup in &turn.lookups {
            let refused = lookup.said().starts_with("not possible");
            if lookup.call.tool != "book" {
                self.truth.look_up(self.database, &lookup.call);
            } else if refused {
                let Ok((name, details)) = self.truth.wishes(self.database.schema(), &lookup.call) else {
                    continue;
                };
                let Some(table) = self.database.schema().table(&name) else { continue };
                let row = self.truth.about(&name).and_then(|about| about.rows.first());
                let room = table.booking.as_ref().and_then(|booking| booking.capacity).unwrap_or(0);
                for bookings in [&mut *theirs, &mut self.bookings] {
                    for _ in 0..room {
                        row.map(|row| bookings.book(table, row, &details)).transpose()?;
                    }
                }
                self.truth.book(self.database, &mut self.bookings, &lookup.call);
            } else {
                self.truth.book(self.database, &mut self.bookings, &lookup.call);
            }
        }
        self.before = theirs.list()?.len();
        Ok(())
    }

    /// What is wrong with what was said instead of `turn`.
    pub fn faults(&self, turn: &Turn, said: Said<'_>, theirs: &Bookings) -> Result<Vec<Fault>, TablesError> {
        let mut faults = self.invented(said.raw);
        let booked = theirs.list()?;
        let mut wrong = |problem: String| faults.push(Fault::Wrong(problem));
        if said.filled.contains("(no ") {
            wrong(format!("a placeholder that nothing fills: {}", said.filled));
        }
        if turn.text.contains("{bookings}")
            && let Some(missing) = booked.iter().find(|booked| !said.filled.contains(&booked.reference))
        {
            wrong(format!("the booking of {} is not told", missing.title));
        }
        let asked: Vec<(String, String)> = split(&turn.text).iter().filter_map(placeholder).collect();
        let mut tables: Vec<&str> = asked.iter().map(|(table, _)| table.as_str()).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables.iter().filter_map(|name| self.database.schema().table(name)) {
            let title = table.title().name.as_str();
            let named = self.named(table, said.filled)?;
            let last = booked.iter().rev().find(|booked| booked.table == table.name);
            let wishes = self.wishes(table);
            for row in &named {
                let name = cell(row, title);
                if !self.meets(table, row, &wishes)? {
                    wrong(format!("{name} is not what was wished for: {}", spelled(&wishes)));
                }
            }
            for (_, column) in asked.iter().filter(|(of, _)| *of == table.name) {
                let told = match column.as_str() {
                    "reference" => last.is_some_and(|booked| said.filled.contains(&booked.reference)),
                    column if column == title => !named.is_empty(),
                    // What was asked: the row that is named knows, or the row that is booked.
                    column if turn.lookups.is_empty() && table.column(column).is_some() => {
                        let own = last.map(|booked| self.named(table, &booked.title)).transpose()?;
                        let rows = if named.is_empty() { own.unwrap_or_default() } else { named.clone() };
                        rows.iter().any(|row| said.filled.contains(cell(row, column)))
                    }
                    _ => true,
                };
                if !told {
                    wrong(format!("the {column} of the {} is not told", table.name));
                }
            }
        }
        let new = &booked[self.before.min(booked.len())..];
        let right = turn.lookups.iter().filter(|l| l.call.tool == "book" && l.said() == "booked");
        let expected: Vec<&str> = right.filter_map(|lookup| Some(lookup.call.table_values()?.0)).collect();
        let made: Vec<&str> = new.iter().map(|booked| booked.table.as_str()).collect();
        if made != expected {
            wrong(format!("booked {made:?} instead of {expected:?}"));
            return Ok(faults);
        }
        for booked in new {
            if let Some(problem) = self.misbooked(booked)? {
                wrong(problem);
            }
        }
        Ok(faults)
    }

    /// Wishes for columns, as the truth has them.
    fn wishes(&self, table: &Table) -> Vec<(String, String)> {
        let all = self.truth.about(&table.name).map(|about| about.wishes.clone()).unwrap_or_default();
        all.into_iter().filter(|(name, _)| table.column(name).is_some()).collect()
    }

    fn meets(&self, table: &Table, row: &Row, wishes: &[(String, String)]) -> Result<bool, TablesError> {
        let wishes: Vec<_> = wishes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(self.database.select(table, &wishes)?.rows.contains(row))
    }

    /// The rows of a table whose names stand in a text as whole words.
    fn named(&self, table: &Table, text: &str) -> Result<Vec<Row>, TablesError> {
        let spaced = |text: &str| format!(" {} ", words(text).map(plain).collect::<Vec<_>>().join(" "));
        let text = spaced(text);
        let rows = self.database.all_rows(table)?;
        Ok(rows.into_iter().filter(|row| text.contains(&spaced(table.title_of(row)))).collect())
    }

    /// What is wrong with a booking, if anything.
    fn misbooked(&self, booked: &Booked) -> Result<Option<String>, TablesError> {
        let Some(table) = self.database.schema().table(&booked.table) else {
            return Ok(Some(format!("{} is no table", booked.table)));
        };
        let wishes = self.wishes(table);
        let rows = self.named(table, &booked.title)?;
        let exact = rows.iter().find(|row| table.title_of(row) == booked.title);
        let Some(row) = exact else {
            return Ok(Some(format!("{} is booked, which is not there", booked.title)));
        };
        let service = table.columns.iter().all(|column| !column.ask);
        if !service && !self.meets(table, row, &wishes)? {
            return Ok(Some(format!("{} is booked, wished for was {}", booked.title, spelled(&wishes))));
        }
        let details: Map<String, Value> = serde_json::from_str(&booked.details).unwrap_or_default();
        let all = self.truth.about(&table.name).map(|about| about.wishes.clone()).unwrap_or_default();
        let form = |value: &str| time(value).unwrap_or_else(|| plain(value));
        for detail in &table.details {
            let wanted = all.iter().find(|(name, _)| *name == detail.name).map_or("", |(_, value)| value);
            let got = details.get(&detail.name).and_then(Value::as_str).unwrap_or_default();
            if form(wanted) != form(got) {
                return Ok(Some(format!("booked with {} {got:?} instead of {wanted:?}", detail.name)));
            }
        }
        Ok(None)
    }

    /// Names and numbers in the model's own words. What fills a placeholder is a table's, a booking's or the person's.
    fn invented(&self, raw: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut begins = true;
        for piece in split(raw) {
            let Piece::Text(text) = piece else {
                begins = false;
                continue;
            };
            for word in text.split_whitespace() {
                let number = word.contains(|c: char| c.is_ascii_digit());
                let name = word.starts_with(char::is_uppercase) && !begins && word != "I";
                if (number || name) && !self.heard.contains(&plain(word)) {
                    faults.push(Fault::Invented(word.to_owned()));
                }
                begins = word.ends_with(['.', '!', '?', ':', ';']);
            }
        }
        faults
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != ':').filter(|word| !word.is_empty())
}

fn cell<'r>(row: &'r Row, column: &str) -> &'r str {
    row.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value)
}

fn spelled(wishes: &[(String, String)]) -> String {
    let all: Vec<_> = wishes.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if all.is_empty() { "anything".to_owned() } else { all.join(", ") }
}

/// Table and column of a placeholder.
fn placeholder(piece: &Piece<'_>) -> Option<(String, String)> {
    let Piece::Special(name) = piece else { return None };
    let mut parts = inside(name)?.splitn(3, '.');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}
