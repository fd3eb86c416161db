//! Who comes on which day, and what it may cost: what all kinds of places have in common.

use super::scene::Scene;
use super::world::DAYS;

/// A price as people say it.
pub(super) fn priced(price: &str) -> String {
    if price == "moderate" { "moderately priced" } else { price }.to_owned()
}

/// How many people, and a day.
pub(super) fn new(scene: &mut Scene) -> (String, &'static str) {
    (scene.draw.between(2, 8).to_string(), *scene.draw.pick(&DAYS))
}

/// People and day of the last booking as placeholders, if something is booked and the person says "the same".
pub(super) fn the_same(scene: &mut Scene) -> Option<(String, String)> {
    let known = scene.booked.iter().rev().find(|table| **table != "taxi").copied()?;
    scene.draw.chance(60).then(|| (format!("{{{known}.people}}"), format!("{{{known}.day}}")))
}
