//! Finding a train and booking tickets.

use super::details;
use super::draw::clock;
use super::scene::Scene;
use super::world::{DAYS, HOME, LEAVES, TOWNS};

pub(super) fn play(scene: &mut Scene) {
    let (town, ..) = *scene.draw.pick(&TOWNS);
    let (from, to) = if scene.draw.chance(50) { (town, HOME) } else { (HOME, town) };
    let day = *scene.draw.pick(&DAYS);
    let mut wish = clock(scene.draw.time(6, 19));
    let slots = [("from", from), ("to", to), ("day", day), ("wish", wish.as_str())];
    match scene.draw.below(3) {
        0 => scene.user(
            &[
                "I need a train from {from} to {to} on {day} after {wish}.",
                "Is there a train from {from} to {to} on {day} that leaves after {wish}?",
            ],
            &slots,
        ),
        1 => {
            scene.user(
                &[
                    "I need a train from {from} to {to} on {day}.",
                    "I want to go from {from} to {to} by train on {day}.",
                    "We travel from {from} to {to} on {day}. Which train can we take?",
                    "How do I get from {from} to {to} on {day}?",
                ],
                &slots,
            );
            scene.answer(&["After what time would you like to leave?"]);
            scene.user(&["After {wish}.", "After {wish}, please."], &slots);
        }
        _ => {
            scene.user(
                &[
                    "I am looking for a train to {to}.",
                    "I need a train to {to}.",
                    "I have to visit my mother in {to}.",
                    "I have a meeting in {to}.",
                ],
                &slots,
            );
            scene.answer(&["Where do you leave from, on which day and after what time?"]);
            scene.user(
                &["From {from} on {day} after {wish}.", "I leave from {from} on {day} after {wish}."],
                &slots,
            );
        }
    }
    loop {
        let wishes = [
            ("departure", from.to_owned()),
            ("destination", to.to_owned()),
            ("day", day.to_owned()),
            (LEAVES, wish.clone()),
        ];
        scene.look_up("train", &wishes);
        scene.answer(&[
            "Train {train.number} leaves {train.departure} on {train.day} at {train.leaves} and arrives in {train.destination} at {train.arrives}. Would you like tickets?",
            "There is train {train.number} from {train.departure} to {train.destination} on {train.day}. It leaves at {train.leaves} and arrives at {train.arrives}. Shall I book tickets?",
        ]);
        if scene.draw.chance(80) {
            break;
        }
        let other = clock(scene.draw.time(6, 19));
        if other == wish {
            break;
        }
        wish = other;
        scene.user(
            &["Sorry, I have to leave after {wish}.", "Actually, after {wish} would be better."],
            &[("wish", &wish)],
        );
    }
    let people = if let Some((people, _)) = details::the_same(scene) {
        scene.user(&["Yes, for the same people.", "Yes please, for the same group."], &[]);
        people
    } else {
        let (people, _) = details::new(scene);
        scene.user(
            &[
                "Yes, for {people} people.",
                "Yes, {people} tickets, please.",
                "That works. We need {people} tickets.",
            ],
            &[("people", &people)],
        );
        people
    };
    scene.book("train", &[("people", people)]);
    scene.answer(&[
        "I have booked {train.people} tickets for train {train.number} on {train.day} at {train.leaves}. The reference number is {train.reference}. Can I help you with anything else?",
        "Your {train.people} tickets for train {train.number} on {train.day} at {train.leaves} are booked. Your reference number is {train.reference}. Is there anything else?",
    ]);
}
