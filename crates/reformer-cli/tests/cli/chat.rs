//! `reformer chat`, through a pipe and once.

use std::fs;

use crate::fixture::{assert_done, assert_fails, folder, reformer, run, stderr, stdout, tiny};

fn chat(lines: &str, args: &[&str]) -> std::process::Output {
    let model = tiny();
    let fixed = ["chat", &model, "--max-tokens", "12", "--seed", "3"];
    reformer().args(fixed).args(args).write_stdin(lines).output().unwrap()
}

#[test]
fn a_pipe_gets_one_reply_a_line_and_only_replies_on_stdout() {
    let output = chat("hello\n/help\nbye\n", &["--json"]);
    assert_done(&output);
    let replies: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(replies.len(), 2);
    assert!(replies[0]["text"].is_string() && replies[0]["stats"]["prompt_tokens"].as_u64().unwrap() > 5);
    assert!(stderr(&output).contains("/regen"), "{}", stderr(&output));
}

#[test]
fn the_same_seed_says_the_same() {
    let one = chat("hello\nhow are you\n", &[]);
    assert_done(&one);
    assert_eq!(stdout(&one), stdout(&chat("hello\nhow are you\n", &[])));
}

#[test]
fn the_second_turn_reuses_the_first_ones_decode_state() {
    let output = chat("hello there, a rather long message\nbye\n", &["--json"]);
    let second: serde_json::Value = serde_json::from_str(stdout(&output).lines().nth(1).unwrap()).unwrap();
    assert!(second["stats"]["reused_tokens"].as_u64().unwrap() > 30, "{second}");
}

#[test]
fn one_shot_prints_one_reply() {
    let output = run(&["chat", &tiny(), "-p", "hello", "--max-tokens", "5", "--json"]);
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 1);
}

#[test]
fn unknown_commands_and_settings_are_answered_and_the_chat_goes_on() {
    let output = chat(
        "/regne\n/set temprature 1\n/set top_p 7\n/undo\n/save\n/load nowhere.json\nhello\n",
        &["--json"],
    );
    assert_done(&output);
    let stderr = stderr(&output);
    for word in [
        "did you mean /regen?",
        "temprature",
        "`top_p` is 7",
        "no turn to undo",
        "/save FILE",
        "nowhere.json",
    ] {
        assert!(stderr.contains(word), "no {word:?} in:\n{stderr}");
    }
    assert_eq!(stdout(&output).lines().count(), 1);
}

#[test]
fn a_conversation_is_saved_loaded_regenerated_and_taken_back() {
    let folder = folder();
    let file = folder.path().join("talk.json");
    let file = file.to_str().unwrap();
    let output =
        chat(&format!("hello\n/regen\n/save {file}\n/undo\n/show\n/stats\n"), &["--system", "Be brief."]);
    assert_done(&output);
    let said = stderr(&output);
    for word in ["Saved 2 turns", "Took back: hello", "Nothing has been said", "context"] {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
    let saved: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let roles: Vec<&str> =
        saved["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    let loaded = chat("/show\n", &["--load", file]);
    assert_done(&loaded);
    assert!(stderr(&loaded).contains("hello"), "{}", stderr(&loaded));
}

#[test]
fn several_lines_between_triple_quotes_are_one_message() {
    let output = chat("\"\"\"one\ntwo\"\"\"\n/show\n", &["--json"]);
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 1);
    assert!(stderr(&output).contains("one\ntwo"), "{}", stderr(&output));
}

#[test]
fn a_conversation_longer_than_the_model_slides_and_says_so() {
    let long = "a word and another word ".repeat(20);
    let output = chat(&format!("{long}\n{long}\nend\n"), &[]);
    assert_done(&output);
    assert!(stderr(&output).contains("no longer sees"), "{}", stderr(&output));
    let refused = chat(&format!("{long}{long}\n"), &["--context", "refuse"]);
    assert_done(&refused);
    assert!(stderr(&refused).contains("512 positions"), "{}", stderr(&refused));
}

#[test]
fn a_byte_that_is_no_text_costs_neither_the_message_nor_the_conversation() {
    let model = tiny();
    let mut command = reformer();
    command.args(["chat", &model, "--max-tokens", "3", "--json"]);
    let output = command.write_stdin(b"\xef\xbb\xbfcaf\xe9\nbye\n/show\n".to_vec()).output().unwrap();
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 2);
    let said = stderr(&output);
    assert!(said.contains("is not UTF-8") && said.contains("you caf\u{fffd}\n"), "{said}");
}

#[test]
fn what_was_pasted_is_a_message_and_what_was_quoted_too() {
    let output = chat("/usr/bin/env\n// main\n\"\"\"/new\"\"\"\n/show\n", &["--json"]);
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 3);
    for word in ["you /usr/bin/env\n", "you // main\n", "you /new\n"] {
        assert!(stderr(&output).contains(word), "no {word:?} in:\n{}", stderr(&output));
    }
}

#[test]
fn a_conversation_replaces_only_its_own_file_and_a_tilde_is_home() {
    let folder = folder();
    let other = folder.path().join("other.json");
    fs::write(&other, "precious").unwrap();
    let model = tiny();
    let lines = format!(
        "hello\n/save\n/save {0}\n/save ~/talk.json\nmore\n/save\n/save! {0}\n",
        other.to_str().unwrap()
    );
    let mut command = reformer();
    command.env("HOME", folder.path()).args(["chat", &model, "--max-tokens", "3"]);
    let output = command.write_stdin(lines).output().unwrap();
    assert_done(&output);
    let said = stderr(&output);
    for word in ["/save FILE", "other.json is there already; `/save! ", "Saved 2 turns", "Saved 4 turns"] {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
    let turns = |path: &std::path::Path| {
        let saved: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        saved["messages"].as_array().unwrap().len()
    };
    assert_eq!((turns(&folder.path().join("talk.json")), turns(&other)), (4, 4));
}

#[test]
fn settings_are_confirmed_and_words_of_other_tools_understood() {
    let output = chat("hello\n/temperature 0.5\n/set top_p 0.9\n/clear\n/show\n", &[]);
    assert_done(&output);
    for word in ["temperature          0.5\n", "top_p                0.9\n", "Nothing has been said"] {
        assert!(stderr(&output).contains(word), "no {word:?} in:\n{}", stderr(&output));
    }
}

#[test]
fn each_chat_has_a_seed_of_its_own_and_tells_it() {
    let model = tiny();
    let seed = || {
        let output = run(&["chat", &model, "-p", "hello", "-n", "2", "-v"]);
        assert_done(&output);
        let said = stderr(&output);
        said.lines().find_map(|line| line.strip_prefix("seed ")).expect("no seed").to_owned()
    };
    let seeds = [seed(), seed(), seed()];
    assert!(seeds[0] != seeds[1] || seeds[1] != seeds[2], "{seeds:?}");
}

#[test]
fn escape_sequences_of_a_conversation_reach_no_terminal() {
    let folder = folder();
    let file = folder.path().join("talk.json");
    let evil = r#"[{"role":"system","content":"\u001b]0;sys\u0007"},
        {"role":"user","content":"\u001b]52;c;eA==\u0007"},{"role":"assistant","content":"\u009b2J"}]"#;
    fs::write(&file, evil).unwrap();
    let output = chat("/show\n/system\n/undo\n", &["--load", file.to_str().unwrap()]);
    assert_done(&output);
    let said = stderr(&output);
    assert!(said.contains("]52;c;eA==") && said.contains("]0;sys") && said.contains("2J"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{said:?}");
}

#[test]
fn a_damaged_conversation_is_refused_by_its_name() {
    let folder = folder();
    let file = folder.path().join("talk.json");
    for bad in ["", "{", "[{}]", "{\"messages\": 3}", "[{\"role\":\"user\",\"content\":7}]", "\u{0}"] {
        fs::write(&file, bad).unwrap();
        assert_fails(
            &run(&["chat", &tiny(), "-p", "a", "--load", file.to_str().unwrap()]),
            1,
            &["talk.json"],
        );
    }
    fs::write(&file, b"[\xff]").unwrap();
    let refused = run(&["chat", &tiny(), "-p", "a", "--load", file.to_str().unwrap()]);
    assert_fails(&refused, 1, &["talk.json", "not UTF-8 at byte 1"]);
}

#[test]
fn a_model_without_role_marks_is_a_completion_model() {
    let folder = folder();
    let checkpoint = crate::fixture::checkpoint_copy(folder.path());
    let bytes_only = r#"{"tokenizer_class": "ReformerByteTokenizer", "additional_special_tokens": []}"#;
    fs::write(checkpoint.join("tokenizer_config.json"), bytes_only).unwrap();
    let output = run(&["chat", checkpoint.to_str().unwrap(), "-p", "hello"]);
    assert_fails(&output, 1, &["completion model", "reformer generate"]);
}

#[test]
fn a_message_is_written_in_the_persons_editor() {
    let model = tiny();
    let edit = |editor: &str| {
        let fixed = ["chat", &model, "--max-tokens", "3", "--json"];
        let mut command = reformer();
        command.env_remove("VISUAL").env("EDITOR", editor).args(fixed);
        command.write_stdin("/edit a draft\n/show\n").output().unwrap()
    };
    let output = edit("printf ' and more\\nof it' >>");
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 1);
    assert!(stderr(&output).contains("a draft and more\nof it"), "{}", stderr(&output));
    let empty = edit("truncate -s 0");
    assert!(stdout(&empty).is_empty() && stderr(&empty).contains("nothing sent"), "{}", stderr(&empty));
    let failed = edit("false");
    assert_done(&failed);
    assert!(stderr(&failed).contains("nothing was sent"), "{}", stderr(&failed));
}
