//! Which tables and columns a dialogue may ask, and how their values are meant.
//!
//! ```json
//! {"tables": [{"name": "hotel",
//!   "columns": [{"name": "name", "kind": "name"}, {"name": "stars", "kind": "number", "units": ["star"]},
//!               {"name": "phone", "ask": false}],
//!   "shown": ["area", "stars"],
//!   "details": [{"name": "book people", "kind": "number", "units": ["people"], "required": true}],
//!   "booking": {"slot": ["book day"], "capacity": 20}}]}
//! ```
//! It lies beside the database as `NAME.schema.json`. A table with `rows` needs none in the database: `data tables`
//! writes them there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TablesError;

/// All tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// What a lookup says of the wishes.
    #[serde(default, skip_serializing_if = "Lookups::is_whole")]
    pub lookups: Lookups,
    /// In the order in which a summary lists them.
    pub tables: Vec<Table>,
}

/// What a lookup says of the wishes for a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lookups {
    /// All of them, as a belief state does.
    #[default]
    Whole,
    /// What is new: it is laid over the wishes so far, until a row is booked. A new wish drops the wish for a row by
    /// its name, which need not meet it.
    Changes,
}

impl Lookups {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

/// One table: what can be asked of it, and how one of its rows is booked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name in calls and placeholders.
    pub name: String,
    /// The file that `data tables` makes it of, if it is called otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Columns of the first row that the model is told with a result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
    /// What a booking needs to know; a lookup may note it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Whether and how rows are booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<Booking>,
    /// Words by which people ask for the table in dialogues that have no states: `["hospital"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// Rows that no file holds; they stand before a file's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Map<String, Value>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in calls, placeholders and the database.
    pub name: String,
    /// What its values are.
    #[serde(default)]
    pub kind: Kind,
    /// Its name in the file that `data tables` reads, if another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value of rows that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a call may constrain it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub ask: bool,
    /// How a row's value is held against a call's.
    #[serde(default, skip_serializing_if = "is_equal")]
    pub compare: Compare,
    /// Other words for values: `{"true": "yes"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Words beside which a bare number is this column's: `["star"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
}

/// Something that a booking needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// Its name in calls and placeholders.
    pub name: String,
    /// What its values are.
    #[serde(default)]
    pub kind: Kind,
    /// Whether a booking needs it.
    #[serde(default)]
    pub required: bool,
    /// Of the details with the same group, one is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<String>,
    /// Words beside which a bare number is this detail's: `["people", "guests"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
}

/// How rows are booked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booking {
    /// Details that, with the row, make what cannot be booked more than `capacity` times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slot: Vec<String>,
    /// How often; without it there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Words.
    #[default]
    Text,
    /// The name of the row: parts of it and slips of the pen are understood.
    Name,
    /// A time of day.
    Time,
    /// A number.
    Number,
    /// `yes` or `no`.
    Flag,
}

/// How a row's value is held against a call's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The same.
    #[default]
    Equal,
    /// Not before; the first ones come first.
    AtLeast,
    /// Not after; the last ones come first.
    AtMost,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_yes(ask: &bool) -> bool {
    *ask
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_equal(compare: &Compare) -> bool {
    *compare == Compare::Equal
}

impl Schema {
    /// Where the schema of a database lies: `city.sqlite` has `city.schema.json`.
    pub fn path_beside(database: &Path) -> PathBuf {
        database.with_extension("schema.json")
    }

    /// Reads and checks a schema.
    pub fn load(path: &Path) -> Result<Self, TablesError> {
        let text = reformer_files::read(path, 1 << 32).map_err(|e| TablesError::io("read", path, e))?;
        let schema: Self = serde_json::from_slice(&text).map_err(|e| Self::malformed(path, e.to_string()))?;
        schema.check().map_err(|problem| Self::malformed(path, problem))?;
        Ok(schema)
    }

    /// Writes it.
    pub fn save(&self, path: &Path) -> Result<(), TablesError> {
        let mut text = serde_json::to_string_pretty(self).expect("a schema is JSON");
        text.push('\n');
        reformer_files::replace(path, text.as_bytes()).map_err(|e| TablesError::io("write", path, e))
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    fn malformed(path: &Path, problem: String) -> TablesError {
        TablesError::Malformed {
            path: path.to_owned(),
            problem,
            expected: "a schema {\"tables\": [{\"name\": …, \"columns\": [{\"name\": …}]}]}".to_owned(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for table in &self.tables {
            let legal =
                |name: &str| reformer_text::lookups::compact::inside(&format!("{{{name}}}")).is_some();
            if !legal(&table.name) || table.name.contains('.') {
                return Err(format!(
                    "{:?} is no name of a table: letters, digits, spaces, _ and -",
                    table.name
                ));
            }
            if !seen.insert(&table.name) {
                return Err(format!("the table {} is there twice", table.name));
            }
            if table.columns.is_empty() {
                return Err(format!("the table {} has no columns", table.name));
            }
            let mut names = BTreeSet::from(["count", "reference", "total"]);
            for name in table.names() {
                if !legal(name) || name.contains('.') {
                    return Err(format!("{name:?} is no name of a column of {}", table.name));
                }
                if !names.insert(name) {
                    return Err(format!(
                        "{name} is there twice in the table {}, or is a word of its own",
                        table.name
                    ));
                }
            }
            if let Some(unknown) = table.shown.iter().find(|name| table.column(name).is_none()) {
                return Err(format!("{} shows the column {unknown}, which it has not", table.name));
            }
            for name in table.booking.iter().flat_map(|booking| &booking.slot) {
                if table.detail(name).is_none() && table.column(name).is_none() {
                    return Err(format!("the slot of {} names {name}, which it has not", table.name));
                }
            }
        }
        Ok(())
    }
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The detail of this name.
    pub fn detail(&self, name: &str) -> Option<&Detail> {
        self.details.iter().find(|detail| detail.name == name)
    }

    /// The column that names a row.
    pub fn title(&self) -> &Column {
        self.columns.iter().find(|column| column.kind == Kind::Name).unwrap_or(&self.columns[0])
    }

    /// A row's value in the column that names it.
    pub(crate) fn title_of<'r>(&self, row: &'r [(String, String)]) -> &'r str {
        let title = &self.title().name;
        row.iter().find(|(name, _)| name == title).map_or("", |(_, value)| value)
    }

    /// Names of columns and details.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let columns = self.columns.iter().map(|column| column.name.as_str());
        columns.chain(self.details.iter().map(|detail| detail.name.as_str()))
    }
}

impl Column {
    /// The value that another word stands for.
    pub fn meant<'a>(&'a self, value: &'a str) -> &'a str {
        self.aliases.get(value).map_or(value, String::as_str)
    }
}
