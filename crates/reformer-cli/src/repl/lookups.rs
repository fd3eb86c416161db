//! The chat's tables: the database that the model asks, the bookings it makes, and what the person may see of both.

use std::collections::BTreeSet;
use std::path::Path;

use reformer::generate::Host;
use reformer::text::{Call, Lookup, Turn};
use reformer_tables::{Bookings, Database, Talk};
use serde_json::Value;

use crate::desk;
use crate::exit::{report, usage};
use crate::open_model::OpenModel;
use crate::terminal::{DIM, PLAIN, Terminal};

/// What the model may ask and book.
pub(crate) struct Tables {
    database: Database,
    bookings: Bookings,
    talk: Talk,
    /// References of this conversation, so that undoing takes a booking back.
    references: BTreeSet<String>,
    terminal: Terminal,
}

impl Tables {
    /// Opens the database and its schema; without a file bookings end with the chat. One that nobody asked for
    /// (`optional`) need not be writable.
    pub(crate) fn open(
        tables: &Path,
        bookings: Option<&Path>,
        optional: bool,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let (database, bookings) = desk::open(tables, bookings, optional, "the chat", terminal)?;
        let (talk, references) = (Talk::default(), BTreeSet::new());
        Ok(Self { database, bookings, talk, references, terminal })
    }

    /// Refuses a model that has not learned to ask.
    pub(crate) fn may_ask(opened: &OpenModel) -> anyhow::Result<()> {
        if opened.tokenizer.has_lookups() {
            return Ok(());
        }
        Err(usage(anyhow::anyhow!(
            "{} has not learned to look things up; leave --tables out, or train on dialogues with lookups \
             (`reformer data ground` makes some)",
            opened.folder.display()
        )))
    }

    /// What there is, for the first lines of a chat.
    pub(crate) fn about(&self) -> String {
        let names: Vec<_> = self.database.schema().tables.iter().map(|table| table.name.as_str()).collect();
        let bookings = match self.bookings.path() {
            path if path == Path::new(":memory:") => "bookings are forgotten when the chat ends".to_owned(),
            path => format!("bookings go to {}", path.display()),
        };
        format!(
            "It looks things up in {} ({}); {bookings}.",
            self.database.path().display(),
            names.join(", ")
        )
    }

    /// Begins with these turns; nothing that was booked before is taken back.
    pub(crate) fn begin(&mut self, turns: &[Turn]) {
        self.references.clear();
        self.talk = Talk::replay(turns);
    }

    /// Every lookup of these turns, a line each.
    pub(crate) fn lines(turns: &[Turn]) -> Vec<String> {
        turns.iter().flat_map(|turn| &turn.lookups).map(line).collect()
    }

    /// The turns' words as the person saw them: each filled with what was known then.
    pub(crate) fn filled(turns: &[Turn]) -> Vec<String> {
        let mut talk = Talk::default();
        let fill = |turn: &Turn| {
            turn.lookups.iter().for_each(|lookup| talk.learn(lookup));
            if turn.role == reformer::text::Role::Assistant {
                talk.fill(&turn.text)
            } else {
                turn.text.clone()
            }
        };
        turns.iter().map(fill).collect()
    }

    /// All bookings of the file, a line each.
    pub(crate) fn bookings(&self) -> anyhow::Result<Vec<String>> {
        let booked = self.bookings.list()?;
        let details = |json: &str| -> String {
            let object: serde_json::Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
            let pairs = object.iter().map(|(name, value)| (name, value.as_str().unwrap_or_default()));
            pairs.fold(String::new(), |line, (name, value)| line + ", " + name + " " + value)
        };
        Ok(booked
            .iter()
            .map(|b| format!("{}  {}: {}{}", b.reference, b.table, b.title, details(&b.details)))
            .collect())
    }
}

/// A lookup for the eye, its values as they were understood: `lookup hotel where area = north → 3 ; north`.
fn line(lookup: &Lookup) -> String {
    let result: Value = serde_json::from_str(&lookup.result).unwrap_or_default();
    let answer = match reference(lookup) {
        Some(reference) => format!("{}, reference {reference}", lookup.said()),
        None => lookup.said(),
    };
    let asked = match lookup.call.table_values() {
        Some((table, values)) => {
            let meant = |name: &str| result.get("where")?.get(name)?.as_str();
            let values: Vec<_> = values
                .iter()
                .map(|(name, value)| format!("{name} = {}", meant(name).unwrap_or(value)))
                .collect();
            let wish =
                if values.is_empty() { String::new() } else { format!(" where {}", values.join(", ")) };
            format!("{} {table}{wish}", lookup.call.tool)
        }
        None => format!("{} {}", lookup.call.tool, Value::from(lookup.call.arguments.clone())),
    };
    format!("{asked} → {answer}")
}

fn reference(lookup: &Lookup) -> Option<String> {
    let result: Value = serde_json::from_str(&lookup.result).ok()?;
    Some(result.get("reference")?.as_str()?.to_owned())
}

impl Host for Tables {
    fn answer(&mut self, call: &Call) -> Lookup {
        let lookup = self.talk.answer(&self.database, &mut self.bookings, call);
        self.references.extend(reference(&lookup));
        self.terminal.detail(format_args!("{DIM}[{}]{PLAIN}", line(&lookup)));
        lookup
    }

    fn fill(&self, text: &str) -> String {
        self.talk.fill(text)
    }

    fn follow(&mut self, turns: &[Turn]) {
        self.talk = Talk::replay(turns);
    }

    fn settle(&mut self, turns: &[Turn]) {
        let kept: BTreeSet<_> = turns.iter().flat_map(|turn| &turn.lookups).filter_map(reference).collect();
        for gone in self.references.difference(&kept) {
            match self.bookings.cancel(gone) {
                Ok(true) => self.terminal.say(format_args!("{DIM}[the booking {gone} is taken back]{PLAIN}")),
                Ok(false) => {}
                Err(error) => report(&error.into()),
            }
        }
        // What another chat booked, and a saved one brings along, is not ours to take back.
        self.references.retain(|reference| kept.contains(reference));
    }
}
