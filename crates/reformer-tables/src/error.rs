//! What can go wrong with tables: what, where, what was expected, what to do.

use std::path::PathBuf;

/// A fault in a schema, a database or a booking file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TablesError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: {problem}; expected {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What was expected, and what to do.
        expected: String,
    },
    /// SQLite refused.
    #[error("{}: cannot {action}: {reason}{}", path.display(), advice(reason))]
    Database {
        /// The database's file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// SQLite's reason.
        reason: String,
    },
    /// A query that ran longer than it may.
    #[error("{}: asking the table {table} took more than {limit} steps; add an index or fewer rows", path.display())]
    TooLong {
        /// The database's file.
        path: PathBuf,
        /// The table.
        table: String,
        /// SQLite instructions allowed.
        limit: u64,
    },
}

impl TablesError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn database(path: &std::path::Path, action: &'static str, reason: &rusqlite::Error) -> Self {
        Self::Database { path: path.to_owned(), action, reason: reason.to_string() }
    }
}

fn advice(reason: &str) -> &'static str {
    if reason.contains("locked") {
        "; another program holds it: close that program or wait, then try again"
    } else if reason.contains("readonly") {
        "; allow writing to the file and its folder"
    } else if reason.contains("full") {
        "; make room on the disk"
    } else if reason.contains("not a database") {
        "; give a SQLite file, or make one from CSV or JSON with `reformer data tables`"
    } else {
        ""
    }
}
