//! From a folder of CSV and JSON to a database with its schema.
//!
//! Every `*.csv` and `*.json` (a list of objects), packed with gzip or not, is a table; without a schema every column
//! is text that may be asked. `?` and empty cells are empty. The database is written beside and renamed: it is there
//! whole or not at all.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params_from_iter};
use serde_json::{Map, Value};

use crate::database::quoted;
use crate::plain::time;
use crate::{Column, Compare, Kind, Schema, Table, TablesError};

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The schema, given or made.
    pub schema: Schema,
    /// Tables and their rows.
    pub rows: Vec<(String, usize)>,
}

type Records = Vec<Map<String, Value>>;

/// Makes the database `out`, and its schema beside it, of the files in `folder`.
pub fn import(folder: &Path, schema: Option<Schema>, out: &Path) -> Result<Imported, TablesError> {
    let files = read_folder(folder)?;
    let schema = match schema {
        Some(schema) => schema,
        None => made_of(&files, folder)?,
    };
    let rows = write(&files, &schema, folder, out)?;
    Ok(Imported { schema, rows })
}

/// Makes the database `out`, and its schema beside it, of a schema that has all its rows in itself.
pub fn build(mut schema: Schema, out: &Path) -> Result<Imported, TablesError> {
    let rows = write(&BTreeMap::new(), &schema, out, out)?;
    // The rows are in the database now.
    for table in &mut schema.tables {
        table.rows.clear();
    }
    schema.save(&Schema::path_beside(out))?;
    Ok(Imported { schema, rows })
}

/// Writes schema and database; returns the tables with their rows.
fn write(
    files: &BTreeMap<String, (PathBuf, Records)>,
    schema: &Schema,
    folder: &Path,
    out: &Path,
) -> Result<Vec<(String, usize)>, TablesError> {
    let beside = out.with_extension("sqlite.part");
    let failed = |action| {
        let beside = beside.clone();
        move |e: rusqlite::Error| TablesError::database(&beside, action, &e)
    };
    let _ = std::fs::remove_file(&beside);
    let mut counts = Vec::new();
    {
        let mut connection = Connection::open(&beside).map_err(failed("create the database"))?;
        let transaction = connection.transaction().map_err(failed("write the database"))?;
        for table in &schema.tables {
            let file = files.get(table.from.as_deref().unwrap_or(&table.name));
            let records: Vec<_> = match file {
                Some((_, records)) => table.rows.iter().chain(records).collect(),
                None if !table.rows.is_empty() => table.rows.iter().collect(),
                None => {
                    return Err(TablesError::Malformed {
                        path: folder.to_owned(),
                        problem: format!("no file for the table {}", table.name),
                        expected: format!("{0}.csv or {0}.json (or .gz of them)", table.name),
                    });
                }
            };
            let names: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
            let marks: Vec<_> = (1..=names.len()).map(|n| format!("?{n}")).collect();
            let name = quoted(&table.name);
            transaction
                .execute(&format!("CREATE TABLE {name} ({})", names.join(", ")), [])
                .map_err(failed("write the database"))?;
            let sql = format!("INSERT INTO {name} VALUES ({})", marks.join(", "));
            let mut insert = transaction.prepare(&sql).map_err(failed("write the database"))?;
            for &record in &records {
                let cells = table.columns.iter().map(|column| cell(column, record));
                insert.execute(params_from_iter(cells)).map_err(failed("write the database"))?;
            }
            counts.push((table.name.clone(), records.len()));
        }
        transaction.commit().map_err(failed("write the database"))?;
    }
    schema.save(&Schema::path_beside(out))?;
    std::fs::rename(&beside, out).map_err(|e| TablesError::io("write", out, e))?;
    Ok(counts)
}

/// A cell as text, in the form in which it is compared.
fn cell(column: &Column, record: &Map<String, Value>) -> String {
    let value = match record.get(column.from.as_deref().unwrap_or(&column.name)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text == "?" => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(other) => other.to_string(),
    };
    let value = if value.is_empty() { column.default.clone().unwrap_or_default() } else { value };
    match (column.kind, time(&value)) {
        (Kind::Time, Some(time)) => time,
        _ => column.meant(&value).to_owned(),
    }
}

fn made_of(files: &BTreeMap<String, (PathBuf, Records)>, folder: &Path) -> Result<Schema, TablesError> {
    let mut tables = Vec::new();
    for (name, (_, records)) in files {
        let mut columns: Vec<Column> = Vec::new();
        for key in records.iter().flat_map(Map::keys) {
            if !columns.iter().any(|column| &column.name == key) {
                let kind = if key == "name" { Kind::Name } else { Kind::Text };
                columns.push(Column {
                    name: key.clone(),
                    kind,
                    from: None,
                    default: None,
                    ask: true,
                    compare: Compare::Equal,
                    aliases: BTreeMap::new(),
                    units: Vec::new(),
                });
            }
        }
        tables.push(Table {
            name: name.clone(),
            from: None,
            columns,
            shown: Vec::new(),
            details: Vec::new(),
            booking: None,
            mentions: Vec::new(),
            rows: Vec::new(),
        });
    }
    let schema = Schema { tables, ..Schema::default() };
    if schema.tables.is_empty() {
        return Err(TablesError::Malformed {
            path: folder.to_owned(),
            problem: "no table in this folder".to_owned(),
            expected: "files NAME.csv or NAME.json (a list of objects), each packed with gzip or not"
                .to_owned(),
        });
    }
    Ok(schema)
}

/// The files of a folder by their names without endings.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, (PathBuf, Records)>, TablesError> {
    let mut files = BTreeMap::new();
    let entries = std::fs::read_dir(folder).map_err(|e| TablesError::io("read", folder, e))?;
    for entry in entries {
        let path = entry.map_err(|e| TablesError::io("read", folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bare = name.strip_suffix(".gz").unwrap_or(&name);
        let Some((stem, kind @ ("csv" | "json"))) = bare.rsplit_once('.') else { continue };
        let bytes = unpacked(&path)?;
        let records = if kind == "csv" { csv_records(&path, &bytes)? } else { json_records(&path, &bytes)? };
        let Some(records) = records else { continue };
        if let Some((other, _)) = files.insert(stem.to_owned(), (path.clone(), records)) {
            return Err(TablesError::Malformed {
                path,
                problem: format!("a second file of the table {stem} beside {}", other.display()),
                expected: "one file a table".to_owned(),
            });
        }
    }
    Ok(files)
}

pub(crate) fn unpacked(path: &Path) -> Result<Vec<u8>, TablesError> {
    let bytes = reformer_files::read(path, 1 << 32).map_err(|e| TablesError::io("read", path, e))?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .take(1 << 32)
        .read_to_end(&mut out)
        .map_err(|e| TablesError::io("unpack", path, e))?;
    Ok(out)
}

/// Rows of a JSON list of objects; another JSON file is none of ours, a broken one is an error.
fn json_records(path: &Path, bytes: &[u8]) -> Result<Option<Records>, TablesError> {
    let malformed = |problem: String| TablesError::Malformed {
        path: path.to_owned(),
        problem,
        expected: "a JSON list of objects, one a row".to_owned(),
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    let Value::Array(items) = value else { return Ok(None) };
    let rows = items.into_iter().enumerate().map(|(at, item)| match item {
        Value::Object(record) => Ok(record),
        _ => Err(malformed(format!("row {} is no object", at + 1))),
    });
    rows.collect::<Result<_, _>>().map(Some)
}

fn csv_records(path: &Path, bytes: &[u8]) -> Result<Option<Records>, TablesError> {
    let malformed = |e: csv::Error| TablesError::Malformed {
        path: path.to_owned(),
        problem: e.to_string(),
        expected: "CSV in UTF-8 with the columns' names in the first line".to_owned(),
    };
    let mut reader = csv::Reader::from_reader(bytes);
    let names = reader.headers().map_err(malformed)?.clone();
    let records = reader.records().map(|record| {
        let record = record.map_err(malformed)?;
        let cells = names.iter().zip(record.iter());
        Ok(cells.map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect())
    });
    records.collect::<Result<_, TablesError>>().map(Some)
}
