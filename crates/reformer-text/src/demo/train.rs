//! Finding a train and booking tickets.

use super::draw::clock;
use super::scene::{Booking, Scene};
use super::world::{DAYS, HOME, TOWNS};

pub(super) fn play(scene: &mut Scene) {
    let town = scene.draw.pick(&TOWNS);
    let (from, to) = if scene.draw.chance(50) { (town.name, HOME) } else { (HOME, town.name) };
    let day = match scene.day {
        Some(day) if scene.draw.chance(50) => day,
        _ => *scene.draw.pick(&DAYS),
    };
    let wish = scene.draw.time(6, 19);
    let leaves = wish + 15 * scene.draw.between(1, 3);
    let (wish, leaving, arriving) = (clock(wish), clock(leaves), clock(leaves + town.ride));
    let number = format!("TR{}", scene.draw.between(100, 999));
    let slots = [
        ("from", from),
        ("to", to),
        ("day", day),
        ("wish", wish.as_str()),
        ("leaving", leaving.as_str()),
        ("arriving", arriving.as_str()),
        ("number", number.as_str()),
    ];
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
            scene.answer(&["After what time would you like to leave {from}?"], &slots);
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
            scene.answer(&["Where do you leave from, on which day and after what time?"], &slots);
            scene.user(
                &["From {from} on {day} after {wish}.", "I leave from {from} on {day} after {wish}."],
                &slots,
            );
        }
    }
    scene.answer(
        &[
            "Train {number} leaves {from} on {day} at {leaving} and arrives in {to} at {arriving}. Would you like tickets?",
            "There is train {number} from {from} to {to} on {day}. It leaves at {leaving} and arrives at {arriving}. Shall I book tickets?",
        ],
        &slots,
    );
    let people = match scene.people {
        Some(people) if scene.draw.chance(50) => {
            scene.user(&["Yes, for the same people.", "Yes please, for the same group."], &[]);
            people
        }
        _ => {
            let people = scene.draw.between(2, 8);
            scene.user(
                &[
                    "Yes, for {people} people.",
                    "Yes, {people} tickets, please.",
                    "That works. We need {people} tickets.",
                ],
                &[("people", &people.to_string())],
            );
            people
        }
    };
    let reference = scene.draw.reference();
    scene.answer(
        &[
            "I have booked {people} tickets for train {number} on {day} at {leaving}. The reference number is {reference}. Can I help you with anything else?",
            "Your {people} tickets for train {number} on {day} at {leaving} are booked. Your reference number is {reference}. Is there anything else?",
        ],
        &[
            ("people", &people.to_string()),
            ("number", &number),
            ("day", day),
            ("leaving", &leaving),
            ("reference", &reference),
        ],
    );
    scene.people = Some(people);
    scene.day = Some(day);
    scene.bookings.push(Booking {
        what: "train",
        kind: "the train",
        name: number,
        day,
        time: Some(leaves),
        reference,
    });
}
