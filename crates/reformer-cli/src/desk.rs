//! Who answers a model's calls from tables: opening them, and the plain host that does nothing else.

use std::path::Path;

use anyhow::Context;
use reformer::generate::Host;
use reformer::text::{Call, Lookup, Turn};
use reformer_tables::{Bookings, Database, Talk};

use crate::terminal::Terminal;

/// Opens a database with its schema, and the file for bookings. Without one they are forgotten when `whole` ("the chat")
/// ends; one that nobody asked for (`optional`) need not be writable.
pub(crate) fn open(
    tables: &Path,
    bookings: Option<&Path>,
    optional: bool,
    whole: &str,
    terminal: Terminal,
) -> anyhow::Result<(Database, Bookings)> {
    let database = Database::open_beside(tables)
        .with_context(|| format!("cannot use the tables {}", tables.display()))?;
    let bookings = match bookings.map(Bookings::open) {
        Some(Err(error)) if optional => {
            terminal.warn(format_args!("{error}; bookings are forgotten when {whole} ends"));
            Bookings::in_memory()?
        }
        Some(opened) => opened?,
        None => Bookings::in_memory()?,
    };
    Ok((database, bookings))
}

/// Answers one dialogue's calls.
pub(crate) struct Desk<'d> {
    pub(crate) database: &'d Database,
    pub(crate) bookings: Bookings,
    pub(crate) talk: Talk,
}

impl Host for Desk<'_> {
    fn answer(&mut self, call: &Call) -> Lookup {
        self.talk.answer(self.database, &mut self.bookings, call)
    }

    fn fill(&self, text: &str) -> String {
        self.talk.fill(text)
    }

    fn follow(&mut self, turns: &[Turn]) {
        self.talk = Talk::replay(turns);
    }
}
