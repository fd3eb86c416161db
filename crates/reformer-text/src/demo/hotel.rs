//! Finding a hotel and booking a room.

use super::scene::{Booking, Scene};
use super::wish::{Attribute, narrow};
use super::world::{DAYS, HOTELS, Hotel, priced};

pub(super) fn play(scene: &mut Scene) {
    let place = scene.draw.pick(&HOTELS);
    find(scene, place);
    if scene.draw.chance(35) {
        ask(scene, place);
    }
    book(scene, place);
}

/// The columns that a hotel is looked for by.
const ATTRIBUTES: [Attribute<Hotel>; 4] = [
    Attribute {
        value: |place| place.area.to_owned(),
        one: |place| format!("one in the {}", place.area),
        question: &["Which area would you like?", "In which part of town would you like to stay?"],
        choice: &["In the {value}, please.", "The {value}, please.", "The one in the {value}."],
    },
    Attribute {
        value: |place| place.price.to_owned(),
        one: |place| format!("{} one", priced(place.price)),
        question: &["What price range would you like?", "Should it be cheap, moderate or expensive?"],
        choice: &["The {value} one, please.", "The {value} hotel.", "{value}, please."],
    },
    Attribute {
        value: |place| place.stars.to_string(),
        one: |place| format!("one with {} stars", place.stars),
        question: &["How many stars should it have?"],
        choice: &["{value} stars, please.", "The one with {value} stars.", "It should have {value} stars."],
    },
    Attribute {
        value: |place| if place.parking { "with parking" } else { "without parking" }.to_owned(),
        one: |place| format!("one {}", if place.parking { "with parking" } else { "without parking" }),
        question: &["Do you need parking?"],
        choice: &["One {value}, please.", "The one {value}, please."],
    },
];
const AREA: usize = 0;
const PRICE: usize = 1;
const STARS: usize = 2;
const PARKING: usize = 3;

/// How people ask for a hotel, by the columns that they name.
const WISHES: [(&[usize], &[&str]); 8] = [
    (
        &[PRICE, AREA],
        &[
            "I need {priced} hotel in the {area}.",
            "I am looking for {priced} hotel in the {area}.",
            "Can you find me a place to stay in the {area}? It should be {price}.",
            "Where can I sleep in the {area}? I want something {price}.",
            "My wife and I are looking for {priced} hotel in the {area}.",
        ],
    ),
    (
        &[AREA],
        &[
            "I need a hotel in the {area}.",
            "I am looking for a place to stay in the {area}.",
            "Which hotels are in the {area}?",
            "We want to spend some nights in the {area}.",
            "Please help me find a room in the {area}.",
        ],
    ),
    (
        &[PRICE],
        &[
            "I need {priced} hotel.",
            "I am looking for {priced} hotel.",
            "Can you recommend {priced} place to stay?",
        ],
    ),
    (
        &[STARS, AREA],
        &[
            "I am looking for a hotel with {stars} stars in the {area}.",
            "Is there a {stars} star hotel in the {area}?",
        ],
    ),
    (
        &[PARKING, AREA],
        &["I need a hotel {parking} in the {area}.", "Is there a hotel in the {area} {parking}?"],
    ),
    (&[PRICE, PARKING], &["I need {priced} hotel {parking}.", "I am looking for {priced} hotel {parking}."]),
    (&[STARS], &["I am looking for a {stars} star hotel.", "I need a hotel with {stars} stars."]),
    (&[], &["I need a hotel.", "I need a room.", "Where can we stay?", "Can you recommend a hotel?"]),
];

fn find(scene: &mut Scene, place: &Hotel) {
    let stars = place.stars.to_string();
    let word = scene.price_word(place.price);
    let slots = [
        ("area", place.area),
        ("price", if place.price == "moderate" { "moderately priced" } else { place.price }),
        ("priced", word),
        ("stars", stars.as_str()),
        ("parking", if place.parking { "with parking" } else { "without parking" }),
        ("name", place.name),
    ];
    if scene.draw.chance(92) {
        let at = scene.draw.below(WISHES.len()).min(scene.draw.below(WISHES.len()));
        let (named, phrases) = WISHES[at];
        scene.user(phrases, &slots);
        narrow(scene, &HOTELS, place, &ATTRIBUTES, &mut named.to_vec());
    } else {
        scene.user(
            &["Can you tell me about {name}?", "I am looking for {name}.", "I want to stay at {name}."],
            &slots,
        );
    }
    let slots =
        [("area", place.area), ("priced", priced(place.price)), ("stars", &stars), ("name", place.name)];
    scene.answer(
        &[
            "{name} is {priced} hotel in the {area} with {stars} stars. Would you like to book a room?",
            "I found {name}, {priced} hotel in the {area} with {stars} stars. Shall I book a room?",
        ],
        &slots,
    );
}

fn ask(scene: &mut Scene, place: &Hotel) {
    let stars = place.stars.to_string();
    let slots = [
        ("name", place.name),
        ("phone", place.phone),
        ("address", place.address),
        ("stars", stars.as_str()),
        ("area", place.area),
        ("priced", priced(place.price)),
    ];
    match scene.draw.below(10) {
        0..=3 => {
            scene.user(
                &[
                    "Does it have parking?",
                    "Is there parking?",
                    "Can we park our car there?",
                    "Does {name} have parking?",
                ],
                &slots,
            );
            let phrase = if place.parking {
                "Yes, {name} has free parking. Shall I book a room?"
            } else {
                "No, {name} has no parking. Shall I book a room?"
            };
            scene.answer(&[phrase], &slots);
        }
        4 | 5 => {
            scene.user(&["What is the phone number?", "Can I have the phone number of the hotel?"], &[]);
            scene.answer(&["The phone number of {name} is {phone}. Would you like to book a room?"], &slots);
        }
        6 | 7 => {
            scene
                .user(&["What is the address?", "Where exactly is it?", "What street is the hotel on?"], &[]);
            scene.answer(&["The address of {name} is {address}. Would you like to book a room?"], &slots);
        }
        8 => {
            scene.user(&["How many stars does it have?", "How many stars has the hotel?"], &[]);
            scene.answer(&["{name} has {stars} stars. Would you like to book a room?"], &slots);
        }
        _ => {
            scene.user(&["Is it expensive?", "What is the price range?", "How expensive is the hotel?"], &[]);
            scene.answer(&["{name} is {priced} hotel. Would you like to book a room?"], &slots);
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
