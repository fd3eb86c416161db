//! Ordering a taxi, between places of the dialogue where there are two.

use super::draw::clock;
use super::scene::Scene;
use super::world::table;

pub(super) fn play(scene: &mut Scene) {
    let time = clock(scene.draw.time(8, 22));
    let both = ["restaurant", "hotel"].iter().all(|table| scene.booked.contains(table));
    let (hotel, restaurant) = ("{hotel.name}".to_owned(), "{restaurant.name}".to_owned());
    let (from, to, time) = if both && scene.draw.chance(80) {
        match scene.draw.below(3) {
            0 => {
                scene.user(
                    &[
                        "I need a taxi from the hotel to the restaurant for the time of my table.",
                        "I want a taxi from the hotel so that I am at the restaurant on time.",
                    ],
                    &[],
                );
                (hotel, restaurant, "{restaurant.time}".to_owned())
            }
            1 => {
                scene.user(
                    &[
                        "I need a taxi from the hotel to the restaurant at {time}.",
                        "Please book a taxi from the hotel to the restaurant at {time}.",
                    ],
                    &[("time", &time)],
                );
                (hotel, restaurant, time)
            }
            _ => {
                scene.user(
                    &[
                        "I need a taxi from the restaurant to the hotel at {time}.",
                        "Please book a taxi from the restaurant to the hotel at {time}.",
                    ],
                    &[("time", &time)],
                );
                (restaurant, hotel, time)
            }
        }
    } else {
        let (from, to) = between_named_places(scene, &time);
        (from, to, time)
    };
    scene.book("taxi", &[("from", from), ("to", to), ("time", time)]);
    scene.answer(&[
        "A {taxi.car} will take you from {taxi.from} to {taxi.to} at {taxi.time}. The phone number of the driver is {taxi.phone}. Can I help you with anything else?",
        "Your taxi from {taxi.from} to {taxi.to} at {taxi.time} is a {taxi.car}. The phone number of the driver is {taxi.phone}. Is there anything else?",
    ]);
}

fn between_named_places(scene: &mut Scene, time: &str) -> (String, String) {
    let mut name = |of: &str| {
        let rows = table(of);
        rows.value(scene.draw.below(rows.rows.len()), "name").to_owned()
    };
    let (hotel, restaurant) = (name("hotel"), name("restaurant"));
    let station = "the station".to_owned();
    let (from, to) = match scene.draw.below(4) {
        0 => (hotel, restaurant),
        1 => (restaurant, hotel),
        2 => (station, hotel),
        _ => (restaurant, station),
    };
    let slots = [("from", from.as_str()), ("to", to.as_str()), ("time", time)];
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
        scene.answer(&["At what time should the taxi pick you up?"]);
        scene.user(&["At {time}.", "{time}, please."], &slots);
    }
    (from, to)
}
