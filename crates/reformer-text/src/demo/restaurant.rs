//! Finding a restaurant and booking a table.

use super::details;
use super::draw::clock;
use super::scene::{Scene, Wishes};
use super::wish::{Attribute, Place, narrow};
use super::world::table;

pub(super) fn play(scene: &mut Scene) {
    let goal = scene.draw.below(table("restaurant").rows.len());
    let place = find(scene, goal);
    if scene.draw.chance(30) {
        ask(scene, table("restaurant").value(place, "name"));
    }
    if scene.draw.chance(88) {
        book(scene);
    } else {
        scene.user(
            &[
                "No, I only needed the name.",
                "No thank you, not now.",
                "Not yet, I have to ask my family first.",
            ],
            &[],
        );
        scene.answer(&["All right. Is there anything else I can do for you?"]);
    }
}

const RESTAURANT: Place = Place {
    name: "restaurant",
    attributes: &[
        Attribute {
            column: "food",
            question: &[
                "There are {restaurant.count}. What kind of food would you like?",
                "I have {restaurant.count} of them. Which food would you like?",
            ],
            choice: &["{value} food, please.", "I would like {value} food.", "The {value} one, please."],
            change: &["Actually, I would rather have {value} food.", "Sorry, I want {value} food instead."],
            said: str::to_owned,
        },
        Attribute {
            column: "area",
            question: &[
                "There are {restaurant.count}. Which area would you like?",
                "I have {restaurant.count} of them. In which part of town would you like to eat?",
            ],
            choice: &[
                "In the {value}, please.",
                "The {value}, please.",
                "The {value} is good.",
                "The one in the {value}.",
            ],
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
                "There are {restaurant.count}. What price range would you like?",
                "I have {restaurant.count} of them. Should it be cheap, moderate or expensive?",
            ],
            choice: &["{value}, please.", "The {value} one, please.", "Something {value}."],
            change: &[
                "Actually, it should be {value}.",
                "Can it be {value} instead?",
                "Then something {value}.",
            ],
            said: details::priced,
        },
    ],
    offer: &[
        "{restaurant.name} has {restaurant.food} food in the {restaurant.area}, price range {restaurant.price}. Would you like to book a table?",
        "I found {restaurant.name}: {restaurant.food} food, in the {restaurant.area}, price range {restaurant.price}. Shall I book a table?",
    ],
    two: &[
        "I have {restaurant.name} ({restaurant.food}, {restaurant.area}, {restaurant.price}) and {restaurant.name.2} ({restaurant.food.2}, {restaurant.area.2}, {restaurant.price.2}). Which would you like?",
    ],
    none: &["I am sorry, there is no such restaurant. What else would you like?"],
};

/// How people ask for a restaurant, by the columns that they name.
const WISHES: [(&[&str], &[&str]); 8] = [
    (
        &["price", "area"],
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
        &["food", "area"],
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
        &["food"],
        &[
            "I am looking for {food} food.",
            "I would like to eat at a {food} restaurant.",
            "Where can I find {food} food?",
            "I feel like {food} food tonight.",
            "We would love some {food} food.",
        ],
    ),
    (
        &["area"],
        &[
            "I need a restaurant in the {area}.",
            "I want a place to eat in the {area}.",
            "Which restaurants are in the {area}?",
            "Where can we have dinner in the {area}?",
            "I want to have lunch in the {area}.",
        ],
    ),
    (
        &["price"],
        &[
            "I need {priced} restaurant.",
            "I am looking for {priced} restaurant.",
            "Where can I get {priced} meal?",
            "Can you recommend {priced} place to eat?",
        ],
    ),
    (
        &["price", "food"],
        &[
            "I am looking for {priced} {food} restaurant.",
            "Is there {priced} {food} place?",
            "I want {food} food, and it should be {price}.",
            "Can you find me {priced} restaurant with {food} food?",
        ],
    ),
    (
        &["price", "food", "area"],
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

fn find(scene: &mut Scene, goal: usize) -> usize {
    let rows = table("restaurant");
    // The commonest wishes stand first: two draws, the smaller one.
    let at = scene.draw.below(WISHES.len()).min(scene.draw.below(WISHES.len()));
    let (named, phrases) = WISHES[at];
    // Some want what the town has not: the last thing that they name is another place's.
    let other = if scene.draw.chance(15) { scene.draw.below(rows.rows.len()) } else { goal };
    let value = |column| rows.value(if named.last() == Some(&column) { other } else { goal }, column);
    let word = scene.price_word(value("price"));
    let price = details::priced(value("price"));
    let slots = [
        ("food", value("food")),
        ("area", value("area")),
        ("price", price.as_str()),
        ("name", rows.value(goal, "name")),
        ("priced", word),
    ];
    let named: &[&'static str] = if scene.draw.chance(88) {
        scene.user(phrases, &slots);
        named
    } else {
        scene.user(
            &[
                "Can you tell me about {name}?",
                "I am looking for a restaurant called {name}.",
                "Do you know {name}?",
                "I want to eat at {name}.",
            ],
            &slots,
        );
        &["name"]
    };
    let said: Wishes = named.iter().map(|column| (*column, value(column).to_owned())).collect();
    narrow(scene, &RESTAURANT, goal, said)
}

fn ask(scene: &mut Scene, name: &str) {
    match scene.draw.below(10) {
        0..=3 => {
            scene.user(
                &[
                    "What is the phone number?",
                    "Can I have the phone number first?",
                    "Do you know their phone number?",
                    "What is the phone number of {name}?",
                ],
                &[("name", name)],
            );
            scene.answer(&["The phone number of {restaurant.name} is {restaurant.phone}. Would you like to book a table?"]);
        }
        4..=6 => {
            scene.user(
                &[
                    "What is the address?",
                    "Where is that?",
                    "What street is it on?",
                    "What is the address of {name}?",
                ],
                &[("name", name)],
            );
            scene.answer(&[
                "The address of {restaurant.name} is {restaurant.address}. Would you like to book a table?",
            ]);
        }
        7 => {
            scene.user(
                &["Is it expensive?", "Is it cheap?", "What is the price range?", "How expensive is it?"],
                &[],
            );
            scene.answer(&[
                "The price range of {restaurant.name} is {restaurant.price}. Would you like to book a table?",
            ]);
        }
        8 => {
            scene.user(
                &["What kind of food do they have?", "What food is that?", "What can we eat there?"],
                &[],
            );
            scene.answer(&["{restaurant.name} has {restaurant.food} food. Would you like to book a table?"]);
        }
        _ => {
            scene.user(&["Which area is it in?", "In which part of town is it?"], &[]);
            scene.answer(&["{restaurant.name} is in the {restaurant.area}. Would you like to book a table?"]);
        }
    }
}

fn book(scene: &mut Scene) {
    let mut time = scene.draw.time(11, 20);
    let mut all = if let Some((people, day)) = details::the_same(scene) {
        scene.user(
            &[
                "Yes, for the same people on the same day at {time}.",
                "Yes please, same group and same day, at {time}.",
            ],
            &[("time", &clock(time))],
        );
        vec![("people", people), ("day", day)]
    } else {
        let (people, day) = details::new(scene);
        ask_details(scene, &people, day, &clock(time));
        vec![("people", people), ("day", day.to_owned())]
    };
    all.push(("time", clock(time)));
    if scene.draw.chance(12) {
        scene.book_in_vain("restaurant", &all);
        scene.answer(&[
            "I am sorry, {restaurant.name} has no table at that time. Would another time be all right?",
        ]);
        time += 60;
        scene.user(
            &["Then at {later}.", "Is {later} possible?", "Please try {later}."],
            &[("later", &clock(time))],
        );
        all = vec![("time", clock(time))];
    }
    scene.book("restaurant", &all);
    scene.answer(&[
        "I have booked a table at {restaurant.name} for {restaurant.people} people on {restaurant.day} at {restaurant.time}. The reference number is {restaurant.reference}. Can I help you with anything else?",
        "Your table at {restaurant.name} for {restaurant.people} people on {restaurant.day} at {restaurant.time} is booked. Your reference number is {restaurant.reference}. Is there anything else?",
    ]);
}

/// All at once, or one after the other.
fn ask_details(scene: &mut Scene, people: &str, day: &str, time: &str) {
    let slots = [("people", people), ("day", day), ("time", time)];
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
            scene.answer(&["At what time would you like the table?"]);
            scene.user(&["At {time}.", "{time}, please."], &slots);
        }
        _ => {
            scene.user(&["Yes, please.", "Yes, book a table."], &[]);
            scene.answer(&["For how many people, and on which day and time?"]);
            scene.user(
                &["{people} people on {day} at {time}.", "For {people}, {day} at {time}, please."],
                &slots,
            );
        }
    }
}
