//! Task dialogues of the project's own making, so that training needs no files.
//!
//! A small town with sixteen restaurants, ten hotels, trains to six towns and taxis. A dialogue settles one to four
//! tasks; the person asks for a place by any of the attributes that it has and may change the mind, the assistant
//! looks up what it has heard in the town's tables ([`schema`]), offers, books, and gives reference and phone numbers
//! that come up again: "for the same people on the same day", "a taxi from the hotel to the restaurant", "what was
//! the reference number again?". Its words hold placeholders for what the tables know, so what must be learned is
//! what to ask.
//!
//! Some 300 different words besides numbers. A dialogue depends on its seed and number only, on every platform.

mod details;
mod draw;
mod hotel;
mod recall;
mod restaurant;
mod scene;
mod tables;
mod taxi;
mod train;
mod wish;
mod world;

use self::draw::Draw;
use self::scene::Scene;
pub use self::tables::schema;
use crate::Dialogue;

/// Seed of the dialogues that [`split`] trains on.
pub const TRAIN_SEED: u64 = 1;
/// Seed of the dialogues that [`split`] validates on.
pub const VALID_SEED: u64 = 2;

/// Plays a task from its request to its settlement.
type Task = fn(&mut Scene);

/// What the assistant can do.
const TASKS: [(&str, Task); 4] =
    [("restaurant", restaurant::play), ("hotel", hotel::play), ("train", train::play), ("taxi", taxi::play)];

/// The first `count` dialogues of `seed`.
pub fn dialogues(seed: u64, count: usize) -> Vec<Dialogue> {
    (0..count).map(|number| dialogue(seed, number)).collect()
}

/// Dialogues to train on and to validate on, 6000 and 200, from different seeds.
pub fn split() -> (Vec<Dialogue>, Vec<Dialogue>) {
    (dialogues(TRAIN_SEED, 6000), dialogues(VALID_SEED, 200))
}

/// The first `count` requests of `seed`: dialogues about one thing or two, every domain in turn, which end with a
/// question about what was settled. None of them is among [`dialogues`].
pub fn requests(seed: u64, count: usize) -> Vec<Dialogue> {
    let request = |number: usize| {
        let mut scene = Scene::new(Draw::new(seed, (1 << 32) + number as u64));
        let mut tasks = vec![number % TASKS.len()];
        if scene.draw.chance(30) {
            tasks.push((number + scene.draw.between(1, TASKS.len() - 1)) % TASKS.len());
        }
        play(scene, &tasks, format!("request-{seed}-{number}"), 1)
    };
    (0..count).map(request).collect()
}

fn dialogue(seed: u64, number: usize) -> Dialogue {
    let mut scene = Scene::new(Draw::new(seed, number as u64));
    let mut left: Vec<usize> = (0..TASKS.len()).collect();
    let count = *scene.draw.pick(&[1, 1, 2, 2, 2, 3, 3, 4]);
    let tasks: Vec<usize> = (0..count).map(|_| left.swap_remove(scene.draw.below(left.len()))).collect();
    play(scene, &tasks, format!("demo-{seed}-{number}"), 0)
}

/// A dialogue about these tasks, with at least so many questions about what was settled.
fn play(mut scene: Scene, tasks: &[usize], id: String, questions: usize) -> Dialogue {
    open(&mut scene);
    let mut domains = Vec::new();
    for (nth, &task) in tasks.iter().enumerate() {
        if nth > 0 {
            let lead = ["Yes. ", "Thank you. ", "Yes, one more thing. ", "Great. ", ""];
            (*scene.draw.pick(&lead)).clone_into(&mut scene.lead);
        }
        domains.push(TASKS[task].0.to_owned());
        TASKS[task].1(&mut scene);
        if scene.draw.chance(3) {
            out_of_scope(&mut scene);
        }
        if nth + 1 == tasks.len() || scene.draw.chance(20) {
            for _ in 0..questions.max(*scene.draw.pick(&[0, 0, 1, 1, 2])) {
                recall::play(&mut scene);
            }
        }
    }
    close(&mut scene);
    Dialogue { domains, ..Dialogue::new(id, scene.turns) }
}

fn open(scene: &mut Scene) {
    match scene.draw.below(20) {
        0..=3 => {
            scene.user(&["Hello.", "Hi.", "Good morning.", "Hello, can you help me?", "Hey there!"], &[]);
            scene.answer(&[
                "Hello! How can I help you?",
                "Hello! I can help you with restaurants, hotels, trains and taxis.",
            ]);
        }
        4 | 5 => {
            scene.user(
                &[
                    "What can you do?",
                    "Who are you?",
                    "Hello, what can you do for me?",
                    "How does this work?",
                ],
                &[],
            );
            scene.answer(
                &[
                    "I can find restaurants and hotels, and book tables, rooms, trains and taxis. What do you need?",
                ]);
        }
        6 => {
            scene.user(&["How are you?", "Hello, how are you today?"], &[]);
            scene.answer(&["I am well, thank you. How can I help you?"]);
        }
        7 => out_of_scope(scene),
        8..=13 => {
            let lead = ["Hello. ", "Hi. ", "Good evening. ", "Hello, "];
            (*scene.draw.pick(&lead)).clone_into(&mut scene.lead);
        }
        _ => {}
    }
}

fn out_of_scope(scene: &mut Scene) {
    scene.user(
        &[
            "What is the weather like?",
            "Can you book a flight for me?",
            "Tell me a joke.",
            "Can you write a poem?",
            "Who won the football match?",
            "I need a doctor.",
            "What is two plus two?",
            "Where can I buy shoes?",
        ],
        &[],
    );
    scene.answer(&[
        "I am sorry, I can only help with restaurants, hotels, trains and taxis. What would you like?",
    ]);
}

fn close(scene: &mut Scene) {
    scene.user(
        &[
            "No, that is all. Thank you.",
            "No thank you, goodbye.",
            "That is everything, thanks.",
            "No, thank you for your help.",
            "No, you have been very helpful.",
            "Nothing else. Bye!",
        ],
        &[],
    );
    scene.answer(&[
        "You are welcome. Have a nice day!",
        "Thank you and goodbye!",
        "You are welcome. Enjoy your stay!",
    ]);
}
