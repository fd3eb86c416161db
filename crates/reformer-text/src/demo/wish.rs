//! From a wish to one place: the assistant asks, or says what there is, until one place is left.
//!
//! ```text
//! wish      a cheap restaurant in the centre         two places have that
//! answer    I have a Chinese one and a Turkish one.  an attribute that tells them apart
//! choice    The Chinese one, please.
//! ```
//!
//! An attribute is a column of the world's tables. Whatever columns a person names first, the rest is asked for, so a
//! model learns every combination.

use super::scene::Scene;

/// A column: what a place has in it, and how people speak of that.
pub(super) struct Attribute<T> {
    /// The value in the table.
    pub(super) value: fn(&T) -> String,
    /// A place by it: `one in the north`, `a Chinese one`.
    pub(super) one: fn(&T) -> String,
    /// The assistant's question for it.
    pub(super) question: &'static [&'static str],
    /// The person's choice, `{value}` filled in.
    pub(super) choice: &'static [&'static str],
}

/// Asks until the attributes in `said` leave one place, or the person does not mind which.
pub(super) fn narrow<T>(
    scene: &mut Scene,
    all: &[T],
    place: &T,
    attributes: &[Attribute<T>],
    said: &mut Vec<usize>,
) {
    loop {
        let same = |other: &T, of: usize| (attributes[of].value)(other) == (attributes[of].value)(place);
        let left: Vec<&T> = all.iter().filter(|other| said.iter().all(|&of| same(other, of))).collect();
        let open: Vec<usize> = (0..attributes.len())
            .filter(|of| !said.contains(of) && left.iter().any(|other| !same(other, *of)))
            .collect();
        if left.len() < 2 || open.is_empty() {
            return;
        }
        let of = *scene.draw.pick(&open);
        let attribute = &attributes[of];
        let value = (attribute.value)(place);
        let mut ones: Vec<String> = left.iter().map(|other| (attribute.one)(other)).collect();
        ones.dedup();
        if ones.len() == 2 && left.len() == 2 {
            scene.answer(
                &[
                    "I have {one} and {two}. Which would you like?",
                    "There is {one} and {two}. Which one would you like?",
                ],
                &[("one", &ones[0]), ("two", &ones[1])],
            );
        } else {
            scene.answer(attribute.question, &[]);
            if scene.draw.chance(12) {
                scene.user(
                    &["I do not mind.", "That does not matter.", "Any is fine.", "I do not care."],
                    &[],
                );
                return;
            }
        }
        scene.user(attribute.choice, &[("value", &value)]);
        said.push(of);
    }
}
