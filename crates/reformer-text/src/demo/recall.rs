//! Questions about what was settled earlier: the answers are somewhere up in the context.

use super::draw::clock;
use super::scene::Scene;

pub(super) fn play(scene: &mut Scene) {
    if scene.taxi.is_some() && scene.draw.chance(35) {
        return taxi(scene);
    }
    if scene.bookings.len() > 1 && scene.draw.chance(30) {
        return everything(scene);
    }
    if scene.bookings.is_empty() {
        return;
    }
    let at = scene.draw.below(scene.bookings.len());
    let booking = &scene.bookings[at];
    let (kind, what, name, day) = (booking.kind, booking.what, booking.name.clone(), booking.day);
    let (time, reference) = (booking.time.map(clock), booking.reference.clone());
    let slots = [("kind", kind), ("what", what), ("name", name.as_str()), ("day", day)];
    match time {
        Some(time) if scene.draw.chance(40) => {
            scene.user(&["When is my {what} again?", "What day and time is my {what}?"], &slots);
            let phrase = if what == "table" {
                "Your table at {name} is on {day} at {time}. Is there anything else?"
            } else {
                "Your train {name} leaves on {day} at {time}. Is there anything else?"
            };
            scene.answer(&[phrase], &[("name", &name), ("day", day), ("time", &time)]);
        }
        _ => {
            scene.user(
                &[
                    "What was the reference number for {kind} again?",
                    "Can you repeat the reference number for {kind}?",
                    "What is my reference number for {kind}?",
                ],
                &slots,
            );
            let named = if what == "train" { format!("train {name}") } else { name };
            scene.answer(
                &["The reference number for {name} is {reference}. Is there anything else?"],
                &[("name", &named), ("reference", &reference)],
            );
        }
    }
}

fn taxi(scene: &mut Scene) {
    let Some(taxi) = &scene.taxi else { return };
    let (car, phone, time) = (taxi.car.clone(), taxi.phone.clone(), taxi.time.clone());
    let slots = [("car", car.as_str()), ("phone", phone.as_str()), ("time", time.as_str())];
    if scene.draw.chance(50) {
        scene.user(&["What car is the taxi?", "Which car should I look for?"], &[]);
        scene.answer(&["Look for a {car} at {time}. Is there anything else?"], &slots);
    } else {
        scene.user(
            &["What was the phone number of the driver?", "Can you repeat the phone number of the driver?"],
            &[],
        );
        scene.answer(&["The phone number of the driver is {phone}. Is there anything else?"], &slots);
    }
}

fn everything(scene: &mut Scene) {
    let list: Vec<String> = scene
        .bookings
        .iter()
        .map(|booking| {
            let name = &booking.name;
            let what = match booking.what {
                "table" => format!("a table at {name}"),
                "room" => format!("a room at {name}"),
                _ => format!("tickets for train {name}"),
            };
            format!("{what}, reference {}", booking.reference)
        })
        .collect();
    scene.user(&["Can you repeat all my bookings?", "What have I booked so far?"], &[]);
    scene.answer(&["You have {list}. Is there anything else?"], &[("list", &list.join("; "))]);
}
