//! Finding a hotel and booking a room.

use super::details;
use super::scene::{Scene, Wishes};
use super::wish::{Attribute, Place, narrow};
use super::world::table;

pub(super) fn play(scene: &mut Scene) {
    let goal = scene.draw.below(table("hotel").rows.len());
    let place = find(scene, goal);
    if scene.draw.chance(35) {
        ask(scene, table("hotel").value(place, "name"));
    }
    book(scene);
}

const HOTEL: Place = Place {
    name: "hotel",
    attributes: &[
        Attribute {
            column: "area",
            question: &[
                "There are {hotel.count}. Which area would you like?",
                "I have {hotel.count} of them. In which part of town would you like to stay?",
            ],
            choice: &["In the {value}, please.", "The {value}, please.", "The one in the {value}."],
            change: &[
                "Actually, the {value} would be better.",
                "Sorry, I meant the {value}.",
                "Then in the {value}.",
            ],
            said: str::to_owned,
        },
        Attribute {
            column: "price",
            question: &[
                "There are {hotel.count}. What price range would you like?",
                "I have {hotel.count} of them. Should it be cheap, moderate or expensive?",
            ],
            choice: &["The {value} one, please.", "The {value} hotel.", "{value}, please."],
            change: &[
                "Actually, it should be {value}.",
                "Can it be {value} instead?",
                "Then something {value}.",
            ],
            said: details::priced,
        },
        Attribute {
            column: "stars",
            question: &["There are {hotel.count}. How many stars should it have?"],
            choice: &[
                "{value} stars, please.",
                "The one with {value} stars.",
                "It should have {value} stars.",
            ],
            change: &["Actually, I want {value} stars.", "Then {value} stars."],
            said: str::to_owned,
        },
        Attribute {
            column: "parking",
            question: &["There are {hotel.count}. Do you need parking?"],
            choice: &["One {value}, please.", "The one {value}, please."],
            change: &["Actually, I would like one {value}.", "Then one {value}."],
            said: parking,
        },
    ],
    offer: &[
        "{hotel.name} is in the {hotel.area} and has {hotel.stars} stars, price range {hotel.price}. Would you like to book a room?",
        "I found {hotel.name}: {hotel.stars} stars, in the {hotel.area}, price range {hotel.price}. Shall I book a room?",
    ],
    two: &[
        "I have {hotel.name} ({hotel.area}, {hotel.stars} stars, {hotel.price}, parking: {hotel.parking}) and {hotel.name.2} ({hotel.area.2}, {hotel.stars.2} stars, {hotel.price.2}, parking: {hotel.parking.2}). Which would you like?",
    ],
    none: &["I am sorry, there is no such hotel. What else would you like?"],
};

fn parking(value: &str) -> String {
    if value == "yes" { "with parking" } else { "without parking" }.to_owned()
}

/// How people ask for a hotel, by the columns that they name.
const WISHES: [(&[&str], &[&str]); 8] = [
    (
        &["price", "area"],
        &[
            "I need {priced} hotel in the {area}.",
            "I am looking for {priced} hotel in the {area}.",
            "Can you find me a place to stay in the {area}? It should be {price}.",
            "Where can I sleep in the {area}? I want something {price}.",
            "My wife and I are looking for {priced} hotel in the {area}.",
        ],
    ),
    (
        &["area"],
        &[
            "I need a hotel in the {area}.",
            "I am looking for a place to stay in the {area}.",
            "Which hotels are in the {area}?",
            "We want to spend some nights in the {area}.",
            "Please help me find a room in the {area}.",
        ],
    ),
    (
        &["price"],
        &[
            "I need {priced} hotel.",
            "I am looking for {priced} hotel.",
            "Can you recommend {priced} place to stay?",
        ],
    ),
    (
        &["stars", "area"],
        &[
            "I am looking for a hotel with {stars} stars in the {area}.",
            "Is there a {stars} star hotel in the {area}?",
        ],
    ),
    (
        &["parking", "area"],
        &["I need a hotel {parking} in the {area}.", "Is there a hotel in the {area} {parking}?"],
    ),
    (
        &["price", "parking"],
        &["I need {priced} hotel {parking}.", "I am looking for {priced} hotel {parking}."],
    ),
    (&["stars"], &["I am looking for a {stars} star hotel.", "I need a hotel with {stars} stars."]),
    (&[], &["I need a hotel.", "I need a room.", "Where can we stay?", "Can you recommend a hotel?"]),
];

fn find(scene: &mut Scene, goal: usize) -> usize {
    let rows = table("hotel");
    let value = |column| rows.value(goal, column);
    let word = scene.price_word(value("price"));
    let (price, parking) = (details::priced(value("price")), parking(value("parking")));
    let slots = [
        ("area", value("area")),
        ("price", price.as_str()),
        ("priced", word),
        ("stars", value("stars")),
        ("parking", parking.as_str()),
        ("name", value("name")),
    ];
    let named: &[&'static str] = if scene.draw.chance(92) {
        let at = scene.draw.below(WISHES.len()).min(scene.draw.below(WISHES.len()));
        let (named, phrases) = WISHES[at];
        scene.user(phrases, &slots);
        named
    } else {
        scene.user(
            &["Can you tell me about {name}?", "I am looking for {name}.", "I want to stay at {name}."],
            &slots,
        );
        &["name"]
    };
    let said: Wishes = named.iter().map(|column| (*column, value(column).to_owned())).collect();
    narrow(scene, &HOTEL, goal, said)
}

fn ask(scene: &mut Scene, name: &str) {
    match scene.draw.below(10) {
        0..=3 => {
            scene.user(
                &[
                    "Does it have parking?",
                    "Is there parking?",
                    "Can we park our car there?",
                    "Does {name} have parking?",
                ],
                &[("name", name)],
            );
            scene.answer(&["Parking at {hotel.name}: {hotel.parking}. Shall I book a room?"]);
        }
        4 | 5 => {
            scene.user(&["What is the phone number?", "Can I have the phone number of the hotel?"], &[]);
            scene.answer(&[
                "The phone number of {hotel.name} is {hotel.phone}. Would you like to book a room?",
            ]);
        }
        6 | 7 => {
            scene
                .user(&["What is the address?", "Where exactly is it?", "What street is the hotel on?"], &[]);
            scene.answer(&["The address of {hotel.name} is {hotel.address}. Would you like to book a room?"]);
        }
        8 => {
            scene.user(&["How many stars does it have?", "How many stars has the hotel?"], &[]);
            scene.answer(&["{hotel.name} has {hotel.stars} stars. Would you like to book a room?"]);
        }
        _ => {
            scene.user(&["Is it expensive?", "What is the price range?", "How expensive is the hotel?"], &[]);
            scene.answer(&[
                "The price range of {hotel.name} is {hotel.price}. Would you like to book a room?",
            ]);
        }
    }
}

fn book(scene: &mut Scene) {
    let nights = (*scene.draw.pick(&["two", "three", "four", "five"])).to_owned();
    let (people, day) = if let Some(same) = details::the_same(scene) {
        scene.user(
            &[
                "Yes, for the same people from the same day, {nights} nights.",
                "Yes please, same group and same day, for {nights} nights.",
            ],
            &[("nights", &nights)],
        );
        same
    } else {
        let (people, day) = details::new(scene);
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
            scene.user(&["Yes, please.", "Yes, book a room."], &[]);
            scene.answer(&["For how many people and nights, and from which day?"]);
            scene.user(
                &[
                    "{people} people, {nights} nights from {day}.",
                    "From {day}, {nights} nights for {people} people.",
                ],
                &slots,
            );
        }
        (people, day.to_owned())
    };
    scene.book("hotel", &[("people", people), ("day", day), ("nights", nights)]);
    scene.answer(&[
        "I have booked a room at {hotel.name} for {hotel.people} people and {hotel.nights} nights from {hotel.day}. The reference number is {hotel.reference}. Can I help you with anything else?",
        "Your room at {hotel.name} for {hotel.people} people and {hotel.nights} nights from {hotel.day} is booked. Your reference number is {hotel.reference}. Is there anything else?",
    ]);
}
