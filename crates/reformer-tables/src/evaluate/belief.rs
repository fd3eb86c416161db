//! What turns with lookups say in the standard evaluator's terms: beliefs, slots in words, bookings.
//!
//! ```text
//! lookup hotel area=north, people=any   → {"hotel": {"area": "north", "people": "dontcare"}}
//! "try {hotel.name}"                    → "try [hotel_name]", about ["hotel"]
//! book hotel → a reference              → hotel is booked from this turn on
//! ```
//! A belief is what the lookups and bookings so far asked for, placeholders filled. A call that was refused changes
//! none.

use reformer_text::{Lookup, Role, Turn};
use serde_json::Value;

use super::predictions::{PredictedTurn, State};
use super::slots::delexicalised;
use crate::Talk;
use crate::plain::is_any;

/// The assistant's turns as predictions.
pub fn predicted(turns: &[Turn]) -> Vec<PredictedTurn> {
    let mut talk = Talk::default();
    let mut out = Vec::new();
    for turn in turns {
        turn.lookups.iter().for_each(|lookup| talk.learn(lookup));
        if turn.role == Role::Assistant {
            let (response, domains) = delexicalised(&turn.text);
            let (state, active_domains) = (Some(believed(&talk)), Some(domains));
            out.push(PredictedTurn { response, state, active_domains });
        }
    }
    out
}

/// For each of the assistant's turns the tables that are booked by then.
pub fn booked(turns: &[Turn]) -> Vec<Vec<String>> {
    let mut booked: Vec<String> = Vec::new();
    let mut out = Vec::new();
    for turn in turns.iter().filter(|turn| turn.role == Role::Assistant) {
        for table in turn.lookups.iter().filter_map(table_booked) {
            if !booked.contains(&table) {
                booked.push(table);
            }
        }
        out.push(booked.clone());
    }
    out
}

fn table_booked(lookup: &Lookup) -> Option<String> {
    let result: Value = serde_json::from_str(&lookup.result).ok()?;
    result.get("reference")?.as_str()?;
    Some(result.get("table")?.as_str()?.to_owned())
}

fn believed(talk: &Talk) -> State {
    let of = |pairs: &[(String, String)]| {
        let value = |value: &String| if is_any(value) { "dontcare".to_owned() } else { value.clone() };
        pairs.iter().map(|(slot, wish)| (slot.clone(), value(wish))).collect::<Vec<_>>()
    };
    let asked = talk.tables().filter(|(_, about)| !about.wishes.is_empty());
    State(asked.map(|(table, about)| (table.to_owned(), of(&about.wishes))).collect())
}
