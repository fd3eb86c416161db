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
