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
    for word in
        ["did you mean /regen?", "temprature", "top_p is 7", "no turn to undo", "/save FILE", "nowhere.json"]
    {
        assert!(
            stderr.contains(word) || stderr.contains(&word.replace("top_p is", "`top_p` is")),
            "no {word:?} in:\n{stderr}"
        );
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
fn invalid_utf8_on_stdin_is_a_clear_error() {
    let output = reformer().args(["chat", &tiny()]).write_stdin(b"caf\xe9\n".to_vec()).output().unwrap();
    assert_fails(&output, 1, &["UTF-8"]);
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
