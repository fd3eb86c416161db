//! Questions about what was settled earlier.

use super::scene::Scene;

pub(super) fn play(scene: &mut Scene) {
    if scene.booked.is_empty() {
        return;
    }
    if scene.booked.len() > 1 && scene.draw.chance(25) {
        return everything(scene);
    }
    let at = scene.draw.below(scene.booked.len());
    let table = scene.booked[at];
    match table {
        "taxi" => taxi(scene),
        "restaurant" if scene.draw.chance(30) => {
            scene.user(&["When is my table again?", "What day and time is my table?"], &[]);
            scene.answer(&[
                "Your table at {restaurant.name} is on {restaurant.day} at {restaurant.time}. Is there anything else?",
            ]);
        }
        "train" if scene.draw.chance(30) => {
            scene.user(&["When is my train again?", "What day and time is my train?"], &[]);
            scene.answer(&[
                "Your train {train.number} leaves on {train.day} at {train.leaves}. Is there anything else?",
            ]);
        }
        _ => {
            scene.user(
                &[
                    "What was the reference number for the {kind} again?",
                    "Can you repeat the reference number for the {kind}?",
                    "What is my reference number for the {kind}?",
                    "The reference number of the {kind} again, please.",
                ],
                &[("kind", table)],
            );
            let phrase = match table {
                "restaurant" => {
                    "The reference number for {restaurant.name} is {restaurant.reference}. Is there anything else?"
                }
                "hotel" => {
                    "The reference number for {hotel.name} is {hotel.reference}. Is there anything else?"
                }
                _ => {
                    "The reference number for train {train.number} is {train.reference}. Is there anything else?"
                }
            };
            scene.answer(&[phrase]);
        }
    }
}

fn taxi(scene: &mut Scene) {
    if scene.draw.chance(50) {
        scene.user(&["What car is the taxi?", "Which car should I look for?"], &[]);
        scene.answer(&["Look for a {taxi.car} at {taxi.time}. Is there anything else?"]);
    } else {
        scene.user(
            &["What was the phone number of the driver?", "Can you repeat the phone number of the driver?"],
            &[],
        );
        scene.answer(&["The phone number of the driver is {taxi.phone}. Is there anything else?"]);
    }
}

fn everything(scene: &mut Scene) {
    scene.user(&["Can you repeat all my bookings?", "What have I booked so far?"], &[]);
    scene.answer(&["You have booked: {bookings}. Is there anything else?"]);
}
