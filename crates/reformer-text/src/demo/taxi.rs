//! Ordering a taxi, between places of the dialogue where there are two.

use super::draw::clock;
use super::scene::{Scene, Taxi};
use super::world::{CARS, COLOURS, HOTELS, RESTAURANTS};

pub(super) fn play(scene: &mut Scene) {
    let mut time = scene.draw.time(8, 22);
    let car = format!("{} {}", scene.draw.pick(&COLOURS), scene.draw.pick(&CARS));
    let phone = format!("555 9{}", scene.draw.between(100, 999));
    let restaurant = scene.booking("the restaurant");
    let table = restaurant.and_then(|booking| booking.time);
    let restaurant = restaurant.map(|booking| booking.name.clone());
    let hotel = scene.booking("the hotel").map(|booking| booking.name.clone());
    let (from, to) = match (restaurant, hotel) {
        (Some(restaurant), Some(hotel)) if scene.draw.chance(80) => match (scene.draw.below(3), table) {
            (0, Some(table)) => {
                time = table;
                scene.user(
                    &[
                        "I need a taxi from the hotel to the restaurant for the time of my table.",
                        "I want a taxi from the hotel so that I am at the restaurant on time.",
                    ],
                    &[],
                );
                (hotel, restaurant)
            }
            (1, _) => {
                scene.user(
                    &[
                        "I need a taxi from the hotel to the restaurant at {time}.",
                        "Please book a taxi from the hotel to the restaurant at {time}.",
                    ],
                    &[("time", &clock(time))],
                );
                (hotel, restaurant)
            }
            _ => {
                scene.user(
                    &[
                        "I need a taxi from the restaurant to the hotel at {time}.",
                        "Please book a taxi from the restaurant to the hotel at {time}.",
                    ],
                    &[("time", &clock(time))],
                );
                (restaurant, hotel)
            }
        },
        _ => between_named_places(scene, time),
    };
    scene.answer(
        &[
            "A {car} will take you from {from} to {to} at {time}. The phone number of the driver is {phone}. Can I help you with anything else?",
            "Your taxi from {from} to {to} at {time} is a {car}. The phone number of the driver is {phone}. Is there anything else?",
        ],
        &[("car", &car), ("from", &from), ("to", &to), ("time", &clock(time)), ("phone", &phone)],
    );
    scene.taxi = Some(Taxi { car, phone, time: clock(time) });
}

fn between_named_places(scene: &mut Scene, time: usize) -> (String, String) {
    let hotel = scene.draw.pick(&HOTELS).name;
    let restaurant = scene.draw.pick(&RESTAURANTS).name;
    let (from, to) = *scene.draw.pick(&[
        (hotel, restaurant),
        (restaurant, hotel),
        ("the station", hotel),
        (restaurant, "the station"),
    ]);
    let time = clock(time);
    let slots = [("from", from), ("to", to), ("time", time.as_str())];
    if scene.draw.chance(60) {
        scene.user(
            &[
                "I need a taxi from {from} to {to} at {time}.",
                "Please book a taxi from {from} to {to} at {time}.",
                "Can I get a taxi at {time} from {from} to {to}?",
                "Someone should drive me from {from} to {to} at {time}.",
            ],
            &slots,
        );
    } else {
        scene.user(&["I need a taxi from {from} to {to}.", "I want a taxi from {from} to {to}."], &slots);
        scene.answer(&["At what time should the taxi pick you up at {from}?"], &slots);
        scene.user(&["At {time}.", "{time}, please."], &slots);
    }
    (from.to_owned(), to.to_owned())
}
