//! From a wish to one place: the assistant looks up what it has heard and asks until one place is left.
//!
//! ```text
//! wish      a cheap restaurant in the centre     lookup: price cheap, area centre → 2
//! answer    I have Red Lantern, … and Star Grill, … . Which one would you like?
//! choice    The Turkish one, please.             lookup: price cheap, area centre, food Turkish → 1
//! ```
//!
//! What it says follows from the number of rows and from the columns that are named, so it can be learned; what it asks
//! for is the first column that nobody named. People change their minds, also to what the town has not.

use super::scene::{Scene, Wishes};
use super::world::table;

/// A kind of place, and how people speak of it.
pub(super) struct Place {
    /// The table.
    pub(super) name: &'static str,
    /// Columns that it is looked for by.
    pub(super) attributes: &'static [Attribute],
    /// With placeholders: one place, two places, none.
    pub(super) offer: &'static [&'static str],
    pub(super) two: &'static [&'static str],
    pub(super) none: &'static [&'static str],
}

/// A column: how people speak of it.
pub(super) struct Attribute {
    pub(super) column: &'static str,
    /// The assistant's question for it.
    pub(super) question: &'static [&'static str],
    /// The person's choice, `{value}` filled in.
    pub(super) choice: &'static [&'static str],
    /// A change of mind.
    pub(super) change: &'static [&'static str],
    /// A value as people say it.
    pub(super) said: fn(&str) -> String,
}

impl Place {
    fn attribute(&self, column: &str) -> &Attribute {
        let found = self.attributes.iter().find(|attribute| attribute.column == column);
        found.unwrap_or_else(|| panic!("{} is not looked for by {column}", self.name))
    }
}

/// Sets a wish.
fn wish(said: &mut Wishes, column: &'static str, value: &str) {
    said.retain(|(name, _)| *name != column && *name != "name");
    said.push((column, value.to_owned()));
}

/// Looks up and asks until one place is offered; `goal` is what the person would like. Returns the place offered.
pub(super) fn narrow(scene: &mut Scene, place: &Place, mut goal: usize, mut said: Wishes) -> usize {
    let rows = table(place.name);
    let mut changes = *scene.draw.pick(&[0, 0, 0, 1, 1, 2]);
    loop {
        // In one order, whichever was named first.
        said.sort_by_key(|(name, _)| {
            place.attributes.iter().position(|of| of.column == *name).unwrap_or(usize::MAX)
        });
        let found = scene.look_up(place.name, &said);
        let open = place.attributes.iter().find(|of| said.iter().all(|(name, _)| *name != of.column));
        match (found.as_slice(), open) {
            ([], _) => {
                scene.answer(place.none);
                give_way(scene, place, goal, &mut said);
                continue;
            }
            (&[one, two], Some(_)) => {
                scene.answer(place.two);
                if goal != one && goal != two {
                    goal = one;
                }
                choose(scene, place, goal, [one, two], &mut said);
                continue;
            }
            ([_, _, _, ..], Some(attribute)) => {
                scene.answer(attribute.question);
                if scene.draw.chance(88) {
                    let value = rows.value(goal, attribute.column);
                    scene.user(attribute.choice, &[("value", &(attribute.said)(value))]);
                    wish(&mut said, attribute.column, value);
                    continue;
                }
                scene.user(
                    &["I do not mind.", "That does not matter.", "Any is fine.", "I do not care."],
                    &[],
                );
                goal = found[0];
                scene.answer(place.offer);
                if scene.draw.chance(40) {
                    scene.user(
                        &["Do you have another one?", "Something else, please.", "Is there another one?"],
                        &[],
                    );
                    goal = scene.look_up(place.name, &said)[0];
                    scene.answer(place.offer);
                }
            }
            (&[one, ..], _) => {
                goal = one;
                scene.answer(place.offer);
            }
        }
        if changes == 0 {
            return goal;
        }
        changes -= 1;
        // Another place, by something in which it differs.
        let other = scene.draw.below(rows.rows.len());
        let differs = |of: &&Attribute| rows.value(other, of.column) != rows.value(goal, of.column);
        let different: Vec<&Attribute> = place.attributes.iter().filter(differs).collect();
        if different.is_empty() {
            return goal;
        }
        let attribute: &&Attribute = scene.draw.pick(&different);
        goal = other;
        let value = rows.value(goal, attribute.column);
        scene.user(attribute.change, &[("value", &(attribute.said)(value))]);
        wish(&mut said, attribute.column, value);
    }
}

/// There is no such place: the person takes what `goal` has instead, one thing after the other.
fn give_way(scene: &mut Scene, place: &Place, goal: usize, said: &mut Wishes) {
    let rows = table(place.name);
    let conflicts = |said: &Wishes| {
        let wrong = said.iter().filter(|(name, value)| rows.value(goal, name) != value);
        wrong.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let wrong = conflicts(said);
    let column = *scene.draw.pick(&wrong);
    let attribute = place.attribute(column);
    let value = rows.value(goal, column);
    scene.user(attribute.change, &[("value", &(attribute.said)(value))]);
    wish(said, column, value);
}

/// One of two, by its name or by what tells it from the other.
fn choose(scene: &mut Scene, place: &Place, goal: usize, two: [usize; 2], said: &mut Wishes) {
    let rows = table(place.name);
    let differs = |of: &&Attribute| rows.value(two[0], of.column) != rows.value(two[1], of.column);
    let different: Vec<&Attribute> = place.attributes.iter().filter(differs).collect();
    if different.is_empty() || scene.draw.chance(25) {
        let name = rows.value(goal, "name");
        scene.user(&["{name}, please.", "I will take {name}.", "{name} sounds good."], &[("name", name)]);
        said.push(("name", name.to_owned()));
        return;
    }
    let attribute: &&Attribute = scene.draw.pick(&different);
    let value = rows.value(goal, attribute.column);
    scene.user(attribute.choice, &[("value", &(attribute.said)(value))]);
    wish(said, attribute.column, value);
}
