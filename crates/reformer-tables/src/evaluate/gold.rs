//! What the corpus itself says of its dialogues: beliefs, replies, bookings.
//!
//! Beliefs are the annotation as it stands. Replies and bookings come from grounding the dialogue, as `data ground`
//! does: its words with placeholders are the references of BLEU, and its own lookups, taken for predictions, tell
//! what a system could score at most and what the conversion loses.

use std::collections::BTreeMap;

use reformer_text::{Dialogue, Role};

use super::belief::{booked, predicted};
use super::goals::Booked;
use super::predictions::{PredictedTurn, Predictions, State, dialogue_name};
use crate::ground::{Grounder, Stated};
use crate::{Database, TablesError};

/// An annotated dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Gold {
    /// Its name.
    pub name: String,
    /// The dialogue with lookups and placeholders.
    pub grounded: Dialogue,
    /// What the system says in the corpus, turn by turn.
    pub said: Vec<String>,
    /// The annotated belief before each of the system's turns.
    pub states: Vec<State>,
    /// The system's turns as predictions.
    pub turns: Vec<PredictedTurn>,
    /// The domains that are booked by each of them.
    pub booked: Vec<Vec<String>>,
}

/// The golds of annotated dialogues.
pub fn golds(database: &Database, dialogues: &[Stated]) -> Result<Vec<Gold>, TablesError> {
    let mut grounder = Grounder::new(database)?;
    let gold = |stated: &Stated| {
        let grounded = grounder.ground(stated)?;
        let (mut belief, mut states, mut said) = (State::default(), Vec::new(), Vec::new());
        for turn in &stated.turns {
            match (&turn.state, turn.role) {
                (Some(values), Role::User) => belief = state_of(values),
                (_, Role::Assistant) => {
                    states.push(belief.clone());
                    said.push(turn.text.clone());
                }
                _ => {}
            }
        }
        let (turns, booked) = (predicted(&grounded.turns), booked(&grounded.turns));
        Ok(Gold { name: dialogue_name(&stated.id), grounded, said, states, turns, booked })
    };
    dialogues.iter().map(gold).collect()
}

/// Which domains are booked by which turn, where the dialogues tell of it.
pub fn booked_of(golds: &[Gold]) -> Booked {
    golds.iter().map(|gold| (gold.name.clone(), gold.booked.clone())).collect()
}

/// The corpus's own turns as if a system had predicted them.
pub fn oracle(golds: &[Gold]) -> Predictions {
    Predictions(golds.iter().map(|gold| (gold.name.clone(), gold.turns.clone())).collect())
}

/// `hotel-book day` is the slot `book day` of `hotel`.
fn state_of(values: &BTreeMap<String, String>) -> State {
    let mut state = State::default();
    for (name, value) in values {
        let (domain, slot) = name.split_once('-').unwrap_or(("", name));
        let slot = (slot.to_owned(), value.clone());
        match state.0.iter_mut().find(|(own, _)| own == domain) {
            Some((_, slots)) => slots.push(slot),
            None => state.0.push((domain.to_owned(), vec![slot])),
        }
    }
    state
}
