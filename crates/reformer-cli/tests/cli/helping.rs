//! `eval --dialogues`: a model, the corpus itself and a file of predictions, measured by what they offer and tell.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{assert_done, assert_fails, folder, run, stderr, stdout, tiny};
use crate::tables::{grounded, text, trained};

struct Files {
    folder: TempDir,
    tables: PathBuf,
    states: PathBuf,
    goals: PathBuf,
}

/// The town of the tables' tests, with a goal for each of its dialogues.
fn files() -> Files {
    let folder = folder();
    let (tables, ..) = grounded(folder.path());
    let (states, goals) = (folder.path().join("states.jsonl"), folder.path().join("goals.json"));
    let goal = |number: usize| {
        let area = ["north", "south"][number % 2];
        let goal = json!({"hotel": {"informable": {"area": area}, "requestable": ["REFERENCE"]}});
        (number.to_string(), goal)
    };
    fs::write(&goals, Value::from((0..60).map(goal).collect::<serde_json::Map<_, _>>()).to_string()).unwrap();
    Files { folder, tables, states, goals }
}

impl Files {
    /// What `eval` with these arguments says, as JSON.
    fn eval(&self, arguments: &[&str]) -> Value {
        let fixed = ["eval", "--tables", text(&self.tables), "--goals", text(&self.goals), "--json"];
        let output = run(&[&fixed, arguments].concat());
        assert_done(&output);
        serde_json::from_str(stdout(&output).trim()).unwrap()
    }
}

#[test]
fn a_model_that_learned_its_town_informs_and_succeeds_and_its_predictions_score_the_same_again() {
    let files = files();
    let model = trained(files.folder.path());
    let (predictions, talks) =
        (files.folder.path().join("predictions.json"), files.folder.path().join("talks.jsonl"));
    let dialogues = ["--dialogues", text(&files.states)];
    let of_model =
        [text(&model), "--limit", "12", "--predictions", text(&predictions), "--transcripts", text(&talks)];
    let measured = files.eval(&[&dialogues[..], &of_model].concat());
    assert_eq!((&measured["dialogues"], &measured["turns"]), (&json!(12), &json!(24)), "{measured}");
    // The model has seen these very dialogues: it asks what they ask, and says what they say.
    assert_eq!(measured["rates"]["total"]["success"], 100.0, "{measured}");
    assert!(measured["joint"]["exact"].as_f64().unwrap() > 90.0, "{measured}");

    let written: Value = serde_json::from_slice(&fs::read(&predictions).unwrap()).unwrap();
    let first = &written["0"][0];
    assert!(first["response"].as_str().unwrap().contains("[hotel_name]"), "{first}");
    assert_eq!(first["state"]["hotel"]["area"], "north");
    assert_eq!(first["active_domains"], json!(["hotel"]));
    assert!(fs::read_to_string(&talks).unwrap().contains("tool_calls"));

    let again = files.eval(&[&dialogues[..], &["--score", text(&predictions)]].concat());
    for key in ["rates", "bleu", "joint", "combined"] {
        assert_eq!(again[key], measured[key], "{key}");
    }
    // After the corpus's own words the model asks the same.
    let follows = [text(&model), "--limit", "12", "--follow", "corpus"];
    let followed = files.eval(&[&dialogues[..], &follows].concat());
    assert_eq!(followed["rates"]["total"]["success"], 100.0, "{followed}");
    assert!(followed["joint"]["exact"].as_f64().unwrap() > 90.0, "{followed}");
    let rounds =
        files.eval(&[&dialogues[..], &[text(&model), "--limit", "2", "--num-hashes", "1,2"]].concat());
    let rounds: Vec<_> = rounds["runs"].as_array().unwrap().iter().map(|run| &run["num_hashes"]).collect();
    assert_eq!(rounds, [1, 2]);
}

#[test]
fn the_corpus_itself_is_the_ceiling_and_dialogues_without_goals_are_named() {
    let files = files();
    let mut goals: Value = serde_json::from_slice(&fs::read(&files.goals).unwrap()).unwrap();
    goals.as_object_mut().unwrap().remove("7");
    fs::write(&files.goals, goals.to_string()).unwrap();
    let fixed = ["eval", "--oracle", "--dialogues", text(&files.states), "--tables", text(&files.tables)];
    let output = run(&[&fixed[..], &["--goals", text(&files.goals)]].concat());
    assert_done(&output);
    let (said, told) = (stdout(&output), stderr(&output));
    let scores: Vec<&str> = said.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(scores, ["60", "120", "-", "100.0", "100.0", "100.0", "200.0", "100.0", "100.0", "100.0"]);
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(told.contains("1 dialogue is without a goal") && told.contains(": 7"), "{told}");
}

#[test]
fn measures_that_cannot_be_are_refused_with_what_is_missing() {
    let files = files();
    let (tables, states, goals) = (text(&files.tables), text(&files.states), text(&files.goals));
    for (arguments, code, words) in [
        (&["x", "--dialogues", states][..], 2, &["--tables"][..]),
        (&["--dialogues", states, "--tables", tables], 2, &["DIR"]),
        (&["x", "--data", "demo", "--dialogues", states, "--tables", tables], 2, &["--data"]),
        (&["--score", goals, "--tables", tables], 2, &["--goals FILE", "--dialogues FILE"]),
        (&["--score", goals, "--tables", tables, "--goals", goals], 2, &["--booked FILE"]),
        (&["x", "--oracle", "--dialogues", states, "--tables", tables], 2, &["--oracle"]),
        (
            &["--oracle", "--dialogues", states, "--tables", tables, "--goals", states],
            1,
            &["states.jsonl", "goals"],
        ),
        (&["--oracle", "--dialogues", "none.jsonl", "--tables", tables], 1, &["none.jsonl"]),
        (&["x", "--dialogues", states, "--tables", tables, "--limit", "0"], 2, &["--limit"]),
    ] {
        assert_fails(&run(&[&["eval"], arguments].concat()), code, words);
    }
    // A model that has learned no lookups has no beliefs.
    let output = run(&["eval", &tiny(), "--dialogues", states, "--tables", tables]);
    assert_fails(&output, 2, &["has not learned to look things up", "--data FILE"]);
    // Predictions of other dialogues are not silently nothing.
    let other = files.folder.path().join("other.json");
    fs::write(&other, r#"{"abc": [{"response": "hello", "state": {}}]}"#).unwrap();
    let output = run(&["eval", "--score", text(&other), "--dialogues", states, "--tables", tables]);
    assert_fails(&output, 1, &["other.json", "names differ"]);
}
