//! A tiny trained model, made once, and what every test needs to run the program.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::UNIX_EPOCH;

use assert_cmd::Command;
use tempfile::TempDir;

/// A recipe that trains in a fraction of a second: a few steps of a two-layer byte model on a corpus of a page.
pub(crate) const RECIPE: &str = r#"
data = "corpus.jsonl"
length = 128
batch = 2
steps = 12
learning_rate = 3e-3
seed = 1
eval_every = 6
eval_tokens = 512
save_every = 6
sample_every = 0

[model]
hidden_size = 32
heads = 2
feed_forward_size = 64
attn_layers = ["local", "lsh"]
chunk_length = 16
num_buckets = 8
max_positions = 512

[tokenizer]
kind = "bytes"
"#;

/// The program, deaf to the environment of whoever runs the tests.
pub(crate) fn reformer() -> Command {
    let mut command = Command::cargo_bin("reformer").unwrap();
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").args(["--threads", "1"]);
    command
}

/// Runs the program with `args`.
pub(crate) fn run(args: &[&str]) -> Output {
    reformer().args(args).output().unwrap()
}

/// Stdout as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Stderr as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts the exit code and that stderr, one `reformer: ` error, holds every word.
#[track_caller]
pub(crate) fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(code), "stderr:\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(stderr.contains("reformer: ") || stderr.contains("error: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no {word:?} in:\n{stderr}");
    }
}

/// Asserts success.
#[track_caller]
pub(crate) fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "stdout:\n{}\nstderr:\n{}", stdout(output), stderr(output));
}

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes the tiny recipe, with `replace` applied, into `folder`.
pub(crate) fn recipe(folder: &Path, replace: &[(&str, &str)]) -> PathBuf {
    let mut text = RECIPE.to_owned();
    for (from, to) in replace {
        assert!(text.contains(from), "the tiny recipe has no {from:?}");
        text = text.replace(from, to);
    }
    let path = folder.join("tiny.toml");
    fs::write(&path, text).unwrap();
    fs::write(folder.join("corpus.jsonl"), corpus()).unwrap();
    path
}

/// Twenty dialogues as JSON lines.
fn corpus() -> String {
    let places = ["north", "south", "east", "west", "centre"];
    let line = |number: usize| {
        let (place, price) = (places[number % 5], ["cheap", "dear"][number / 5 % 2]);
        let turns = serde_json::json!([
            { "speaker": "user", "text": format!("I need a {price} hotel in the {place}.") },
            { "speaker": "system", "text": format!("The {place} Star is {price}. Shall I book it?") },
            { "speaker": "user", "text": "Yes, please." },
            { "speaker": "system", "text": format!("Booked. Your reference is R{number}.") },
        ]);
        serde_json::json!({ "id": number.to_string(), "domains": ["hotel"], "turns": turns }).to_string()
            + "\n"
    };
    (0..20).map(line).collect()
}

/// The run directory of a tiny trained model, trained once for each build of the program.
///
/// Each test is a process of its own, so the model lives in a file system and a lock keeps them from training it twice.
pub(crate) fn tiny_run() -> PathBuf {
    let program = assert_cmd::cargo::cargo_bin("reformer");
    let built = fs::metadata(&program).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tiny-{}", built.as_nanos()));
    fs::create_dir_all(&home).unwrap();
    let lock = File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    let run_folder = home.join("run");
    if !home.join("done").exists() {
        let _ = fs::remove_dir_all(&run_folder);
        let recipe = recipe(&home, &[]);
        let output = run(&["train", recipe.to_str().unwrap(), "--out", run_folder.to_str().unwrap()]);
        assert_done(&output);
        File::create(home.join("done")).unwrap();
    }
    run_folder
}

/// The tiny model's run directory as an argument.
pub(crate) fn tiny() -> String {
    tiny_run().to_str().unwrap().to_owned()
}

/// A copy of the tiny model's checkpoint, to damage.
pub(crate) fn checkpoint_copy(folder: &Path) -> PathBuf {
    let from = tiny_run().join("checkpoints/last").canonicalize().unwrap();
    let to = folder.join("checkpoint");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}
