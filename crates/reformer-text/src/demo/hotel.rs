//! Finding a hotel and booking a room.

use super::scene::{Booking, Scene};
use super::world::{DAYS, HOTELS, Hotel, priced};

pub(super) fn play(scene: &mut Scene) {
    let place = scene.draw.pick(&HOTELS);
    find(scene, place);
    if scene.draw.chance(35) {
        ask(scene, place);
    }
    book(scene, place);
}

fn find(scene: &mut Scene, place: &Hotel) {
    let stars = place.stars.to_string();
    let slots = [
        ("area", place.area),
        ("price", if place.price == "moderate" { "moderately priced" } else { place.price }),
        ("priced", priced(place.price)),
        ("stars", stars.as_str()),
        ("name", place.name),
    ];
    if scene.draw.chance(55) {
        scene.user(
            &[
                "I need {priced} hotel in the {area}.",
                "I am looking for {priced} hotel in the {area}.",
                "Can you find me a place to stay in the {area}? It should be {price}.",
                "Where can I sleep in the {area}? I want something {price}.",
                "My wife and I are looking for {priced} hotel in the {area}.",
            ],
            &slots,
        );
    } else {
        scene.user(
            &[
                "I need a hotel in the {area}.",
                "I am looking for a place to stay in the {area}.",
                "Which hotels are in the {area}?",
                "We want to spend some nights in the {area}.",
                "Please help me find a room in the {area}.",
            ],
            &slots,
        );
        let prices: Vec<&str> =
            HOTELS.iter().filter(|other| other.area == place.area).map(|other| priced(other.price)).collect();
        scene.answer(
            &["In the {area} I have {one} hotel and {two} hotel. Which would you like?"],
            &[("area", place.area), ("one", prices[0]), ("two", prices[1])],
        );
        scene.user(&["The {price} one, please.", "The {price} hotel."], &slots);
    }
    scene.answer(
        &[
            "{name} is {priced} hotel in the {area} with {stars} stars. Would you like to book a room?",
            "I found {name}, {priced} hotel in the {area} with {stars} stars. Shall I book a room?",
        ],
        &slots,
    );
}

fn ask(scene: &mut Scene, place: &Hotel) {
    let slots = [("name", place.name), ("phone", place.phone), ("address", place.address)];
    match scene.draw.below(4) {
        0 | 1 => {
            scene.user(&["Does it have parking?", "Is there parking?", "Can we park our car there?"], &[]);
            let phrase = if place.parking {
                "Yes, {name} has free parking. Shall I book a room?"
            } else {
                "No, {name} has no parking. Shall I book a room?"
            };
            scene.answer(&[phrase], &slots);
        }
        2 => {
            scene.user(&["What is the phone number?", "Can I have the phone number of the hotel?"], &[]);
            scene.answer(&["The phone number of {name} is {phone}. Would you like to book a room?"], &slots);
        }
        _ => {
            scene
                .user(&["What is the address?", "Where exactly is it?", "What street is the hotel on?"], &[]);
            scene.answer(&["The address of {name} is {address}. Would you like to book a room?"], &slots);
        }
    }
}

fn book(scene: &mut Scene, place: &Hotel) {
    let mut people = scene.draw.between(2, 8);
    let mut day = *scene.draw.pick(&DAYS);
    let nights = scene.draw.between(2, 5).to_string();
    match (scene.people, scene.day) {
        (Some(same_people), Some(same_day)) if scene.draw.chance(60) => {
            people = same_people;
            day = same_day;
            scene.user(
                &[
                    "Yes, for the same people from the same day, {nights} nights.",
                    "Yes please, same group and same day, for {nights} nights.",
                ],
                &[("nights", &nights)],
            );
        }
        _ => {
            let people = people.to_string();
            let slots = [("people", people.as_str()), ("day", day), ("nights", nights.as_str())];
            if scene.draw.chance(65) {
                scene.user(
                    &[
                        "Yes, for {people} people and {nights} nights from {day}.",
                        "Yes please, {nights} nights from {day} for {people} people.",
                        "Please book it for {people} people, {nights} nights, from {day}.",
                        "Perfect. We arrive on {day}, {people} people, and stay {nights} nights.",
                    ],
                    &slots,
                );
            } else {
                scene.user(&["Yes, please.", "Yes, book a room."], &slots);
                scene.answer(&["For how many people and nights, and from which day?"], &slots);
                scene.user(
                    &[
                        "{people} people, {nights} nights from {day}.",
                        "From {day}, {nights} nights for {people} people.",
                    ],
                    &slots,
                );
            }
        }
    }
    let reference = scene.draw.reference();
    scene.answer(
        &[
            "I have booked a room at {name} for {people} people and {nights} nights from {day}. The reference number is {reference}. Can I help you with anything else?",
            "Your room at {name} for {people} people and {nights} nights from {day} is booked. Your reference number is {reference}. Is there anything else?",
        ],
        &[
            ("name", place.name),
            ("people", &people.to_string()),
            ("nights", &nights),
            ("day", day),
            ("reference", &reference),
        ],
    );
    scene.people = Some(people);
    scene.day = Some(day);
    scene.bookings.push(Booking {
        what: "room",
        kind: "the hotel",
        name: place.name.to_owned(),
        day,
        time: None,
        reference,
    });
}
