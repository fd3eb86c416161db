//! Inform and Success: whether the system offered what the user was told to want, and told what was to be asked.
//!
//! ```text
//! offered   venues that meet the state where the reply has a NAME or a TRAINID; the last offer counts, unless it
//!           only narrows the one before
//! Inform    in every domain of the goal the offered venues are some of those that meet the goal
//! Success   … and every requestable of the goal was told in a turn about its domain
//! ```
//! A reference counts only where a booking was made in the corpus by then. Taxi, police and hospital need no offer, nor
//! does a domain whose venue the user names, nor a train that nobody asks the number of and that was not found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::active::estimated;
use super::goals::{Booked, Goal, Goals};
use super::predictions::{PredictedTurn, Predictions, State};
use super::slots::normal_response;
use super::values::{canonical, slot_name};
use super::venues::{DOMAINS, Found, Venues};

/// What can be asked of a venue.
const REQUESTABLE: [&str; 5] = ["PHONE", "ADDRESS", "POST", "REFERENCE", "TRAINID"];

/// What was offered in one domain of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// Venues that meet the goal, or none was needed.
    Right,
    /// None, or none that the database has.
    Nothing,
    /// Venues that do not meet the goal.
    Wrong,
}

/// One domain of one dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainOutcome {
    /// What was offered.
    pub offer: Offer,
    /// What of the goal was not told.
    pub untold: Vec<String>,
}

/// One dialogue: the domains of its goal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome(pub BTreeMap<String, DomainOutcome>);

impl Outcome {
    /// Whether every domain of the goal had the right offer.
    pub fn informed(&self) -> bool {
        self.0.values().all(|domain| domain.offer == Offer::Right)
    }

    /// Whether besides all was told.
    pub fn succeeded(&self) -> bool {
        self.informed() && self.0.values().all(|domain| domain.untold.is_empty())
    }
}

/// A share of dialogues, in per cent, for Inform and Success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Dialogues that have the domain.
    pub dialogues: usize,
    /// Inform, in per cent.
    pub inform: f64,
    /// Success, in per cent.
    pub success: f64,
}

/// One domain of a set of dialogues, and what it lost by.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DomainRate {
    /// Over the dialogues whose goal has the domain.
    #[serde(flatten)]
    pub rate: Rate,
    /// Dialogues without an offer.
    pub nothing: usize,
    /// Dialogues with a wrong one.
    pub wrong: usize,
    /// Requestables, and in how many dialogues they were not told.
    pub untold: BTreeMap<String, usize>,
}

/// Inform and Success of a set of dialogues.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Over dialogues.
    pub total: Rate,
    /// By domains.
    pub domains: BTreeMap<String, DomainRate>,
    /// Every dialogue's outcome.
    #[serde(skip)]
    pub outcomes: Vec<(String, Outcome)>,
    /// Dialogues that have no goal or whose bookings are not known, and are not counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unscored: Vec<String>,
}

/// Scores predictions that have states; the domains of turns are estimated unless all turns tell them.
pub fn inform_and_success(
    predictions: &Predictions,
    venues: &Venues,
    goals: &Goals,
    booked: &Booked,
) -> Rates {
    let told = predictions.have_domains();
    let mut rates = Rates::default();
    for (id, turns) in &predictions.0 {
        let (Some(goal), Some(booked)) = (goals.get(id), booked.get(id)) else {
            rates.unscored.push(id.clone());
            continue;
        };
        let mut turns: Vec<PredictedTurn> = turns.iter().map(normal).collect();
        if !told {
            let domains = estimated(&turns);
            for (turn, domains) in turns.iter_mut().zip(domains) {
                turn.active_domains = Some(domains);
            }
        }
        rates.outcomes.push((id.clone(), outcome(goal, booked, &turns, venues)));
    }
    let outcomes: Vec<&Outcome> = rates.outcomes.iter().map(|(_, outcome)| outcome).collect();
    rates.total = Rate::of(&outcomes, Outcome::informed, Outcome::succeeded);
    let names = outcomes.iter().flat_map(|outcome| outcome.0.keys()).cloned();
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let having: Vec<&Outcome> =
            outcomes.iter().copied().filter(|outcome| outcome.0.contains_key(&name)).collect();
        // A domain succeeds only where the whole dialogue informs: so the evaluator counts.
        let rate = Rate::of(
            &having,
            |outcome| outcome.0[&name].offer == Offer::Right,
            |outcome| outcome.informed() && outcome.0[&name].untold.is_empty(),
        );
        let mut domain = DomainRate { rate, ..DomainRate::default() };
        for outcome in having.iter().map(|outcome| &outcome.0[&name]) {
            domain.nothing += usize::from(outcome.offer == Offer::Nothing);
            domain.wrong += usize::from(outcome.offer == Offer::Wrong);
            for slot in &outcome.untold {
                *domain.untold.entry(slot.clone()).or_default() += 1;
            }
        }
        rates.domains.insert(name, domain);
    }
    rates
}

impl Rate {
    fn of(
        outcomes: &[&Outcome],
        informed: impl Fn(&Outcome) -> bool,
        succeeded: impl Fn(&Outcome) -> bool,
    ) -> Self {
        let share = |holds: &dyn Fn(&Outcome) -> bool| {
            100.0 * outcomes.iter().filter(|outcome| holds(outcome)).count() as f64
                / outcomes.len().max(1) as f64
        };
        Self { dialogues: outcomes.len(), inform: share(&informed), success: share(&succeeded) }
    }
}

/// A turn with slots and values under the evaluator's names.
pub(super) fn normal(turn: &PredictedTurn) -> PredictedTurn {
    PredictedTurn {
        response: normal_response(&turn.response),
        state: turn.state.as_ref().map(normal_state),
        active_domains: turn.active_domains.clone(),
    }
}

pub(super) fn normal_state(state: &State) -> State {
    let domain = |(domain, slots): &(String, Vec<(String, String)>)| {
        let mut normal: Vec<(String, String)> = Vec::new();
        for (slot, value) in slots {
            let slot = slot_name(slot);
            let value = canonical(&slot, value);
            match normal.iter_mut().find(|(own, _)| *own == slot) {
                Some((_, own)) => *own = value,
                None => normal.push((slot, value)),
            }
        }
        (domain.clone(), normal)
    };
    State(state.0.iter().map(domain).collect())
}

/// One dialogue; `turns` are normal.
fn outcome(
    goal: &[(String, Goal)],
    booked: &[Vec<String>],
    turns: &[PredictedTurn],
    venues: &Venues,
) -> Outcome {
    let mut outcome = Outcome::default();
    for (domain, wanted) in goal {
        let mut offered = Found::default();
        let mut told: Vec<&str> = Vec::new();
        for (turn, booked) in turns.iter().zip(booked) {
            if !turn.active_domains.as_ref().is_some_and(|active| active.contains(domain)) {
                continue;
            }
            let names = if domain == "train" { "TRAINID" } else { "NAME" };
            if DOMAINS.contains(&domain.as_str()) && turn.response.contains(names) {
                let slots = turn.state.as_ref().and_then(|state| state.domain(domain));
                let matching = slots.map(|slots| venues.query(domain, slots)).unwrap_or_default();
                if offered.is_empty() || !offered.is_subset(&matching) {
                    offered = matching;
                }
            }
            let may_tell = |slot: &&&str| **slot != "REFERENCE" || booked.contains(domain);
            told.extend(REQUESTABLE.iter().filter(|slot| turn.response.contains(**slot)).filter(may_tell));
        }
        let named = wanted.informable.iter().any(|(slot, _)| slot == "name");
        let unasked = domain == "train"
            && offered.is_empty()
            && !wanted.requestable.iter().any(|requestable| requestable == "TRAINID");
        let service = matches!(domain.as_str(), "taxi" | "police" | "hospital");
        let offer = if named || unasked || service {
            Offer::Right
        } else if offered.is_empty() {
            Offer::Nothing
        } else if offered.is_subset(&venues.query(domain, &wanted.informable)) {
            Offer::Right
        } else {
            Offer::Wrong
        };
        let untold =
            wanted.requestable.iter().filter(|slot| !told.contains(&slot.as_str())).cloned().collect();
        outcome.0.insert(domain.clone(), DomainOutcome { offer, untold });
    }
    outcome
}
