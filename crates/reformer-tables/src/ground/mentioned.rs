//! States of dialogues that have none, for tables that people speak of by name.
//!
//! A corpus's states may leave whole tables out, a hospital's departments, say, although people ask for them. A table
//! whose schema has `mentions` is asked for as soon as the person says one of these words: for the row that the person
//! names, or for any.
//!
//! ```text
//! "is there a hospital with a paediatric clinic?"   → hospital-department: paediatric clinic
//! ```

use std::collections::BTreeMap;

use reformer_text::lookups::compact::{Piece, inside, split};
use reformer_text::{Dialogue, Role};

use super::explain::Words;
use super::{Grounder, StateTurn, Stated};
use crate::TablesError;

impl Grounder<'_> {
    /// A dialogue without states, or none: nothing is looked up in it, or no reply tells of what was found.
    pub fn ground_mentioned(&mut self, dialogue: &Dialogue) -> Result<Option<Dialogue>, TablesError> {
        let Some(stated) = self.stated(dialogue) else { return Ok(None) };
        let before = self.report.clone();
        let grounded = self.ground(&stated)?;
        let is_told = |name: &str| {
            let table = inside(name).and_then(|name| name.split('.').next());
            let table = table.and_then(|table| self.database.schema().table(table));
            table.is_some_and(|table| !table.mentions.is_empty())
        };
        let tells =
            |text: &str| split(text).iter().any(|p| matches!(p, Piece::Special(name) if is_told(name)));
        if grounded.turns.iter().any(|turn| turn.role == Role::Assistant && tells(&turn.text)) {
            return Ok(Some(grounded));
        }
        self.report = before;
        Ok(None)
    }

    /// The dialogue with the states that its words tell of, if they tell of any.
    fn stated(&self, dialogue: &Dialogue) -> Option<Stated> {
        let mut state: BTreeMap<String, String> = BTreeMap::new();
        let turns = dialogue.turns.iter().map(|turn| {
            if turn.role == Role::User {
                let said = Words::of(&turn.text);
                for table in self.database.schema().tables.iter().filter(|table| !table.mentions.is_empty()) {
                    let slot = format!("{}-{}", table.name, table.title().name);
                    let named = self.names.offered(table, &said);
                    let named =
                        named.first().map(|&row| table.title_of(self.names.row(table, row)).to_owned());
                    let spoken = table.mentions.iter().any(|mention| said.finds(mention));
                    match named {
                        Some(name) if spoken || state.contains_key(&slot) => {
                            state.insert(slot, name);
                        }
                        None if spoken => {
                            state.entry(slot).or_insert_with(|| "any".to_owned());
                        }
                        _ => {}
                    }
                }
            }
            let known = (turn.role == Role::User).then(|| state.clone());
            StateTurn { role: turn.role, text: turn.text.clone(), state: known }
        });
        let turns: Vec<StateTurn> = turns.collect();
        (!state.is_empty()).then(|| Stated {
            id: dialogue.id.clone(),
            domains: dialogue.domains.clone(),
            turns,
        })
    }
}
