//! The server's tables: one database and one book of bookings for all conversations, which take turns.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use reformer::generate::Host;
use reformer::text::{Call, Lookup, Turn};
use reformer_tables::{Bookings, Database, Talk};

use crate::desk;
use crate::terminal::Terminal;

/// The tables and the bookings.
#[derive(Clone)]
pub(super) struct Town(Arc<Mutex<(Database, Bookings)>>);

impl fmt::Debug for Town {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Town")
    }
}

impl Town {
    /// Opens the database and its schema; without a file bookings end with the server. One that nobody asked for
    /// (`optional`) need not be writable.
    pub(super) fn open(
        tables: &Path,
        bookings: Option<&Path>,
        optional: bool,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let (database, bookings) = desk::open(tables, bookings, optional, "the server", terminal)?;
        Ok(Self(Arc::new(Mutex::new((database, bookings)))))
    }
}

impl reformer_server::Tables for Town {
    fn host(&self, turns: &[Turn]) -> Box<dyn Host + Send> {
        Box::new(Guest { town: self.clone(), talk: Talk::replay(turns) })
    }
}

/// One conversation's reply.
struct Guest {
    town: Town,
    talk: Talk,
}

impl Host for Guest {
    fn answer(&mut self, call: &Call) -> Lookup {
        // Whoever panicked with the lock left a database, whose transactions are whole or not at all.
        let mut town = self.town.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (database, bookings) = &mut *town;
        self.talk.answer(database, bookings, call)
    }

    fn fill(&self, text: &str) -> String {
        self.talk.fill(text)
    }

    fn follow(&mut self, turns: &[Turn]) {
        self.talk = Talk::replay(turns);
    }
}
