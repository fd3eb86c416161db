//! The chatbot in the box: a chat without a model's name.

use std::fs;
use std::path::Path;

use crate::fixture::{assert_done, assert_fails, folder, reformer, run, stderr, stdout};

/// Says `text` to it, its data folder being `data`.
fn say(data: &Path, text: &str, seed: &str) -> std::process::Output {
    let fixed = ["chat", "--json", "--seed", seed, "-p", text];
    reformer().env("XDG_DATA_HOME", data).args(fixed).output().unwrap()
}

fn reply(output: &std::process::Output) -> (String, String) {
    assert_done(output);
    let reply: serde_json::Value = serde_json::from_str(stdout(output).trim()).unwrap();
    (reply["text"].as_str().unwrap().to_owned(), reply["lookups"].to_string())
}

#[test]
fn a_chat_without_a_model_talks_to_the_one_in_the_box_which_asks_its_tables() {
    let folder = folder();
    for seed in ["1", "2", "3"] {
        let (text, lookups) = reply(&say(folder.path(), "I need a cheap restaurant in the centre.", seed));
        assert!(lookups.contains("restaurant") && lookups.contains("cheap"), "{text}\n{lookups}");
        assert!(!text.contains('{') && !text.contains("(no "), "{text}");
    }
    let unpacked = folder.path().join("reformer/multiwoz");
    let weights = unpacked.join("model.safetensors");
    let written = weights.metadata().unwrap().modified().unwrap();
    // What is there already is left alone, and what is broken is mended.
    fs::write(unpacked.join("config.json"), "{}").unwrap();
    reply(&say(folder.path(), "hello", "1"));
    assert_eq!(weights.metadata().unwrap().modified().unwrap(), written);
    let bookings = unpacked.join("bookings.sqlite");
    assert!(bookings.is_file(), "bookings are kept beside the tables");
}

#[test]
fn without_a_data_folder_that_can_be_written_it_is_unpacked_for_one_chat() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let (text, _) = reply(&say(&file, "hello", "1"));
    assert!(!text.is_empty());
    assert_eq!(fs::read_to_string(&file).unwrap(), "no folder");
}

#[test]
fn a_story_needs_a_model_of_its_own() {
    let output = run(&["chat", "--story"]);
    assert_fails(&output, 2, &["--story needs a model of plain text", "recipes/story.toml"]);
    assert!(!stderr(&output).contains("panicked"));
}

/// The course's questions about its pretrained chatbot, five times each.
#[test]
fn the_courses_three_questions_are_answered_from_the_tables() {
    let folder = folder();
    for seed in ["1", "2", "3", "4", "5"] {
        let (text, lookups) = reply(&say(folder.path(), "Are there theatres in town?", seed));
        assert!(lookups.contains("attraction") && lookups.contains("theatre"), "{text}\n{lookups}");
        let (text, lookups) = reply(&say(folder.path(), "Is there a hospital nearby?", seed));
        assert!(lookups.contains("hospital"), "{text}\n{lookups}");
        assert!(
            text.contains("addenbrookes") || text.contains("hills rd") || text.contains("01223"),
            "{text}"
        );
        let taxi = "Can you book a taxi?\nFrom the Cambridge Punter to Pizza Hut City Centre.\nI want to leave at 17:15.\n";
        let output = reformer()
            .env("XDG_DATA_HOME", folder.path())
            .args(["chat", "-v", "--seed", seed])
            .write_stdin(taxi)
            .output()
            .unwrap();
        assert_done(&output);
        let (said, told) = (stdout(&output), stderr(&output));
        assert!(told.contains("book taxi") && told.contains("booked, reference"), "{said}\n{told}");
        let car =
            ["toyota", "skoda", "bmw", "honda", "ford", "audi", "lexus", "volvo", "volkswagen", "tesla"];
        assert!(car.iter().any(|car| said.contains(car)), "{said}\n{told}");
    }
}
