//! The standard evaluator's database: which venues meet a state.
//!
//! ```text
//! {area: centre, food: italain} → restaurants of the centre whose food is near to "italian"
//! {leave: 9:15}                 → trains that leave at 09:15 or later
//! ```
//! It is asked otherwise than [`Database::select`]: names, foods and stations match by
//! [`partial_ratio`], all else letter for letter, and a cell that is not known meets every wish.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::partial::partial_ratio;
use super::predictions::Slots;
use super::values::{canonical, minutes, slot_name};
use crate::{Database, TablesError};

/// The domains whose venues are looked for.
pub const DOMAINS: [&str; 4] = ["restaurant", "hotel", "attraction", "train"];
/// Wishes that are none.
const ANY: [&str; 6] = ["dontcare", "not mentioned", "don't care", "dont care", "do n't care", "do not care"];
/// From here two names are the same.
const NEAR: u32 = 90;

/// Venues of one domain.
#[derive(Debug, Default)]
struct Domain {
    /// Different venues have different numbers; a train's is the number of its `trainid`, which runs on several days.
    ids: Vec<u32>,
    columns: BTreeMap<String, Column>,
}

/// A column: its different values, and which of them each row has.
#[derive(Debug, Default)]
struct Column {
    values: Vec<String>,
    rows: Vec<u32>,
}

/// Venues that a question found.
pub type Found = Rc<BTreeSet<u32>>;

/// All venues.
#[derive(Debug, Default)]
pub struct Venues {
    domains: BTreeMap<String, Domain>,
    known: RefCell<HashMap<String, Found>>,
}

impl Venues {
    /// The venues of a database that has tables of these names.
    pub fn of(database: &Database) -> Result<Self, TablesError> {
        let mut venues = Self::default();
        for name in DOMAINS {
            let Some(table) = database.schema().table(name) else { continue };
            let mut domain = Domain::default();
            let mut ids = HashMap::new();
            for (at, row) in database.all_rows(table)?.into_iter().enumerate() {
                let train = row.iter().find(|(column, _)| column == "trainid" && name == "train");
                let id = match train {
                    Some((_, train)) => {
                        let next = ids.len() as u32;
                        *ids.entry(train.clone()).or_insert(next)
                    }
                    None => at as u32,
                };
                domain.ids.push(id);
                for (column, cell) in row {
                    let column = slot_name(&column);
                    let cell = if column == "type" { canonical("type", &cell) } else { cell };
                    domain.columns.entry(column).or_default().push(cell);
                }
            }
            venues.domains.insert(name.to_owned(), domain);
        }
        Ok(venues)
    }

    /// The venues of `domain` that meet `wishes`; slots that are no columns are no wishes.
    pub fn query(&self, domain: &str, wishes: &Slots) -> Found {
        let Some(venues) = self.domains.get(domain) else { return Found::default() };
        let key = format!("{domain} {wishes:?}");
        if let Some(found) = self.known.borrow().get(&key) {
            return Rc::clone(found);
        }
        let wishes = wishes.iter().filter(|(_, value)| !ANY.contains(&value.as_str()));
        let met: Vec<_> = wishes
            .filter_map(|(slot, value)| Some((slot, venues.columns.get(slot)?, value)))
            .map(|(slot, column, value)| (column, column.met(domain, slot, &canonical(slot, value))))
            .collect();
        let meets = |row: &usize| met.iter().all(|(column, met)| met[column.rows[*row] as usize]);
        let found: Found = Rc::new((0..venues.ids.len()).filter(meets).map(|row| venues.ids[row]).collect());
        self.known.borrow_mut().insert(key, Rc::clone(&found));
        found
    }
}

impl Column {
    fn push(&mut self, cell: String) {
        let at = self.values.iter().position(|value| *value == cell).unwrap_or_else(|| {
            self.values.push(cell);
            self.values.len() - 1
        });
        self.rows.push(at as u32);
    }

    /// Which of the values meet a wish.
    fn met(&self, domain: &str, slot: &str, wish: &str) -> Vec<bool> {
        let fuzzy = match slot {
            "name" => domain != "train",
            "food" => domain == "restaurant",
            "departure" | "destination" => domain == "train",
            _ => false,
        };
        let time = minutes(wish);
        let meets = |cell: &String| match slot {
            _ if cell.is_empty() || cell == "?" => true,
            "arrive" => minutes(cell) <= time,
            "leave" => minutes(cell) >= time,
            _ if fuzzy => partial_ratio(cell, wish) >= NEAR,
            _ => cell == wish,
        };
        self.values.iter().map(meets).collect()
    }
}
