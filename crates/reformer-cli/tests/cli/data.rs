//! `reformer data`.

use std::fs;

use crate::fixture::{assert_done, assert_fails, folder, run, stdout};

#[test]
fn the_demo_corpus_converts_to_jsonl_and_describes() {
    let converted = run(&["data", "convert", "demo", "--limit", "3"]);
    assert_done(&converted);
    assert_eq!(stdout(&converted).lines().count(), 3);
    let folder = folder();
    let path = folder.path().join("a.jsonl.gz");
    let path = path.to_str().unwrap();
    assert_done(&run(&["data", "convert", "demo", "--limit", "5", "-o", path]));
    let described = run(&["data", "describe", path, "--json"]);
    assert_done(&described);
    let json: serde_json::Value = serde_json::from_str(&stdout(&described)).unwrap();
    assert_eq!(json["dialogues"], 5);
    assert_done(&run(&["data", "describe", path, "demo"]));
}

#[test]
fn a_corpus_is_described_converted_and_split_whatever_form_it_has() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let line = |n: usize| {
        format!(
            r#"{{"conversations":[{{"from":"human","value":"hi {n}"}},{{"from":"gpt","value":"hello"}}]}}"#
        )
    };
    fs::write(at("a.json"), format!("[{}]", (0..20).map(line).collect::<Vec<_>>().join(",\n"))).unwrap();
    let described = stdout(&run(&["data", "describe", &at("a.json")]));
    for part in ["sharegpt", "50 % of them the assistant's", "user       hi 0", "assistant  hello"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let converted = run(&["data", "convert", &at("a.json"), "--to", "messages", "--limit", "1"]);
    assert_done(&converted);
    let json: serde_json::Value = serde_json::from_str(&stdout(&converted)).unwrap();
    assert_eq!(json["messages"][1]["role"], "assistant");
    assert_done(&run(&["data", "split", &at("a.json"), "-o", &at("parts"), "--valid", "0.2"]));
    let lines =
        |name: &str| fs::read_to_string(folder.path().join("parts").join(name)).unwrap().lines().count();
    assert_eq!((lines("train.jsonl"), lines("valid.jsonl")), (16, 4));
    assert!(!folder.path().join("parts/test.jsonl").exists());
    assert_fails(
        &run(&["data", "split", &at("a.json"), "-o", &at("parts")]),
        1,
        &["train.jsonl", "there already"],
    );
    assert_fails(&run(&["data", "split", &at("a.json"), "-o", &at("b"), "--valid", "1"]), 2, &["--valid 1"]);
    assert_fails(
        &run(&["data", "convert", &at("a.json"), "--to", "sgd", "-o", &at("x")]),
        2,
        &["sgd", "jsonl"],
    );
}

#[test]
fn bad_corpora_are_named_with_line_and_advice() {
    let folder = folder();
    let refused = |name: &str, content: &[u8], words: &[&str]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        assert_fails(&run(&["data", "describe", path.to_str().unwrap()]), 1, words);
    };
    refused("empty.jsonl", b"", &["empty.jsonl", "empty"]);
    refused(
        "latin.jsonl",
        b"{\"turns\":[{\"speaker\":\"user\",\"text\":\"caf\xe9\"}]}\n",
        &["UTF-8", "line 1"],
    );
    refused(
        "broken.jsonl",
        b"{\"turns\":[{\"speaker\":\"user\",\"text\":\"a\"}]}\n{\"turns\": [\n",
        &["line 2"],
    );
    refused("nobody.jsonl", b"{\"turns\":[{\"speaker\":\"robot\",\"text\":\"a\"}]}\n", &["robot"]);
    refused("cut.jsonl.gz", &[0x1f, 0x8b, 8, 0, 0, 0], &["cut.jsonl.gz"]);
    assert_fails(&run(&["data", "describe", "nowhere.jsonl"]), 1, &["nowhere.jsonl"]);
    assert_fails(&run(&["data", "describe", "demo", "--format", "xml"]), 2, &["xml", "jsonl"]);
}

#[test]
fn a_corpus_that_cannot_be_read_stops_training_with_1() {
    let folder = folder();
    for (name, content) in [("empty.jsonl", &b""[..]), ("latin.txt", b"caf\xe9")] {
        let corpus = folder.path().join(name);
        fs::write(&corpus, content).unwrap();
        let recipe = crate::fixture::recipe(
            folder.path(),
            &[("\"corpus.jsonl\"", &format!("{:?}", corpus.to_str().unwrap()))],
        );
        let out = folder.path().join("run");
        let output = run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert_fails(&output, 1, &[name]);
    }
}
