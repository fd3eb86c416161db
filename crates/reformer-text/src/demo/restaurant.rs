//! Finding a restaurant and booking a table.

use super::draw::clock;
use super::scene::{Booking, Scene};
use super::wish::{Attribute, narrow};
use super::world::{AREAS, DAYS, PRICES, RESTAURANTS, Restaurant, priced};

pub(super) fn play(scene: &mut Scene) {
    let place = scene.draw.pick(&RESTAURANTS);
    find(scene, place);
    if scene.draw.chance(30) {
        ask(scene, place);
    }
    if scene.draw.chance(88) {
        book(scene, place);
    } else {
        scene.user(
            &[
                "No, I only needed the name.",
                "No thank you, not now.",
                "Not yet, I have to ask my family first.",
            ],
            &[],
        );
        scene.answer(&["All right. Is there anything else I can do for you?"], &[]);
    }
}

/// The columns that a restaurant is looked for by.
const ATTRIBUTES: [Attribute<Restaurant>; 3] = [
    Attribute {
        value: |place| place.food.to_owned(),
        one: |place| format!("{} {} one", article(place.food), place.food),
        question: &["What kind of food would you like?", "Which food would you like?"],
        choice: &["{value} food, please.", "I would like {value} food.", "The {value} one, please."],
    },
    Attribute {
        value: |place| place.area.to_owned(),
        one: |place| format!("one in the {}", place.area),
        question: &["Which area would you like?", "In which part of town would you like to eat?"],
        choice: &[
            "In the {value}, please.",
            "The {value}, please.",
            "The {value} is good.",
            "The one in the {value}.",
        ],
    },
    Attribute {
        value: |place| place.price.to_owned(),
        one: |place| format!("{} one", priced(place.price)),
        question: &["What price range would you like?", "Should it be cheap, moderate or expensive?"],
        choice: &["{value}, please.", "The {value} one, please.", "Something {value}."],
    },
];
const FOOD: usize = 0;
const AREA: usize = 1;
const PRICE: usize = 2;

fn article(word: &str) -> &'static str {
    if word.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" }
}

/// How people ask for a restaurant, by the columns that they name.
const WISHES: [(&[usize], &[&str]); 8] = [
    (
        &[PRICE, AREA],
        &[
            "I need {priced} restaurant in the {area}.",
            "I am looking for {priced} restaurant in the {area} of town.",
            "Is there {priced} restaurant in the {area}?",
            "Can you find me {priced} restaurant in the {area}?",
            "I want to eat in the {area}. It should be {price}.",
            "Where can we have {priced} dinner in the {area}?",
        ],
    ),
    (
        &[FOOD, AREA],
        &[
            "I am looking for a restaurant in the {area} with {food} food.",
            "I want to eat {food} food in the {area}.",
            "Is there a {food} restaurant in the {area}?",
            "Can you find me a {food} restaurant in the {area} of town?",
            "My friends and I want {food} food, somewhere in the {area}.",
            "We are hungry. Do you know a {food} place in the {area}?",
            "Please recommend a {food} restaurant in the {area}.",
        ],
    ),
    (
        &[FOOD],
        &[
            "I am looking for {food} food.",
            "I would like to eat at a {food} restaurant.",
            "Where can I find {food} food?",
            "I feel like {food} food tonight.",
            "We would love some {food} food.",
        ],
    ),
    (
        &[AREA],
        &[
            "I need a restaurant in the {area}.",
            "I want a place to eat in the {area}.",
            "Which restaurants are in the {area}?",
            "Where can we have dinner in the {area}?",
            "I want to have lunch in the {area}.",
        ],
    ),
    (
        &[PRICE],
        &[
            "I need {priced} restaurant.",
            "I am looking for {priced} restaurant.",
            "Where can I get {priced} meal?",
            "Can you recommend {priced} place to eat?",
        ],
    ),
    (
        &[PRICE, FOOD],
        &[
            "I am looking for {priced} {food} restaurant.",
            "Is there {priced} {food} place?",
            "I want {food} food, and it should be {price}.",
            "Can you find me {priced} restaurant with {food} food?",
        ],
    ),
    (
        &[PRICE, FOOD, AREA],
        &[
            "I need {priced} {food} restaurant in the {area}.",
            "Is there {priced} {food} restaurant in the {area}?",
            "I am looking for {priced} place in the {area} with {food} food.",
        ],
    ),
    (
        &[],
        &[
            "I need a restaurant.",
            "I am hungry.",
            "Where can I eat?",
            "Can you recommend a restaurant?",
            "I want to go out for dinner.",
        ],
    ),
];

fn find(scene: &mut Scene, place: &Restaurant) {
    let word = scene.price_word(place.price);
    let slots = [
        ("food", place.food),
        ("area", place.area),
        ("price", if place.price == "moderate" { "moderately priced" } else { place.price }),
        ("name", place.name),
        ("priced", word),
    ];
    match scene.draw.below(20) {
        0..=15 => {
            // The commonest wishes stand first: two draws, the smaller one.
            let at = scene.draw.below(WISHES.len()).min(scene.draw.below(WISHES.len()));
            let (named, phrases) = WISHES[at];
            scene.user(phrases, &slots);
            narrow(scene, &RESTAURANTS, place, &ATTRIBUTES, &mut named.to_vec());
        }
        16 | 17 => in_vain(scene, place),
        _ => scene.user(
            &[
                "Can you tell me about {name}?",
                "I am looking for a restaurant called {name}.",
                "Do you know {name}?",
                "I want to eat at {name}.",
            ],
            &slots,
        ),
    }
    let slots =
        [("name", place.name), ("food", place.food), ("area", place.area), ("priced", priced(place.price))];
    scene.answer(
        &[
            "{name} is {priced} {food} restaurant in the {area}. Would you like to book a table?",
            "I found {name}, {priced} {food} restaurant in the {area}. Shall I book a table?",
        ],
        &slots,
    );
}

/// A wish that the town cannot grant.
fn in_vain(scene: &mut Scene, place: &Restaurant) {
    let alike = || RESTAURANTS.iter().filter(|other| other.food == place.food);
    let taken: Vec<&str> = alike().map(|other| other.area).collect();
    let prices: Vec<&str> = PRICES
        .iter()
        .map(|(price, _)| *price)
        .filter(|price| alike().all(|other| other.price != *price))
        .collect();
    let (food, area) = (place.food, place.area);
    if scene.draw.chance(60) {
        let free: Vec<&str> = AREAS.into_iter().filter(|a| !taken.contains(a)).collect();
        let wish = *scene.draw.pick(&free);
        scene.user(
            &[
                "I am looking for a restaurant in the {wish} with {food} food.",
                "Is there a {food} restaurant in the {wish}?",
            ],
            &[("wish", wish), ("food", food)],
        );
        scene.answer(
            &["I am sorry, there is no {food} restaurant in the {wish}. I have one in the {one} and one in the {two}."],
            &[("wish", wish), ("food", food), ("one", taken[0]), ("two", taken[1])],
        );
    } else {
        let wish = *scene.draw.pick(&prices);
        let word = scene.price_word(wish);
        scene.user(
            &["I am looking for {word} {food} restaurant.", "Is there {word} {food} restaurant?"],
            &[("word", word), ("food", food)],
        );
        scene.answer(
            &["I am sorry, there is no {wish} {food} restaurant. I have one in the {one} and one in the {two}."],
            &[("wish", wish), ("food", food), ("one", taken[0]), ("two", taken[1])],
        );
    }
    scene.user(
        &["Then the one in the {area}, please.", "The {area} is fine.", "I will take the one in the {area}."],
        &[("area", area)],
    );
}

fn ask(scene: &mut Scene, place: &Restaurant) {
    let slots = [
        ("name", place.name),
        ("phone", place.phone),
        ("address", place.address),
        ("food", place.food),
        ("area", place.area),
        ("priced", priced(place.price)),
    ];
    match scene.draw.below(10) {
        0..=3 => {
            scene.user(
                &[
                    "What is the phone number?",
                    "Can I have the phone number first?",
                    "Do you know their phone number?",
                    "What is the phone number of {name}?",
                ],
                &slots,
            );
            scene.answer(&["The phone number of {name} is {phone}. Would you like to book a table?"], &slots);
        }
        4..=6 => {
            scene.user(
                &[
                    "What is the address?",
                    "Where is that?",
                    "What street is it on?",
                    "What is the address of {name}?",
                ],
                &slots,
            );
            scene.answer(&["The address of {name} is {address}. Would you like to book a table?"], &slots);
        }
        7 => {
            scene.user(
                &["Is it expensive?", "Is it cheap?", "What is the price range?", "How expensive is it?"],
                &[],
            );
            scene.answer(&["{name} is {priced} restaurant. Would you like to book a table?"], &slots);
        }
        8 => {
            scene.user(
                &["What kind of food do they have?", "What food is that?", "What can we eat there?"],
                &[],
            );
            scene.answer(&["{name} has {food} food. Would you like to book a table?"], &slots);
        }
        _ => {
            scene.user(&["Which area is it in?", "In which part of town is it?"], &[]);
            scene.answer(&["{name} is in the {area}. Would you like to book a table?"], &slots);
        }
    }
}

fn book(scene: &mut Scene, place: &Restaurant) {
    let people = scene.draw.between(2, 8);
    let day = *scene.draw.pick(&DAYS);
    let mut time = scene.draw.time(11, 20);
    let (people, day) = match (scene.people, scene.day) {
        // "The same" has to be looked up further up.
        (Some(people), Some(day)) if scene.draw.chance(60) => {
            scene.user(
                &[
                    "Yes, for the same people on the same day at {time}.",
                    "Yes please, same group and same day, at {time}.",
                ],
                &[("time", &clock(time))],
            );
            (people, day)
        }
        _ => {
            ask_details(scene, people, day, time);
            (people, day)
        }
    };
    if scene.draw.chance(20) {
        let later = time + 60;
        scene.answer(
            &["I am sorry, {name} has no table at {time}. Would {later} be all right?"],
            &[("name", place.name), ("time", &clock(time)), ("later", &clock(later))],
        );
        scene.user(
            &["Yes, {later} is fine.", "{later} is good, thank you.", "Yes, please book that."],
            &[("later", &clock(later))],
        );
        time = later;
    }
    let reference = scene.draw.reference();
    scene.answer(
        &[
            "I have booked a table at {name} for {people} people on {day} at {time}. The reference number is {reference}. Can I help you with anything else?",
            "Your table at {name} for {people} people on {day} at {time} is booked. Your reference number is {reference}. Is there anything else?",
        ],
        &[
            ("name", place.name),
            ("people", &people.to_string()),
            ("day", day),
            ("time", &clock(time)),
            ("reference", &reference),
        ],
    );
    scene.people = Some(people);
    scene.day = Some(day);
    scene.bookings.push(Booking {
        what: "table",
        kind: "the restaurant",
        name: place.name.to_owned(),
        day,
        time: Some(time),
        reference,
    });
}

/// All at once, or one after the other.
fn ask_details(scene: &mut Scene, people: usize, day: &str, time: usize) {
    let (people, time) = (people.to_string(), clock(time));
    let slots = [("people", people.as_str()), ("day", day), ("time", time.as_str())];
    match scene.draw.below(10) {
        0..=5 => scene.user(
            &[
                "Yes, a table for {people} on {day} at {time}.",
                "Yes please, for {people} people on {day} at {time}.",
                "Please book a table for {people} people at {time} on {day}.",
                "Sounds good. We are {people} people and will come on {day} at {time}.",
            ],
            &slots,
        ),
        6 | 7 => {
            scene.user(&["Yes, for {people} people on {day}.", "Yes, on {day} for {people}."], &slots);
            scene.answer(&["At what time on {day} would you like the table?"], &slots);
            scene.user(&["At {time}.", "{time}, please."], &slots);
        }
        _ => {
            scene.user(&["Yes, please.", "Yes, book a table."], &slots);
            scene.answer(&["For how many people, and on which day and time?"], &slots);
            scene.user(
                &["{people} people on {day} at {time}.", "For {people}, {day} at {time}, please."],
                &slots,
            );
        }
    }
}
