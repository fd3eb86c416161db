//! What a call is answered with: JSON whose `says` is for the model and whose rest is for the host.
//!
//! ```json
//! {"says": "3 ; north", "table": "hotel", "where": {"area": "north"}, "count": 3, "passed": 0, "rows": [{…}]}
//! {"says": "not possible : no column colour in hotel", "error": "no column colour in hotel"}
//! ```

use serde_json::{Map, Value, json};

use crate::{Answer, Table};

/// Rows of an answer that a result lists.
const LISTED: usize = 3;
/// Up to here a count is said; beyond it is "many".
const COUNTED: usize = 20;

/// Names and values of an object, as texts.
pub(crate) fn pairs(object: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// An object of names and texts.
pub(crate) fn object(pairs: &[(String, String)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect::<Map<_, _>>()
        .into()
}

/// The result of a call that cannot be answered.
pub(crate) fn refusal(problem: &str) -> String {
    json!({"says": format!("not possible : {problem}"), "error": problem}).to_string()
}

/// The result of a question: for the model the count and the shown columns of the first row, for the host the rows.
pub(crate) fn found(table: &Table, wishes: &[(String, String)], answer: &Answer, passed: usize) -> String {
    let mut says = match answer.count {
        0 => "none".to_owned(),
        count if count <= COUNTED => count.to_string(),
        _ => "many".to_owned(),
    };
    for name in &table.shown {
        let cell = answer.rows.first().and_then(|row| row.iter().find(|(column, _)| column == name));
        if let Some((_, value)) = cell {
            says.push_str(" ; ");
            says.push_str(if value.is_empty() { "?" } else { value });
        }
    }
    let rows: Vec<Value> = answer.rows.iter().take(LISTED).map(|row| object(row)).collect();
    json!({
        "says": says, "table": table.name, "where": object(wishes), "count": answer.count, "passed": passed, "rows": rows
    })
    .to_string()
}
