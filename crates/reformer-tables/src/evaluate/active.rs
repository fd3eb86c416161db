//! Which domain a turn is about, where predictions do not tell: the one whose state changed last.

use super::predictions::{PredictedTurn, State};

/// The domain of each turn, by the standard evaluator's rules; `turns` have states.
///
/// Of several domains that change at once the old one stays, else the one of most slots becomes it. Where several
/// changed and then nothing does, the other one of them is meant.
pub fn estimated(turns: &[PredictedTurn]) -> Vec<Vec<String>> {
    let empty = State::default();
    let (mut current, mut before): (Option<&str>, &State) = (None, &empty);
    let mut changed_before: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    for turn in turns {
        let state = turn.state.as_ref().unwrap_or(&empty);
        let changed: Vec<&str> = state
            .0
            .iter()
            .filter(|(domain, slots)| {
                let old = before.domain(domain);
                slots.iter().any(|slot| !old.is_some_and(|old| old.contains(slot)))
            })
            .map(|(domain, _)| domain.as_str())
            .collect();
        match current {
            // Nothing has begun: the evaluator does not even look at this turn's state again.
            None if changed.is_empty() => {
                all.push(Vec::new());
                continue;
            }
            Some(now) if changed.is_empty() => {
                if changed_before.len() > 1 {
                    let other = changed_before.iter().find(|d| state.domain(d).is_some() && **d != now);
                    current = other.copied().or(current);
                }
            }
            Some(now) if changed.contains(&now) => {}
            _ => {
                let slots = |domain: &&str| state.domain(domain).map_or(0, Vec::len);
                // Of equals the first one.
                current = changed.iter().rev().copied().max_by_key(slots);
            }
        }
        before = state;
        changed_before = changed;
        all.push(current.map(str::to_owned).into_iter().collect());
    }
    all
}
