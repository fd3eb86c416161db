//! From a folder of tables and dialogues with states to a chat that looks things up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fixture::{RECIPE, assert_done, assert_fails, folder, reformer, run, stderr, stdout, tiny};

const SCHEMA: &str = r#"{"tables": [{"name": "hotel",
  "columns": [{"name": "area"}, {"name": "name", "kind": "name"}, {"name": "phone", "ask": false}],
  "shown": ["area"], "details": [{"name": "day", "required": true}], "booking": {"slot": ["day"], "capacity": 3}}]}"#;

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Tables, dialogues with states, and dialogues grounded in the tables.
pub(crate) fn grounded(folder: &Path) -> (PathBuf, PathBuf, String) {
    let files = folder.join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("hotel.csv"), "name,area,phone\nStar,north,0123456789\nMoon,south,0123456780\n")
        .unwrap();
    fs::write(folder.join("schema.json"), SCHEMA).unwrap();
    let line = |number: usize| {
        let (area, name) = [("north", "star"), ("south", "moon")][number % 2];
        let state = serde_json::json!({"hotel-area": area});
        let booked = serde_json::json!({"hotel-area": area, "hotel-day": "monday"});
        let turns = serde_json::json!([
            {"speaker": "user", "text": format!("a hotel in the {area} ?"), "state": state},
            {"speaker": "system", "text": format!("there is the {name} in the {area} .")},
            {"speaker": "user", "text": "book it for monday .", "state": booked},
            {"speaker": "system", "text": format!("booked , the reference number is ab{number:02}cd4e .")},
        ]);
        serde_json::json!({"id": number.to_string(), "turns": turns}).to_string() + "\n"
    };
    let states = folder.join("states.jsonl");
    fs::write(&states, (0..60).map(line).collect::<String>()).unwrap();
    let (tables, corpus) = (folder.join("town.sqlite"), folder.join("corpus.jsonl"));
    let schema = folder.join("schema.json");
    assert_done(&run(&["data", "tables", text(&files), "--schema", text(&schema), "-o", text(&tables)]));
    let output = run(&["data", "ground", text(&states), "--tables", text(&tables), "-o", text(&corpus)]);
    assert_done(&output);
    (tables, corpus, stdout(&output))
}

/// A model that a few steps on the grounded dialogues have taught their form.
pub(crate) fn trained(folder: &Path) -> PathBuf {
    let recipe = RECIPE
        .replace("kind = \"bytes\"", "kind = \"bpe\"\nvocab_size = 300")
        .replace("steps = 12", "steps = 400")
        .replace("eval_every = 6", "eval_every = 400")
        .replace("save_every = 6", "save_every = 400")
        .replace("learning_rate = 3e-3", "learning_rate = 1e-2");
    let path = folder.join("tables.toml");
    fs::write(&path, recipe).unwrap();
    let out = folder.join("run");
    assert_done(&run(&["train", text(&path), "--out", text(&out)]));
    out
}

#[test]
fn grounding_says_how_much_it_explained_and_what_it_wrote_describes_and_converts() {
    let folder = folder();
    let (_, corpus, said) = grounded(folder.path());
    assert!(said.contains("60, 120 system turns") && said.contains("100.0 % of columns"), "{said}");
    assert!(said.contains("100.0 % of system turns have no value that nothing explains"), "{said}");
    let converted = run(&["data", "convert", text(&corpus), "--limit", "1"]);
    assert_done(&converted);
    let line = stdout(&converted);
    for word in ["tool_calls", "there is the {hotel.name} in the {hotel.area} .", "{hotel.reference}"] {
        assert!(line.contains(word), "{word}: {line}");
    }
}

#[test]
fn a_trained_chat_asks_the_tables_fills_its_words_books_and_takes_back() {
    let folder = folder();
    let (tables, ..) = grounded(folder.path());
    let model = trained(folder.path());
    let bookings = folder.path().join("bookings.sqlite");
    let saved = folder.path().join("saved.json");
    let talk = format!(
        "a hotel in the south ?\n/save {}\nbook it for monday .\n/lookups\n/book\n/undo\n/book\n/show\n",
        text(&saved)
    );
    let fixed = ["chat", text(&model), "--tables", text(&tables), "--bookings", text(&bookings)];
    let output = reformer()
        .args(fixed)
        .args(["--temperature", "0", "--max-tokens", "40"])
        .write_stdin(talk)
        .output()
        .unwrap();
    assert_done(&output);
    let (said, told) = (stdout(&output), stderr(&output));
    assert!(said.contains("there is the Moon in the south"), "{said}\n{told}");
    assert!(told.contains("lookup hotel where area = south → 1 ; south"), "{told}");
    assert!(told.contains("book hotel → booked, reference "), "{told}");
    assert!(told.contains("hotel: Moon, day monday") && told.contains("is taken back"), "{told}");
    assert!(told.contains("Nothing is booked."), "{told}");
    let saved = fs::read_to_string(&saved).unwrap();
    assert!(saved.contains("tool_calls") && saved.contains("{hotel.name}"), "{saved}");
    // A saved conversation is gone on with: the row at hand and all.
    let file = folder.path().join("saved.json");
    let again = run(&[
        "chat",
        text(&model),
        "--tables",
        text(&tables),
        "--load",
        text(&file),
        "-p",
        "book it for monday .",
        "--temperature",
        "0",
        "--max-tokens",
        "40",
        "--json",
    ]);
    assert_done(&again);
    let reply: serde_json::Value = serde_json::from_str(stdout(&again).trim()).unwrap();
    assert!(reply["text"].as_str().unwrap().starts_with("booked"), "{reply}");
    let booked = reply["lookups"].as_array().unwrap().iter().find(|lookup| lookup["call"]["tool"] == "book");
    assert!(booked.unwrap()["result"].as_str().unwrap().contains("Moon"), "{reply}");
    // Both sides by itself: the assistant's looks things up all the same.
    let alone = ["generate", text(&model), "--dialogue", "--tables", text(&tables), "--temperature", "0"];
    let alone = run(&[&alone[..], &["-p", "a hotel in the south ?", "--turns", "4", "--json"]].concat());
    assert_done(&alone);
    let talk: serde_json::Value = serde_json::from_str(stdout(&alone).trim()).unwrap();
    let turns = talk["turns"].as_array().unwrap();
    assert!(turns[1]["content"].as_str().unwrap().contains("the Moon in the south"), "{talk}");
    assert_eq!(turns[1]["lookups"][0]["call"]["tool"], "lookup", "{talk}");
    assert!(turns.len() > 2 && turns[2]["role"] == "user", "{talk}");
}

#[test]
fn a_demo_run_brings_its_tables_and_its_requests_are_checked_against_them() {
    let folder = folder();
    let out = folder.path().join("demo");
    let small =
        ["steps=2", "length=64", "batch=1", "eval_tokens=64", "model.hidden_size=16", "model.layers=2"];
    let sets = small.iter().flat_map(|set| ["--set", set]);
    let fixed = ["train", "--demo", "--out", text(&out)];
    assert_done(&run(&fixed.into_iter().chain(sets).collect::<Vec<_>>()));
    for file in ["tables.sqlite", "tables.schema.json"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let measured = run(&["eval", text(&out), "--data", "demo", "--json"]);
    assert_done(&measured);
    let measured: serde_json::Value = serde_json::from_str(&stdout(&measured)).unwrap();
    assert!(
        measured["tokens"].as_u64().unwrap() > 1000 && measured["objective"] == "next token",
        "{measured}"
    );
    // Untrained, it gets nothing right; what counts is what the tables say.
    let checked = run(&["eval", text(&out), "--requests", "1", "--json"]);
    assert_done(&checked);
    let report: serde_json::Value = serde_json::from_str(stdout(&checked).trim()).unwrap();
    assert_eq!((&report["requests"], &report["right"]), (&1.into(), &0.into()), "{report}");
    let output =
        reformer().args(["chat", text(&out), "--max-tokens", "2"]).write_stdin("/book\n").output().unwrap();
    assert_done(&output);
    assert!(stderr(&output).contains("Nothing is booked."), "{}", stderr(&output));
    assert!(out.join("bookings.sqlite").is_file());
    assert_fails(&run(&["eval", &tiny(), "--requests", "1"]), 2, &["has not learned to look things up"]);
}

#[test]
fn a_database_without_its_schema_and_one_that_is_locked_are_told_with_what_to_do() {
    let folder = folder();
    let (tables, ..) = grounded(folder.path());
    let model = trained(folder.path());
    let ask = |tables: &Path| {
        run(&["chat", text(&model), "--tables", text(tables), "-p", "a hotel in the north ?"])
    };
    let alone = folder.path().join("alone.sqlite");
    fs::copy(&tables, &alone).unwrap();
    assert_fails(&ask(&alone), 1, &["alone.schema.json: is not there", "`reformer data tables` writes it"]);
    let none = folder.path().join("none.sqlite");
    assert_fails(&ask(&none), 1, &["none.sqlite: No such file"]);
    fs::write(&alone, "hello").unwrap();
    fs::copy(folder.path().join("town.schema.json"), folder.path().join("alone.schema.json")).unwrap();
    assert_fails(&ask(&alone), 1, &["alone.sqlite", "not a database"]);
    // Bookings that nobody can write, and a database of something else in their place.
    let book = |file: &Path| {
        let fixed = ["chat", text(&model), "--tables", text(&tables), "-p", "a hotel in the north ?"];
        run(&[&fixed[..], &["--bookings", text(file)]].concat())
    };
    assert_fails(&book(&folder.path().join("none/b.sqlite")), 1, &["b.sqlite", "cannot open the bookings"]);
    assert_fails(&book(&tables), 1, &["a database of something else", "name one that does not exist yet"]);
}

#[test]
fn tables_that_cannot_be_used_are_named_and_a_model_without_lookups_is_told_so() {
    let folder = folder();
    let model = tiny();
    let none = folder.path().join("none.sqlite");
    assert_fails(
        &run(&["chat", &model, "-p", "hi", "--tables", text(&none)]),
        2,
        &["has not learned to look things up", "reformer data ground"],
    );
    assert_fails(&run(&["data", "tables", text(&none), "-o", text(&none)]), 1, &["none.sqlite"]);
    let output = run(&["data", "ground", "x.jsonl", "--tables", text(&none), "-o", "y.jsonl"]);
    assert_fails(&output, 1, &["none.sqlite"]);
    assert_fails(&run(&["chat", &model, "--bookings", "b.sqlite"]), 2, &["--tables"]);
}
