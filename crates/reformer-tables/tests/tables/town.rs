//! A small town: two tables and a service, imported from a folder.

use std::path::PathBuf;

use reformer_tables::{Database, Schema, Table, import};
use tempfile::TempDir;

pub(crate) const SCHEMA: &str = r#"{"tables": [
  {"name": "hotel", "columns": [
     {"name": "area"}, {"name": "type", "aliases": {"true": "hotel", "false": "guesthouse"}},
     {"name": "stars", "kind": "number", "units": ["star"]}, {"name": "parking", "kind": "flag"},
     {"name": "name", "kind": "name"}, {"name": "phone", "ask": false}],
   "shown": ["area", "stars"],
   "details": [{"name": "book people", "kind": "number", "required": true, "units": ["people"]},
               {"name": "book day", "required": true}],
   "booking": {"slot": ["book day"], "capacity": 2}},
  {"name": "train", "from": "timetable", "columns": [
     {"name": "destination"}, {"name": "leaveat", "from": "leaveAt", "kind": "time", "compare": "at_least"},
     {"name": "arriveby", "from": "arriveBy", "kind": "time", "compare": "at_most"},
     {"name": "trainid", "from": "trainID", "kind": "name", "ask": false}, {"name": "price", "ask": false}],
   "details": [{"name": "book people", "kind": "number", "required": true, "units": ["people", "ticket"]}],
   "booking": {}},
  {"name": "taxi", "columns": [{"name": "type", "kind": "name", "ask": false}, {"name": "phone", "ask": false}],
   "details": [{"name": "destination", "required": true}, {"name": "leaveat", "kind": "time", "one_of": "time"},
               {"name": "arriveby", "kind": "time", "one_of": "time"}],
   "booking": {},
   "rows": [{"type": "red volvo", "phone": "0700000001"}, {"type": "blue honda", "phone": "0700000002"}]}]}"#;

const HOTELS: &str = r#"[
  {"name": "the Acorn Guest House", "area": "north", "type": "guesthouse", "stars": "4", "parking": "yes", "phone": "01223353888"},
  {"name": "warkworth house", "area": "east", "type": "guesthouse", "stars": "4", "parking": "yes", "phone": "01223363682"},
  {"name": "Saint John's Lodge", "area": "north", "type": "hotel", "stars": 3, "parking": false, "phone": "01223000111"},
  {"name": "o'hara'; DROP TABLE hotel; --", "area": "west", "type": "hotel", "stars": "?", "parking": null, "phone": ""}]"#;

const TRAINS: &str = "trainID,destination,leaveAt,arriveBy,price\nTR1,ely,5:30,6:10,4.40 pounds\n\
    TR2,ely,13:30,14:10,4.40 pounds\nTR3,ely,09:30,10:10,4.40 pounds\nTR4,norwich,23:40,24:50,10.10 pounds\n";

pub(crate) struct Town {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Town {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("hotel.json"), HOTELS).unwrap();
        std::fs::write(files.join("timetable.csv"), TRAINS).unwrap();
        let path = folder.path().join("town.sqlite");
        import(&files, Some(schema()), &path).unwrap();
        Self { folder, path }
    }

    pub(crate) fn database(&self) -> Database {
        Database::open_beside(&self.path).unwrap()
    }
}

pub(crate) fn schema() -> Schema {
    serde_json::from_str(SCHEMA).unwrap()
}

pub(crate) fn table<'a>(database: &'a Database, name: &str) -> &'a Table {
    database.schema().table(name).unwrap()
}

/// The names of the rows that a question finds.
pub(crate) fn names(database: &Database, name: &str, wishes: &[(&str, &str)]) -> Vec<String> {
    let table = table(database, name);
    let title = table.title().name.clone();
    let rows = database.select(table, wishes).unwrap().rows;
    rows.iter().map(|row| row.iter().find(|(column, _)| *column == title).unwrap().1.clone()).collect()
}
