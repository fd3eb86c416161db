//! Finding a restaurant and booking a table.

use super::draw::clock;
use super::scene::{Booking, Scene};
use super::world::{AREAS, DAYS, RESTAURANTS, Restaurant, priced};

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

fn find(scene: &mut Scene, place: &Restaurant) {
    let slots = [
        ("food", place.food),
        ("area", place.area),
        ("price", place.price),
        ("name", place.name),
        ("priced", priced(place.price)),
    ];
    match scene.draw.below(20) {
        0..=7 => scene.user(
            &[
                "I am looking for a restaurant in the {area} with {food} food.",
                "I want to eat {food} food in the {area}.",
                "Is there a {food} restaurant in the {area}?",
                "Can you find me a {food} restaurant in the {area} of town?",
                "My friends and I want {food} food, somewhere in the {area}.",
                "We are hungry. Do you know a {food} place in the {area}?",
                "Please recommend a {food} restaurant in the {area}.",
            ],
            &slots,
        ),
        8..=11 => {
            scene.user(
                &[
                    "I am looking for {food} food.",
                    "I would like to eat at a {food} restaurant.",
                    "Where can I find {food} food?",
                    "I feel like {food} food tonight.",
                    "We would love some {food} food.",
                ],
                &slots,
            );
            let areas: Vec<&str> =
                RESTAURANTS.iter().filter(|other| other.food == place.food).map(|other| other.area).collect();
            scene.answer(
                &["There are {food} restaurants in the {one} and in the {two}. Which area would you like?"],
                &[("food", place.food), ("one", areas[0]), ("two", areas[1])],
            );
            scene.user(&["In the {area}, please.", "The {area}, please.", "The {area} is good."], &slots);
        }
        12..=14 => {
            scene.user(
                &[
                    "I need a restaurant in the {area}.",
                    "I want a place to eat in the {area}.",
                    "Which restaurants are in the {area}?",
                    "Where can we have dinner in the {area}?",
                    "I want to have lunch in the {area}.",
                ],
                &slots,
            );
            scene.answer(&["What kind of food would you like in the {area}?"], &slots);
            scene.user(&["{food} food, please.", "I would like {food} food."], &slots);
        }
        15..=17 => {
            // A wish that the town cannot grant.
            let taken: Vec<&str> =
                RESTAURANTS.iter().filter(|other| other.food == place.food).map(|other| other.area).collect();
            let free: Vec<&str> = AREAS.into_iter().filter(|a| !taken.contains(a)).collect();
            let wish = *scene.draw.pick(&free);
            scene.user(
                &[
                    "I am looking for a restaurant in the {wish} with {food} food.",
                    "Is there a {food} restaurant in the {wish}?",
                ],
                &[("wish", wish), ("food", place.food)],
            );
            scene.answer(
                &["I am sorry, there is no {food} restaurant in the {wish}. I have one in the {one} and one in the {two}."],
                &[("wish", wish), ("food", place.food), ("one", taken[0]), ("two", taken[1])],
            );
            scene.user(
                &[
                    "Then the one in the {area}, please.",
                    "The {area} is fine.",
                    "I will take the one in the {area}.",
                ],
                &slots,
            );
        }
        _ => scene
            .user(&["Can you tell me about {name}?", "I am looking for a restaurant called {name}."], &slots),
    }
    scene.answer(
        &[
            "{name} is {priced} {food} restaurant in the {area}. Would you like to book a table?",
            "I found {name}, {priced} {food} restaurant in the {area}. Shall I book a table?",
        ],
        &slots,
    );
}

fn ask(scene: &mut Scene, place: &Restaurant) {
    let slots = [("name", place.name), ("phone", place.phone), ("address", place.address)];
    if scene.draw.chance(50) {
        scene.user(
            &[
                "What is the phone number?",
                "Can I have the phone number first?",
                "Do you know their phone number?",
            ],
            &[],
        );
        scene.answer(&["The phone number of {name} is {phone}. Would you like to book a table?"], &slots);
    } else {
        scene.user(&["What is the address?", "Where is that?", "What street is it on?"], &[]);
        scene.answer(&["The address of {name} is {address}. Would you like to book a table?"], &slots);
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
