//! States in the form of Schema-Guided Dialogue, which MultiWOZ 2.2 has too: a list of dialogues whose user turns
//! have a frame for each service, and in it the state.
//!
//! ```json
//! [{"dialogue_id": "1", "turns": [{"speaker": "USER", "utterance": "…", "frames":
//!    [{"service": "hotel", "state": {"slot_values": {"hotel-area": ["north"]}}}]}, {"speaker": "SYSTEM", …}]}]
//! ```
//! Of several spellings of a value the first is taken. A service's state holds until a frame of it says another; a slot
//! without the service's name before it (`cuisine` of `Restaurants_1`) is `Restaurants_1-cuisine`.

use std::collections::BTreeMap;

use reformer_text::Role;
use serde::Deserialize;

use super::states::{StateTurn, Stated};

#[derive(Deserialize)]
struct Dialogue {
    #[serde(rename = "dialogue_id")]
    id: String,
    #[serde(default)]
    services: Vec<String>,
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    speaker: String,
    utterance: String,
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    service: String,
    #[serde(default)]
    state: Option<State>,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    slot_values: BTreeMap<String, Vec<String>>,
}

/// The dialogues of such a list; an error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Stated>, String> {
    let dialogues: Vec<Dialogue> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    dialogues.into_iter().map(stated).collect()
}

fn stated(dialogue: Dialogue) -> Result<Stated, String> {
    let mut services: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut turns = Vec::new();
    let mut known = false;
    for turn in dialogue.turns {
        let role = match turn.speaker.to_lowercase().as_str() {
            "user" => Role::User,
            "system" => Role::Assistant,
            _ => return Err(format!("{}: the speaker {:?}", dialogue.id, turn.speaker)),
        };
        for frame in turn.frames {
            let Some(state) = frame.state else { continue };
            known = true;
            let named =
                |slot: String| if slot.contains('-') { slot } else { format!("{}-{slot}", frame.service) };
            let first =
                |(slot, values): (String, Vec<String>)| Some((named(slot), values.into_iter().next()?));
            let values = state.slot_values.into_iter().filter_map(first).collect();
            services.insert(frame.service.clone(), values);
        }
        let state = (role == Role::User).then(|| {
            services.values().flatten().map(|(slot, value)| (slot.clone(), value.clone())).collect()
        });
        turns.push(StateTurn { role, text: turn.utterance, state });
    }
    if known {
        return Ok(Stated { id: dialogue.id, domains: dialogue.services, turns });
    }
    Err(format!("{}: no frame has a state", dialogue.id))
}
