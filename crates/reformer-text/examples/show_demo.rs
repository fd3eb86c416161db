//! Prints the first dialogues of the demo corpus and what the corpus holds.
#![allow(clippy::print_stdout, reason = "an example")]

use reformer_text::{Summary, demo};

fn main() {
    for dialogue in demo::dialogues(demo::TRAIN_SEED, 5) {
        println!("# {} {:?}", dialogue.id, dialogue.domains);
        for turn in &dialogue.turns {
            println!("{:>9}: {}", turn.role.name(), turn.text);
        }
        println!();
    }
    println!("{:#?}", Summary::of(&demo::split().0));
}
