//! How well a system helps, measured as the field measures it on MultiWOZ.
//!
//! | measure | of | file |
//! |---|---|---|
//! | Inform, Success | what was offered and told, against the user's goal | [`success`] |
//! | BLEU | words with slots, against the corpus's | [`mod@bleu`] |
//! | joint goal accuracy | beliefs, against the annotation | [`mod@joint`] |
//!
//! Inform and Success follow the public evaluator (Nekvinda and Dušek 2021, *Shades of BLEU, Flavours of Success*)
//! rule by rule, its corrections of names and its matching of near names included, so that numbers can be put beside
//! published ones. BLEU and joint goal accuracy are against our own conversion of the corpus: they compare systems of
//! ours.

pub mod active;
pub mod belief;
pub mod bleu;
pub mod goals;
pub mod gold;
pub mod joint;
pub mod partial;
pub mod predictions;
pub mod slots;
pub mod success;
pub mod values;
pub mod venues;

use std::collections::HashMap;

use serde::Serialize;

use self::bleu::bleu;
use self::goals::{Booked, Goals};
use self::gold::Gold;
use self::joint::{Joint, joint};
use self::predictions::{PredictedTurn, Predictions};
use self::slots::normal_response;
use self::success::{Rates, inform_and_success};
use self::venues::Venues;
use crate::{Database, TablesError};

/// What predictions are held against; what is not there is not measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against<'a> {
    /// The corpus's own turns: for BLEU and joint goal accuracy.
    pub golds: &'a [Gold],
    /// Goals with what was booked: for Inform and Success.
    pub goals: Option<(&'a Goals, &'a Booked)>,
}

/// All measures of a set of predictions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Dialogues scored.
    pub dialogues: usize,
    /// Their system turns.
    pub turns: usize,
    /// Inform and Success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// BLEU, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bleu: Option<f64>,
    /// Beliefs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<Joint>,
}

impl Scores {
    /// The field's sum of three measures: BLEU + (Inform + Success) / 2.
    pub fn combined(&self) -> Option<f64> {
        let rates = self.rates.as_ref()?;
        Some(self.bleu? + f64::midpoint(rates.total.inform, rates.total.success))
    }
}

/// Scores predictions. Beliefs that they do not tell are the annotated ones, where these are known.
pub fn scores(
    database: &Database,
    predictions: &Predictions,
    against: Against<'_>,
) -> Result<Scores, TablesError> {
    let golds: HashMap<&str, &Gold> = against.golds.iter().map(|gold| (gold.name.as_str(), gold)).collect();
    let mut predictions = predictions.clone();
    let told = predictions.have_states();
    if !told {
        for (id, turns) in &mut predictions.0 {
            let states = golds.get(id.as_str()).map_or(&[][..], |gold| &gold.states);
            for (turn, state) in turns.iter_mut().zip(states) {
                turn.state = Some(state.clone());
            }
        }
    }
    let rates = match against.goals {
        Some((goals, booked)) => {
            Some(inform_and_success(&predictions, &Venues::of(database)?, goals, booked))
        }
        None => None,
    };
    let known = predictions.0.iter().filter_map(|(id, turns)| Some((turns, *golds.get(id.as_str())?)));
    let pairs: Vec<(&PredictedTurn, &Gold, usize)> = known
        .flat_map(|(turns, gold)| turns.iter().enumerate().map(move |(at, turn)| (turn, gold, at)))
        .filter(|(_, gold, at)| *at < gold.turns.len())
        .collect();
    let texts: Vec<(String, String)> = pairs
        .iter()
        .map(|(turn, gold, at)| (normal_response(&turn.response), normal_response(&gold.turns[*at].response)))
        .collect();
    let bleu = (!pairs.is_empty()).then(|| bleu(texts.iter().map(|(a, b)| (a.as_str(), b.as_str()))));
    let beliefs =
        pairs.iter().filter_map(|(turn, gold, at)| Some((turn.state.as_ref()?, gold.states.get(*at)?)));
    let joint = (told && !pairs.is_empty()).then(|| joint(database.schema(), beliefs));
    Ok(Scores { dialogues: predictions.0.len(), turns: predictions.turns(), rates, bleu, joint })
}
