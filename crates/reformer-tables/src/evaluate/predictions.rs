//! Predictions in the form of MultiWOZ's standard evaluator: what a system said and believed at each of its turns.
//!
//! ```json
//! {"sng0073": [{"response": "try [hotel_name] .", "state": {"hotel": {"area": "north"}}, "active_domains": ["hotel"]}]}
//! ```
//! A file keeps the order of its dialogues, domains and slots: some of the evaluator's rules depend on it.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::TablesError;
use crate::import::unpacked;

/// What is believed of one domain: slots with their values, in order.
pub type Slots = Vec<(String, String)>;

/// A belief: domains with their slots, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(pub Vec<(String, Slots)>);

impl State {
    /// What is believed of a domain.
    pub fn domain(&self, name: &str) -> Option<&Slots> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, slots)| slots)
    }
}

/// One system turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PredictedTurn {
    /// What was said, with `[slot]` for values.
    pub response: String,
    /// What was believed then, if that is told.
    pub state: Option<State>,
    /// Which domains the turn is about, if that is told.
    pub active_domains: Option<Vec<String>>,
}

/// Dialogues by their names, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predictions(pub Vec<(String, Vec<PredictedTurn>)>);

/// A dialogue's name as the evaluator has it: `SNG0073.json` is `sng0073`.
pub fn dialogue_name(id: &str) -> String {
    id.strip_suffix(".json").unwrap_or(id).to_lowercase()
}

impl Predictions {
    /// Reads a file, packed with gzip or not.
    pub fn read(path: &Path) -> Result<Self, TablesError> {
        let malformed = |problem: String| TablesError::Malformed {
            path: path.to_owned(),
            problem,
            expected: "predictions {\"sng0073\": [{\"response\": …, \"state\": {…}}, …], …}".to_owned(),
        };
        let value = json_of(path, "predictions {\"sng0073\": [{\"response\": …, \"state\": {…}}, …], …}")?;
        let dialogues = value.as_object().ok_or_else(|| malformed("no JSON object".to_owned()))?;
        let mut predictions = Self::default();
        for (id, turns) in dialogues {
            let of = |problem: &str| malformed(format!("the dialogue {id}: {problem}"));
            let turns = turns.as_array().ok_or_else(|| of("no list of turns"))?;
            let turn = |(at, turn): (usize, &Value)| {
                turn_of(turn).map_err(|problem| of(&format!("turn {}: {problem}", at + 1)))
            };
            let turns = turns.iter().enumerate().map(turn).collect::<Result<_, _>>()?;
            predictions.0.push((dialogue_name(id), turns));
        }
        Ok(predictions)
    }

    /// Writes a file that [`Predictions::read`] and the public evaluator read.
    pub fn write(&self, path: &Path) -> Result<(), TablesError> {
        let mut text = serde_json::to_string(&self.to_json()).expect("strings are JSON");
        text.push('\n');
        reformer_files::replace(path, text.as_bytes()).map_err(|e| TablesError::io("write", path, e))
    }

    /// The evaluator's JSON.
    pub fn to_json(&self) -> Value {
        let dialogue = |(id, turns): &(String, Vec<PredictedTurn>)| {
            (id.clone(), turns.iter().map(json_of_turn).collect::<Vec<_>>().into())
        };
        self.0.iter().map(dialogue).collect::<Map<_, _>>().into()
    }

    /// Turns of all dialogues.
    pub fn turns(&self) -> usize {
        self.0.iter().map(|(_, turns)| turns.len()).sum()
    }

    /// Whether every turn tells what it believes.
    pub fn have_states(&self) -> bool {
        self.0.iter().all(|(_, turns)| turns.iter().all(|turn| turn.state.is_some()))
    }

    /// Whether every turn tells what it is about.
    pub fn have_domains(&self) -> bool {
        self.0.iter().all(|(_, turns)| turns.iter().all(|turn| turn.active_domains.is_some()))
    }
}

/// The JSON of a file, packed with gzip or not.
pub(super) fn json_of(path: &Path, expected: &str) -> Result<Value, TablesError> {
    serde_json::from_slice(&unpacked(path)?).map_err(|e| TablesError::Malformed {
        path: path.to_owned(),
        problem: format!("not JSON ({e})"),
        expected: expected.to_owned(),
    })
}

fn json_of_turn(turn: &PredictedTurn) -> Value {
    let mut out = json!({"response": turn.response});
    if let Some(state) = &turn.state {
        let slots = |slots: &Slots| -> Map<String, Value> {
            slots.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
        };
        out["state"] =
            state.0.iter().map(|(d, s)| (d.clone(), slots(s).into())).collect::<Map<_, _>>().into();
    }
    if let Some(domains) = &turn.active_domains {
        out["active_domains"] = json!(domains);
    }
    out
}

fn turn_of(turn: &Value) -> Result<PredictedTurn, String> {
    let response = turn.get("response").and_then(Value::as_str).ok_or("no \"response\" with a text")?;
    let state = turn.get("state").map(state_of).transpose()?;
    let names = |domains: &Value| -> Option<Vec<String>> {
        // The estimate of a turn before any belief is written as a null in a list.
        let named = domains.as_array()?.iter().filter(|name| !name.is_null());
        named.map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let domains = turn.get("active_domains").map(|value| names(value).ok_or("\"active_domains\" is no list"));
    Ok(PredictedTurn { response: response.to_owned(), state, active_domains: domains.transpose()? })
}

fn state_of(state: &Value) -> Result<State, String> {
    let domains = state.as_object().ok_or("\"state\" is no object")?;
    let slots = |(domain, slots): (&String, &Value)| {
        let slots = slots.as_object().ok_or_else(|| format!("the state of {domain} is no object"))?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok((domain.clone(), slots.iter().map(|(name, value)| (name.clone(), text(value))).collect()))
    };
    domains.iter().map(slots).collect::<Result<_, String>>().map(State)
}
