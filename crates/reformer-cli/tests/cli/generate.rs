//! `reformer generate`.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::fixture::{assert_done, assert_fails, reformer, run, stdout, tiny};

#[test]
fn the_text_begins_with_the_prompt_and_is_the_same_for_the_same_seed() {
    let model = tiny();
    let args = ["generate", &model, "-p", "I need a", "--max-tokens", "20", "--seed", "5"];
    let output = run(&args);
    assert_done(&output);
    assert!(stdout(&output).starts_with("I need a"));
    assert!(stdout(&output).ends_with('\n'));
    assert_eq!(output.stdout, run(&args).stdout);
}

#[test]
fn json_is_one_object_with_text_tokens_finish_and_stats() {
    let output = run(&["generate", &tiny(), "-p", "a", "--max-tokens", "7", "--json", "--temperature", "0"]);
    assert_done(&output);
    let done: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(done["text"].is_string());
    assert!(done["ids"].as_array().unwrap().len() <= 7);
    assert!(["stop", "length"].contains(&done["finish"].as_str().unwrap()), "{done}");
}

#[test]
fn the_prompt_comes_from_a_pipe_or_a_dash() {
    for dash in [&[][..], &["-p", "-"]] {
        let model = tiny();
        let args = [&["generate", &model, "--max-tokens", "3"], dash].concat();
        let output = reformer().args(args).write_stdin("The train").output().unwrap();
        assert_done(&output);
        assert!(stdout(&output).starts_with("The train"));
    }
}

#[test]
fn a_stop_string_is_never_part_of_the_text() {
    let model = tiny();
    let free = run(&["generate", &model, "-p", "the ", "--max-tokens", "60", "--seed", "1", "--json"]);
    let free: serde_json::Value = serde_json::from_str(&stdout(&free)).unwrap();
    let text = free["text"].as_str().unwrap();
    let stop: String = text.chars().skip(5).take(2).collect();
    let stopped = run(&[
        "generate",
        &model,
        "-p",
        "the ",
        "--max-tokens",
        "60",
        "--seed",
        "1",
        "--json",
        "--stop",
        &stop,
    ]);
    let stopped: serde_json::Value = serde_json::from_str(&stdout(&stopped)).unwrap();
    assert_eq!(stopped["finish"], "stop");
    let expected = &text[..text.find(&stop).unwrap()];
    assert_eq!(stopped["text"].as_str().unwrap(), expected);
}

#[test]
fn an_empty_prompt_and_bad_settings_are_usage_errors() {
    let model = tiny();
    assert_fails(&run(&["generate", &model, "-p", ""]), 2, &["prompt is empty"]);
    assert_fails(&run(&["generate", &model, "-p", "a", "--temperature", "-1"]), 2, &["temperature"]);
    assert_fails(&run(&["generate", &model, "-p", "a", "--top-p", "0"]), 2, &["top_p"]);
    assert_fails(&run(&["generate", &model, "-p", "a", "--top-k", "many"]), 2, &["--top-k"]);
}

#[test]
fn a_prompt_longer_than_the_model_names_both_numbers_or_slides() {
    let model = tiny();
    let long = "x".repeat(600);
    assert_fails(&run(&["generate", &model, "-p", &long]), 1, &["600 tokens", "512 positions"]);
    let slid = run(&["generate", &model, "-p", &long, "--context", "slide", "--max-tokens", "2", "--json"]);
    assert_done(&slid);
    let slid: serde_json::Value = serde_json::from_str(&stdout(&slid)).unwrap();
    assert!(slid["dropped_tokens"].as_u64().unwrap() > 88, "{slid}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("reformer"))
        .args(["generate", &tiny(), "-p", "a", "--max-tokens", "400", "--temperature", "2", "--threads", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
