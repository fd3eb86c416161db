//! The town as a schema with rows: what a database of it is made of, and what may be asked and booked.

use serde_json::{Map, Value, json};

use super::world::{LEAVES, TABLES};

/// Columns that a call may not constrain: they are only told.
const TOLD: [&str; 5] = ["phone", "address", "arrives", "number", "car"];

/// How often a table of a restaurant can be booked for one time.
pub(super) const ROOM: usize = 3;

/// The schema of the town's tables, rows and all, in the form of the crate `reformer-tables`.
pub fn schema() -> Value {
    let tables = TABLES.iter().map(|table| {
        let columns = table.columns.iter().enumerate().map(|(at, name)| {
            let mut column = json!({"name": name});
            match *name {
                // The first column names a row.
                _ if at == 0 => column["kind"] = json!("name"),
                LEAVES => {
                    column["kind"] = json!("time");
                    column["compare"] = json!("at_least");
                }
                "stars" => column["kind"] = json!("number"),
                "parking" => column["kind"] = json!("flag"),
                _ => {}
            }
            if TOLD.contains(name) {
                column["ask"] = json!(false);
            }
            column
        });
        let details: Vec<Value> =
            details(table.name).iter().map(|name| json!({"name": name, "required": true})).collect();
        let rows = table.rows.iter().map(|row| {
            let cells = table.columns.iter().zip(row);
            Value::from(
                cells.map(|(name, cell)| ((*name).to_owned(), json!(cell))).collect::<Map<String, Value>>(),
            )
        });
        let booking = match table.name {
            "restaurant" => json!({"slot": ["day", "time"], "capacity": ROOM}),
            _ => json!({}),
        };
        json!({
            "name": table.name, "columns": columns.collect::<Vec<_>>(), "details": details,
            "booking": booking, "rows": rows.collect::<Vec<_>>()
        })
    });
    json!({"lookups": "changes", "tables": tables.collect::<Vec<_>>()})
}

/// What a booking of a table's row needs to know.
pub(super) fn details(table: &str) -> &'static [&'static str] {
    match table {
        "restaurant" => &["people", "day", "time"],
        "hotel" => &["people", "day", "nights"],
        "train" => &["people", "day"],
        _ => &["from", "to", "time"],
    }
}
