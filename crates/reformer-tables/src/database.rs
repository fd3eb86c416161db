//! A read-only SQLite database, asked by what a schema allows.
//!
//! ```text
//! SELECT columns FROM "hotel" WHERE plain("area") = ?1 AND "leaveat" >= ?2 ORDER BY "leaveat" LIMIT 3
//! ```
//! Names are the schema's, quoted; values are bound. A name that no row has exactly is looked for among names that hold
//! it, and then among those with a slip of the pen. Rows and instructions are bounded.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::plain::{is_any, near, plain, time};
use crate::{Compare, Kind, Schema, Table, TablesError};

/// A row: its columns in the schema's order, as text.
pub type Row = Vec<(String, String)>;

/// Rows that an answer holds at most.
const ROWS: usize = 50;
/// SQLite instructions that a question may take: about ten seconds.
const STEPS: u64 = 400_000_000;
/// Between two looks at the count.
const STRIDE: i32 = 100_000;

/// What a question found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Rows that match.
    pub count: usize,
    /// The first of them.
    pub rows: Vec<Row>,
}

/// A database that is only read.
pub struct Database {
    path: PathBuf,
    schema: Schema,
    connection: Connection,
    /// Looks at the count that a question has left.
    left: Arc<AtomicU64>,
    known: RefCell<HashMap<String, Answer>>,
    version: RefCell<i64>,
}

impl Database {
    /// Opens a database and checks that it has what the schema names.
    pub fn open(path: &Path, schema: Schema) -> Result<Self, TablesError> {
        let failed = |action| move |e: rusqlite::Error| TablesError::database(path, action, &e);
        if !path.is_file() {
            let source = std::fs::metadata(path).err();
            return Err(match source {
                Some(source) => TablesError::io("read", path, source),
                None => TablesError::Malformed {
                    path: path.to_owned(),
                    problem: "not a file".to_owned(),
                    expected: "a SQLite database; `reformer data tables` makes one of a folder".to_owned(),
                },
            });
        }
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(failed("open the database"))?;
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
        };
        connection
            .create_scalar_function("plain", 1, flags, move |call| Ok(plain(&text(call.get_raw(0)))))
            .and_then(|()| {
                connection.create_scalar_function("near", 2, flags, move |call| {
                    Ok(near(&plain(&text(call.get_raw(0))), &text(call.get_raw(1))))
                })
            })
            .map_err(failed("prepare the database"))?;
        let left = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&left);
        connection
            .progress_handler(
                STRIDE,
                // Zero stops the question, and stays zero.
                Some(move || {
                    let one_less = |left: u64| left.checked_sub(1);
                    watched.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err()
                }),
            )
            .map_err(failed("prepare the database"))?;
        let database = Self {
            path: path.to_owned(),
            schema,
            connection,
            left,
            known: RefCell::default(),
            version: RefCell::new(-1),
        };
        for table in &database.schema.tables {
            let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
            let sql = format!("SELECT {} FROM {} LIMIT 0", columns.join(", "), quoted(&table.name));
            database.connection.prepare(&sql).map_err(|e| {
                if e.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) {
                    TablesError::Malformed {
                        path: path.to_owned(),
                        problem: format!("the table {} is not as the schema has it ({e})", table.name),
                        expected:
                            "every table and column of the schema; make the database again, or correct \
                                   the schema"
                                .to_owned(),
                    }
                } else {
                    TablesError::database(path, "read the database", &e)
                }
            })?;
        }
        Ok(database)
    }

    /// Opens a database with the schema that lies beside it.
    pub fn open_beside(path: &Path) -> Result<Self, TablesError> {
        std::fs::metadata(path).map_err(|e| TablesError::io("read", path, e))?;
        let beside = Schema::path_beside(path);
        if !beside.exists() {
            return Err(TablesError::Malformed {
                path: beside,
                problem: "is not there".to_owned(),
                expected: format!(
                    "the schema of {}, which says what may be asked; `reformer data tables` writes it",
                    path.display()
                ),
            });
        }
        Self::open(path, Schema::load(&beside)?)
    }

    /// What may be asked.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of `table` whose columns are as `wishes` say; wishes of other names than columns are no constraint.
    pub fn select(&self, table: &Table, wishes: &[(&str, &str)]) -> Result<Answer, TablesError> {
        self.forget_if_changed()?;
        let wishes: Vec<(&str, &str)> = wishes
            .iter()
            .copied()
            .filter(|(name, value)| table.column(name).is_some() && !is_any(value))
            .collect();
        let key = format!("{} {wishes:?}", table.name);
        if let Some(answer) = self.known.borrow().get(&key) {
            return Ok(answer.clone());
        }
        let named = wishes.iter().any(|(name, _)| table.column(name).is_some_and(|c| c.kind == Kind::Name));
        let mut answer = self.ask(table, &wishes, Leniency::Exact)?;
        for leniency in [Leniency::Part, Leniency::Slip] {
            if named && answer.count == 0 {
                answer = self.ask(table, &wishes, leniency)?;
            }
        }
        if self.known.borrow().len() > 10_000 {
            self.known.borrow_mut().clear();
        }
        self.known.borrow_mut().insert(key, answer.clone());
        Ok(answer)
    }

    /// Every row of a table, for a caller that compares texts with them.
    pub fn all_rows(&self, table: &Table) -> Result<Vec<Row>, TablesError> {
        self.rows(table, "", &[], usize::MAX >> 1)
    }

    /// Another program may write while we read: what is known is as old as the file's version.
    fn forget_if_changed(&self) -> Result<(), TablesError> {
        let version = self
            .connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|e| TablesError::database(&self.path, "read the database", &e))?;
        if self.version.replace(version) != version {
            self.known.borrow_mut().clear();
        }
        Ok(())
    }

    fn ask(&self, table: &Table, wishes: &[(&str, &str)], leniency: Leniency) -> Result<Answer, TablesError> {
        let (mut conditions, mut values, mut order) = (Vec::new(), Vec::new(), String::new());
        for (name, value) in wishes {
            let Some(column) = table.column(name) else { continue };
            let quoted = quoted(name);
            let mut either = Vec::new();
            for value in value.split('|') {
                let value = column.meant(value.trim());
                let (value, comparable) = match (column.kind, time(value)) {
                    (Kind::Time, Some(time)) => (time, true),
                    _ => (plain(value), false),
                };
                if value.is_empty() {
                    // Signs alone are no value that a row could have.
                    either.push("0".to_owned());
                    continue;
                }
                values.push(value);
                let bound = values.len();
                either.push(match (column.compare, column.kind, leniency) {
                    (Compare::AtLeast, ..) if comparable => format!("{quoted} >= ?{bound}"),
                    (Compare::AtMost, ..) if comparable => format!("{quoted} <= ?{bound}"),
                    (.., Kind::Name, Leniency::Part) => format!(
                        "(instr(plain({quoted}), ?{bound}) > 0 OR (length(plain({quoted})) > 3 AND \
                         instr(?{bound}, plain({quoted})) > 0))"
                    ),
                    (.., Kind::Name, Leniency::Slip) => format!("near({quoted}, ?{bound})"),
                    (.., Kind::Time, _) if comparable => format!("{quoted} = ?{bound}"),
                    _ => format!("plain({quoted}) = ?{bound}"),
                });
            }
            conditions.push(format!("({})", either.join(" OR ")));
            match column.compare {
                Compare::AtLeast => order = format!(" ORDER BY {quoted}, rowid"),
                Compare::AtMost => order = format!(" ORDER BY {quoted} DESC, rowid"),
                Compare::Equal => {}
            }
        }
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let sql = format!("SELECT count(*) FROM {}{filter}", quoted(&table.name));
        let count: usize = self.bounded(table, || {
            self.connection.query_row(&sql, params_from_iter(&values), |row| row.get::<_, i64>(0))
        })? as usize;
        let rows = if count == 0 { Vec::new() } else { self.rows(table, &(filter + &order), &values, ROWS)? };
        Ok(Answer { count, rows })
    }

    fn rows(
        &self,
        table: &Table,
        tail: &str,
        values: &[String],
        limit: usize,
    ) -> Result<Vec<Row>, TablesError> {
        let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let sql = format!("SELECT {} FROM {}{tail} LIMIT {limit}", columns.join(", "), quoted(&table.name));
        self.bounded(table, || {
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map(params_from_iter(values), |row| {
                let cell = |(at, column): (usize, &crate::Column)| {
                    let value = match row.get_ref(at)? {
                        ValueRef::Null => String::new(),
                        ValueRef::Integer(number) => number.to_string(),
                        ValueRef::Real(number) => number.to_string(),
                        ValueRef::Text(text) | ValueRef::Blob(text) => {
                            String::from_utf8_lossy(text).into_owned()
                        }
                    };
                    Ok((column.name.clone(), value))
                };
                table.columns.iter().enumerate().map(cell).collect::<rusqlite::Result<Row>>()
            })?;
            rows.collect()
        })
    }

    /// Runs a query under the limit of instructions.
    fn bounded<T>(
        &self,
        table: &Table,
        query: impl FnOnce() -> rusqlite::Result<T>,
    ) -> Result<T, TablesError> {
        self.left.store(STEPS / STRIDE as u64, Ordering::Relaxed);
        query().map_err(|e| {
            if self.left.load(Ordering::Relaxed) == 0 {
                TablesError::TooLong { path: self.path.clone(), table: table.name.clone(), limit: STEPS }
            } else {
                TablesError::database(&self.path, "ask the database", &e)
            }
        })
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How a name is held against a row's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leniency {
    Exact,
    Part,
    Slip,
}

/// A name in SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
