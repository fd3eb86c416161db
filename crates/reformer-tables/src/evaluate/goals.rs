//! What each user was told to want, and which domains are booked by which turn.
//!
//! ```json
//! {"sng0073": {"taxi": {"informable": {"leaveAt": "17:15"}, "requestable": ["PHONE"]}}}          goals
//! {"sng0073": [[], ["hotel"], ["hotel"]]}                                                         booked domains
//! ```
//! Both are files of MultiWOZ's standard evaluator.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::predictions::{Slots, dialogue_name, json_of};
use crate::TablesError;

/// What a user was told to want of one domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goal {
    /// What the entity has to be.
    pub informable: Slots,
    /// What the user has to be told of it: `PHONE`, `ADDRESS`, `POST`, `REFERENCE`, `TRAINID`.
    pub requestable: Vec<String>,
}

/// Users' goals by dialogues and domains.
pub type Goals = BTreeMap<String, Vec<(String, Goal)>>;

/// For each turn of a dialogue the domains that are booked by then.
pub type Booked = BTreeMap<String, Vec<Vec<String>>>;

const GOALS: &str = "goals {\"sng0073\": {\"taxi\": {\"informable\": {\"leaveAt\": \"17:15\"}, \"requestable\": [\"PHONE\"]}}, …}";
const BOOKED: &str = "booked domains {\"sng0073\": [[], [\"hotel\"], …], …}";

/// Reads goals, packed with gzip or not.
pub fn read_goals(path: &Path) -> Result<Goals, TablesError> {
    let dialogue = |(id, domains): (&String, &Value)| {
        let domains = domains.as_object().ok_or_else(|| format!("the goal of {id} is no object"))?;
        let goal = |(domain, goal): (&String, &Value)| {
            let goal = goal_of(goal).ok_or_else(|| format!("the goal of {id} in {domain}"))?;
            Ok((domain.clone(), goal))
        };
        Ok((dialogue_name(id), domains.iter().map(goal).collect::<Result<_, String>>()?))
    };
    read(path, GOALS, dialogue)
}

/// Reads booked domains, packed with gzip or not.
pub fn read_booked(path: &Path) -> Result<Booked, TablesError> {
    let dialogue = |(id, turns): (&String, &Value)| {
        let turns = || turns.as_array()?.iter().map(strings).collect::<Option<Vec<_>>>();
        let turns = turns().ok_or_else(|| format!("the turns of {id} are no lists of domains"))?;
        Ok((dialogue_name(id), turns))
    };
    read(path, BOOKED, dialogue)
}

fn read<T>(
    path: &Path,
    expected: &str,
    dialogue: impl Fn((&String, &Value)) -> Result<(String, T), String>,
) -> Result<BTreeMap<String, T>, TablesError> {
    let malformed = |problem: String| TablesError::Malformed {
        path: path.to_owned(),
        problem,
        expected: expected.to_owned(),
    };
    let value = json_of(path, expected)?;
    let dialogues = value.as_object().ok_or_else(|| malformed("no JSON object".to_owned()))?;
    dialogues.iter().map(dialogue).collect::<Result<_, _>>().map_err(malformed)
}

fn goal_of(goal: &Value) -> Option<Goal> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let informable = goal.get("informable")?.as_object()?;
    Some(Goal {
        informable: informable.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        requestable: strings(goal.get("requestable")?)?,
    })
}

fn strings(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
