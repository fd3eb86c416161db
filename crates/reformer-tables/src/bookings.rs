//! Bookings: a second SQLite file, one transaction each.
//!
//! ```text
//! BEGIN IMMEDIATE → is the slot full? → INSERT → COMMIT, synced → the reference is told
//! ```
//! A reference that was told is on the disk: a crash loses none. A crash before that leaves nothing of the booking, or
//! all of it; nothing is tried twice, so none is there twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde_json::Value;

use crate::result::object;
use crate::{Row, Table, TablesError};

/// How long another program's writing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where the format of the file is told: SQLite's `application_id`, "rfbk".
const FORMAT: i32 = 0x7266_626b;

/// The file of bookings.
#[derive(Debug)]
pub struct Bookings {
    path: PathBuf,
    connection: Connection,
}

/// A booking as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// What the guest is told.
    pub reference: String,
    /// The table of the row.
    pub table: String,
    /// The row's name.
    pub title: String,
    /// Its details, a JSON object.
    pub details: String,
}

/// What came of a wish to book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is booked, under this reference.
    Booked(String),
    /// The slot has no room left.
    Full,
}

impl Bookings {
    /// Opens a file, or makes it.
    pub fn open(path: &Path) -> Result<Self, TablesError> {
        let failed = |action| move |e: rusqlite::Error| TablesError::database(path, action, &e);
        let connection = Connection::open(path).map_err(failed("open the bookings"))?;
        Self::prepare(connection, path)
    }

    /// Bookings that end with the program.
    pub fn in_memory() -> Result<Self, TablesError> {
        let path = Path::new(":memory:");
        let connection =
            Connection::open_in_memory().map_err(|e| TablesError::database(path, "open the bookings", &e))?;
        Self::prepare(connection, path)
    }

    fn prepare(mut connection: Connection, path: &Path) -> Result<Self, TablesError> {
        let failed = |e: rusqlite::Error| TablesError::database(path, "prepare the bookings", &e);
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        // FULL syncs before a commit is told; without it a power cut could lose one.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        // One look at both: between two, another program may have made the file.
        let look = connection.transaction().map_err(failed)?;
        let id: i32 = look.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
        let tables: i64 =
            look.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(failed)?;
        look.finish().map_err(failed)?;
        if id != FORMAT {
            if tables > 0 {
                return Err(TablesError::Malformed {
                    path: path.to_owned(),
                    problem: "a database of something else".to_owned(),
                    expected: "a file of bookings; name one that does not exist yet, it is made".to_owned(),
                });
            }
            connection
                .execute_batch(&format!(
                    "BEGIN IMMEDIATE;
                     CREATE TABLE IF NOT EXISTS bookings (
                         id INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT NOT NULL UNIQUE,
                         tbl TEXT NOT NULL, title TEXT NOT NULL, slot TEXT NOT NULL, row TEXT NOT NULL,
                         details TEXT NOT NULL);
                     CREATE INDEX IF NOT EXISTS slots ON bookings (tbl, slot);
                     PRAGMA application_id = {FORMAT};
                     COMMIT;"
                ))
                .map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Lets the file grow by so many pages at most: a caller's own bound, met like a full disk.
    pub fn limit_pages(&mut self, more: u32) -> Result<(), TablesError> {
        let failed = |e: rusqlite::Error| TablesError::database(&self.path, "limit the bookings", &e);
        let pages: u32 =
            self.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(failed)?;
        let most = pages.saturating_add(more);
        self.connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).map_err(failed)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Books a row with its details, if its slot has room.
    pub fn book(
        &mut self,
        table: &Table,
        row: &Row,
        details: &[(String, String)],
    ) -> Result<Outcome, TablesError> {
        let path = self.path.clone();
        let failed = |e: rusqlite::Error| TablesError::database(&path, "write the booking", &e);
        let title = table.title_of(row);
        let booking = table.booking.clone().unwrap_or_default();
        let mut slot = vec![title.to_owned()];
        for name in &booking.slot {
            let value =
                details.iter().chain(row).find(|(own, _)| own == name).map(|(_, value)| value.clone());
            slot.push(value.unwrap_or_default());
        }
        let slot = Value::from(slot).to_string();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if let Some(capacity) = booking.capacity {
            let taken: u32 = transaction
                .query_row(
                    "SELECT count(*) FROM bookings WHERE tbl = ?1 AND slot = ?2",
                    params![table.name, slot],
                    |row| row.get(0),
                )
                .map_err(failed)?;
            if taken >= capacity {
                return Ok(Outcome::Full);
            }
        }
        let last: Option<i64> = transaction
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'bookings'", [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let reference = reference(last.unwrap_or(0) as u64 + 1);
        transaction
            .execute(
                "INSERT INTO bookings (reference, tbl, title, slot, row, details) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    reference,
                    table.name,
                    title,
                    slot,
                    object(row).to_string(),
                    object(details).to_string()
                ],
            )
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(Outcome::Booked(reference))
    }

    /// Takes a booking back; whether there was one.
    pub fn cancel(&mut self, reference: &str) -> Result<bool, TablesError> {
        let failed = |e: rusqlite::Error| TablesError::database(&self.path, "take the booking back", &e);
        let removed = self
            .connection
            .execute("DELETE FROM bookings WHERE reference = ?1", params![reference])
            .map_err(failed)?;
        Ok(removed > 0)
    }

    /// All bookings, oldest first.
    pub fn list(&self) -> Result<Vec<Booked>, TablesError> {
        let failed = |e: rusqlite::Error| TablesError::database(&self.path, "read the bookings", &e);
        let mut statement = self
            .connection
            .prepare("SELECT reference, tbl, title, details FROM bookings ORDER BY id")
            .map_err(failed)?;
        let rows = statement
            .query_map([], |row| {
                Ok(Booked {
                    reference: row.get(0)?,
                    table: row.get(1)?,
                    title: row.get(2)?,
                    details: row.get(3)?,
                })
            })
            .map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}

/// Eight letters and digits, another for every number: an odd multiplier permutes the numbers below 36⁸.
fn reference(number: u64) -> String {
    const SIGNS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    const ALL: u64 = 36_u64.pow(8);
    // Coprime to 36: neither even nor a multiple of three.
    let mut mixed =
        ((u128::from(number % ALL) * 1_442_695_040_888_963_407 + 987_654_321) % u128::from(ALL)) as u64;
    let mut signs = String::with_capacity(8);
    for _ in 0..8 {
        signs.push(char::from(SIGNS[(mixed % 36) as usize]));
        mixed /= 36;
    }
    // The lowest digit changes in a short round: it stands last.
    signs.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_thousand_references_are_all_different() {
        let all: std::collections::HashSet<_> = (1..=100_000).map(reference).collect();
        assert_eq!(all.len(), 100_000);
    }
}
