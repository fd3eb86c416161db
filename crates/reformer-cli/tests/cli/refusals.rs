//! What is not a model, a disk that is full, a reader that left: a clear message and the right exit code.

use std::fs;
use std::process::Command;

use crate::fixture::{assert_fails, checkpoint_copy, folder, recipe, run, stderr, stdout, tiny};

#[test]
fn a_directory_that_is_not_there_is_a_usage_error() {
    for command in ["chat", "generate", "inspect"] {
        assert_fails(&run(&[command, "nowhere"]), 2, &["nowhere"]);
    }
    assert_fails(&run(&["eval", "nowhere", "--data", "x"]), 2, &["nowhere"]);
}

#[test]
fn a_file_or_an_empty_directory_is_no_model() {
    let folder = folder();
    let file = folder.path().join("model.safetensors");
    fs::write(&file, "x").unwrap();
    assert_fails(&run(&["inspect", file.to_str().unwrap()]), 1, &["is a file", "directory"]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_fails(&run(&["inspect", empty.to_str().unwrap()]), 1, &["empty"]);
}

#[test]
fn a_truncated_checkpoint_is_refused() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    let weights = checkpoint.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for keep in [bytes.len() - 1, bytes.len() / 2, 8, 1, 0] {
        fs::write(&weights, &bytes[..keep]).unwrap();
        assert_fails(&run(&["inspect", checkpoint.to_str().unwrap()]), 1, &["model.safetensors"]);
    }
}

#[test]
fn a_checkpoint_of_another_shape_names_the_tensor_and_both_shapes() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    let config = checkpoint.join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"feed_forward_size\": 64", "\"feed_forward_size\": 48")).unwrap();
    let output = run(&["chat", checkpoint.to_str().unwrap(), "-p", "hello"]);
    assert_fails(&output, 1, &["layers.", "feed_forward", "64", "48", "config.json"]);
}

#[test]
fn a_foreign_or_broken_configuration_is_refused() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    let config = checkpoint.join("config.json");
    let good = fs::read_to_string(&config).unwrap();
    let refused = |text: &str, words: &[&str]| {
        fs::write(&config, text).unwrap();
        assert_fails(&run(&["inspect", checkpoint.to_str().unwrap()]), 1, words);
    };
    refused("", &["config.json"]);
    refused(r#"{"model_type": "gpt2", "n_embd": 768}"#, &["gpt2"]);
    refused(&good.replace("\"num_buckets\": 8", "\"num_buckets\": 7"), &["num_buckets", "7"]);
}

#[test]
fn a_full_disk_stops_training_and_leaves_no_half_checkpoint() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[("steps = 12", "steps = 2")]);
    let program = assert_cmd::cargo::cargo_bin("reformer");
    let out = folder.path().join("run");
    // A file-size limit of 32 KiB stands in for the disk: the weights are larger. SIGXFSZ ignored, writes fail.
    let script = r#"trap '' XFSZ; ulimit -f 32; exec "$@""#;
    let output = Command::new("bash")
        .args(["-c", script, "sh"])
        .arg(program)
        .args(["train", recipe.to_str().unwrap(), "--threads", "1", "--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    assert_fails(&output, 1, &["cannot save"]);
    let left = fs::read_dir(out.join("checkpoints")).map_or(0, |entries| {
        entries.filter(|entry| entry.as_ref().unwrap().path().join("config.json").exists()).count()
    });
    assert_eq!(left, 0, "a checkpoint that is not complete was left");
}

#[test]
fn an_output_that_cannot_be_a_directory_is_refused() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    // Below a file nothing can be made, not even by root; /proc is read-only for everyone.
    let below = recipe.join("run");
    for out in [below.to_str().unwrap(), "/proc/run"] {
        let output = run(&["train", recipe.to_str().unwrap(), "--out", out]);
        assert_fails(&output, 1, &[out]);
    }
}

#[test]
fn writing_to_a_full_device_fails_with_1() {
    let program = assert_cmd::cargo::cargo_bin("reformer");
    for args in [vec!["data", "convert", "demo"], vec!["completions", "bash"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(&program).args(&args).stdout(full).output().unwrap();
        assert_fails(&output, 1, &[]);
    }
}

#[test]
fn a_pipe_that_closes_early_is_success() {
    let program = assert_cmd::cargo::cargo_bin("reformer");
    let model = tiny();
    for command in
        ["data convert demo".to_owned(), "completions bash".into(), format!("inspect {model} --tensors")]
    {
        let script = format!("set -o pipefail; {} {command} | head -1", program.display());
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {}", stderr(&output));
        assert_eq!(stdout(&output).lines().count(), 1, "{command}");
    }
}

#[test]
fn usage_errors_are_2_and_help_is_0() {
    assert_fails(&run(&["trian"]), 2, &["train"]);
    assert_fails(&run(&["--threads", "0", "completions", "bash"]), 2, &["--threads"]);
    assert_fails(&run(&["completions", "tcsh"]), 2, &["bash"]);
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in
        ["train", "eval", "generate", "chat", "inspect", "data", "plan", "bench", "plot", "completions"]
    {
        assert!(stdout(&help).contains(command));
    }
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("num-hashes"), "{shell}");
    }
}
