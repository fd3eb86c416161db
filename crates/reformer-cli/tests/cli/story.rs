//! `chat --story`: lines from a pipe against a tiny model of plain text, its commands, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::fixture::{assert_done, assert_fails, folder, reformer, run, stderr, stdout, tiny};

const RECIPE: &str = r#"
data = "novel.txt"
length = 128
batch = 2
steps = 6
learning_rate = 3e-3
sample_every = 0
[model]
hidden_size = 16
heads = 2
attn_layers = ["local", "lsh"]
chunk_length = 16
max_positions = 512
[tokenizer]
kind = "bytes"
"#;

/// A run on a page of a novel in `folder`.
fn novelist(folder: &Path) -> String {
    let page = (0..60).map(|n| format!("It was evening number {n},\nand the lamps were lit.\n\n"));
    fs::write(folder.join("novel.txt"), page.collect::<String>()).unwrap();
    let recipe = folder.join("novel.toml");
    fs::write(&recipe, RECIPE).unwrap();
    let out = folder.join("run");
    assert_done(&run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]));
    out.to_str().unwrap().to_owned()
}

/// Lines through a pipe.
fn tell(model: &str, lines: &str, more: &[&str]) -> Output {
    let mut command = reformer();
    command.args(["chat", model, "--story", "--max-tokens", "12", "--seed", "3"]).args(more);
    command.write_stdin(lines.to_owned()).output().unwrap()
}

#[test]
fn a_story_is_told_in_turn_written_anew_taken_back_and_saved() {
    let folder = folder();
    let model = novelist(folder.path());
    let file = folder.path().join("story.txt");
    let file = file.to_str().unwrap();
    let lines = format!("It was cold, and\n/retry\n\n/undo\nThen\n/save {file}\n/save {file}\n/stats\n");
    let output = tell(&model, &lines, &["--json"]);
    assert_done(&output);
    let paragraphs: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(paragraphs.len(), 4, "a line, another try, a line of nothing, a line: {paragraphs:?}");
    assert_ne!(paragraphs[0]["text"], paragraphs[1]["text"], "another try draws anew");
    assert!(paragraphs[1]["stats"]["reused_tokens"].as_u64().unwrap() > 10, "{}", paragraphs[1]);
    let saved = fs::read_to_string(file).unwrap();
    let written = |at: usize| paragraphs[at]["text"].as_str().unwrap();
    let begun = format!("It was cold, and{}", written(1));
    assert!(saved.starts_with(&begun) && saved.contains("\n\nThen"), "{saved}");
    assert!(!saved.contains(written(0)) || written(1).contains(written(0)), "{saved}");
    let told = stderr(&output);
    for word in ["Took back: ", "Saved the story to", "last paragraph"] {
        assert!(told.contains(word), "no {word:?} in:\n{told}");
    }

    let on = tell(&model, "/show\n", &["--load", file]);
    assert_done(&on);
    assert!(stderr(&on).contains("It was cold, and"), "{}", stderr(&on));
    // A file of somebody else's is not written over without being told to.
    let other = tell(&model, &format!("Once\n/save {file}\n/save! {file}\n"), &[]);
    assert!(
        stderr(&other).contains("is there already") && stderr(&other).contains("Saved"),
        "{}",
        stderr(&other)
    );
    assert!(fs::read_to_string(file).unwrap().starts_with("Once"));
}

#[test]
fn one_line_gets_one_paragraph_and_the_same_seed_the_same_one() {
    let folder = folder();
    let model = novelist(folder.path());
    let once = || run(&["chat", &model, "--story", "-p", "The lamps", "--max-tokens", "9", "--seed", "5"]);
    assert_done(&once());
    assert_eq!(stdout(&once()), stdout(&once()));
    assert!(!stdout(&once()).trim().is_empty());
}

#[test]
fn what_a_story_has_no_use_for_is_told_and_the_story_goes_on() {
    let folder = folder();
    let model = novelist(folder.path());
    let output = tell(
        &model,
        "/undo\n/retry\n/save\n/save a.txt\n/system Be brief.\n/load gone.txt\nOnce\n",
        &["--json"],
    );
    assert_done(&output);
    let told = stderr(&output);
    for word in [
        "no passage to take back",
        "no paragraph to write anew",
        "/save FILE",
        "nothing to save",
        "no such command",
        "gone.txt",
    ] {
        assert!(told.contains(word), "no {word:?} in:\n{told}");
    }
    assert_eq!(stdout(&output).lines().count(), 1);
    let broken = folder.path().join("latin.txt");
    fs::write(&broken, b"caf\xe9").unwrap();
    let output = run(&["chat", &model, "--story", "--load", broken.to_str().unwrap(), "-p", "a"]);
    assert_fails(&output, 1, &["latin.txt", "not UTF-8 at byte 3"]);
}

#[test]
fn a_story_longer_than_the_model_goes_on_and_says_what_is_dropped() {
    let folder = folder();
    let model = novelist(folder.path());
    let long = "and the lamps were lit ".repeat(30);
    let output = tell(&model, &format!("{long}\nThen\n"), &[]);
    assert_done(&output);
    assert!(stderr(&output).contains("no longer sees the first"), "{}", stderr(&output));
}

#[test]
fn a_model_of_dialogues_tells_no_story_and_one_of_texts_is_pointed_to_it() {
    assert_fails(
        &run(&["chat", &tiny(), "--story", "-p", "Once"]),
        1,
        &["learned dialogues", "leave --story out"],
    );
    let output = run(&["chat", &tiny(), "--story", "--system", "Be brief.", "-p", "Once"]);
    assert_fails(&output, 2, &["--system"]);
    let folder = folder();
    let model = novelist(folder.path());
    assert_fails(&run(&["chat", &model, "-p", "hello"]), 1, &["nobody speaks", "--story"]);
}
