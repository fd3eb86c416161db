//! Joint goal accuracy: the share of turns whose whole belief is the annotated one.
//!
//! Two measures. *Exact*: the same slots with the same values, "dontcare" among them, values in their plain form
//! ("the guest house" is "guesthouse", "9:15" is "09:15"); where the annotation has alternatives (`centre|west`) one is
//! enough. *Near*: as the standard evaluator compares, without "dontcare" and with names that need only be near.

use std::collections::BTreeMap;

use serde::Serialize;

use super::partial::partial_ratio;
use super::predictions::State;
use super::values::{canonical, slot_name};
use crate::plain::{is_any, plain};
use crate::{Kind, Schema, time};

/// Above this two values are the same for the near measure.
const NEAR: u32 = 95;

/// How beliefs compare with the annotation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Joint {
    /// Turns compared.
    pub turns: usize,
    /// Exactly right, in per cent.
    pub exact: f64,
    /// Nearly right, in per cent.
    pub near: f64,
    /// Slots with their right values, of all that are believed or annotated: F1, in per cent.
    pub slot_f1: f64,
    /// What was wrong, by domain and slot, the most frequent first.
    pub faults: Vec<SlotFaults>,
}

/// What was wrong with one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SlotFaults {
    /// `hotel-area`.
    pub slot: String,
    /// Turns in which it is annotated and not believed.
    pub missing: usize,
    /// Turns in which it is believed and not annotated.
    pub extra: usize,
    /// Turns in which it has another value.
    pub other: usize,
}

/// Compares beliefs with annotations, turn by turn.
pub fn joint<'a>(schema: &Schema, turns: impl IntoIterator<Item = (&'a State, &'a State)>) -> Joint {
    let mut joint = Joint::default();
    let (mut exact, mut near, mut right, mut believed, mut annotated) = (0, 0, 0, 0, 0);
    let mut faults: BTreeMap<String, SlotFaults> = BTreeMap::new();
    for (ours, gold) in turns {
        let (a, b) = (flat(schema, ours), flat(schema, gold));
        let agree = |key: &String| {
            a.get(key).zip(b.get(key)).is_some_and(|(ours, gold)| gold.iter().any(|gold| ours.contains(gold)))
        };
        let agreeing = a.keys().filter(|key| agree(key)).count();
        joint.turns += 1;
        exact += usize::from(agreeing == a.len() && a.len() == b.len());
        near += usize::from(nearly(schema, ours, gold));
        (right, believed, annotated) = (right + agreeing, believed + a.len(), annotated + b.len());
        for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).filter(|key| !agree(key)) {
            let fault = faults
                .entry(key.clone())
                .or_insert_with(|| SlotFaults { slot: key.clone(), ..Default::default() });
            match (a.contains_key(key), b.contains_key(key)) {
                (false, _) => fault.missing += 1,
                (_, false) => fault.extra += 1,
                _ => fault.other += 1,
            }
        }
    }
    let share = |part: usize, all: usize| 100.0 * part as f64 / all.max(1) as f64;
    joint.exact = share(exact, joint.turns);
    joint.near = share(near, joint.turns);
    joint.slot_f1 = share(2 * right, believed + annotated);
    joint.faults = faults.into_values().collect();
    joint.faults.sort_by_key(|fault| std::cmp::Reverse(fault.missing + fault.extra + fault.other));
    joint
}

/// A slot's name whatever corpus version names it: `book day` and `day` are one, `leaveat` and `leave`.
fn common_name(slot: &str) -> String {
    let name = slot_name(slot);
    name.strip_prefix("book").filter(|rest| !rest.is_empty()).map_or(name.clone(), str::to_owned)
}

/// A value in the schema's word for it, where it has one: a hotel's type is annotated as `true`.
fn meant<'a>(schema: &'a Schema, domain: &str, name: &str, value: &'a str) -> (&'a str, Kind) {
    let column =
        schema.table(domain).and_then(|table| table.columns.iter().find(|c| common_name(&c.name) == name));
    column.map_or((value, Kind::Text), |column| (column.meant(value), column.kind))
}

/// Slots that say something, under their common names, with their values.
fn slots(state: &State) -> impl Iterator<Item = (&str, String, &str)> {
    let all = state.0.iter().flat_map(|(domain, slots)| slots.iter().map(move |slot| (domain, slot)));
    all.map(|(domain, (slot, value))| (domain.as_str(), common_name(slot), value.as_str()))
        // What was annotated as nothing is no slot.
        .filter(|(.., value)| !matches!(value.trim(), "" | "none" | "not mentioned"))
}

/// Slots with the plain forms of their values, or of their alternatives.
fn flat(schema: &Schema, state: &State) -> BTreeMap<String, Vec<String>> {
    let entry = |(domain, name, value): (&str, String, &str)| {
        let form = |value: &str| {
            let (value, kind) = meant(schema, domain, &name, value);
            let is_time = kind == Kind::Time || matches!(name.as_str(), "leave" | "arrive" | "time");
            match time(value).filter(|_| is_time) {
                _ if is_any(value) => "any".to_owned(),
                Some(time) => time,
                None => plain(&canonical(&name, value)),
            }
        };
        (format!("{domain}-{name}"), value.split('|').map(form).collect())
    };
    slots(state).map(entry).collect()
}

/// The evaluator's comparison.
fn nearly(schema: &Schema, ours: &State, gold: &State) -> bool {
    let flat = |state: &State| -> BTreeMap<(String, String), String> {
        let wishes = slots(state).filter(|(.., value)| !is_any(value));
        wishes
            .map(|(domain, name, value)| {
                let (value, _) = meant(schema, domain, &name, value);
                let value = canonical(&name, value);
                ((domain.to_owned(), name), value)
            })
            .collect()
    };
    let (ours, gold) = (flat(ours), flat(gold));
    ours.len() == gold.len()
        && ours.iter().all(|(key, value)| gold.get(key).is_some_and(|gold| partial_ratio(value, gold) > NEAR))
}
