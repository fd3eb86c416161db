//! `reformer train`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{assert_done, assert_fails, folder, recipe, run, stderr, stdout, tiny_run};

#[test]
fn training_leaves_a_run_directory_with_recipe_metrics_and_checkpoints() {
    let run = tiny_run();
    for path in [
        "recipe.toml",
        "metrics.jsonl",
        "train.log",
        "checkpoints/last/model.safetensors",
        "checkpoints/best/config.json",
    ] {
        assert!(run.join(path).exists(), "no {path} in {}", run.display());
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for line in metrics.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}

#[test]
fn a_pipe_gets_lines_with_step_loss_rate_and_eta_and_no_colour() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[("steps = 12", "steps = 3")]);
    let out = folder.path().join("run");
    let output = run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_done(&output);
    let stderr = stderr(&output);
    for word in ["step 3/3 (100.00%)", "| loss ", "| lr ", "| tok/s ", "| eta "] {
        assert!(stderr.contains(word), "no {word:?} in:\n{stderr}");
    }
    assert!(!stderr.contains('\x1b'), "{stderr}");
}

#[test]
fn quiet_training_says_nothing_on_stderr() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[("steps = 12", "steps = 2")]);
    let out = folder.path().join("run");
    let output = run(&["-q", "train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_done(&output);
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_dry_run_prints_a_plan_and_writes_nothing() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    let out = folder.path().join("run");
    let args = ["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap(), "--dry-run"];
    let output = run(&args);
    assert_done(&output);
    for word in ["parameters", "tokens", "steps", "memory", "time"] {
        assert!(stdout(&output).contains(word), "no {word:?} in:\n{}", stdout(&output));
    }
    assert!(!out.exists());
    let json = run(&[&args[..], &["--json"]].concat());
    let plan: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert!(plan["parameters"].as_u64().unwrap() > 0, "{plan}");
}

#[test]
fn a_dry_run_of_the_assignment_shows_its_shape_with_and_without_the_corpus() {
    let folder = folder();
    let recipe = folder.path().join("course-chatbot.toml");
    fs::write(&recipe, include_str!("../../../../recipes/course-chatbot.toml")).unwrap();
    let dry = |more: &[&str]| {
        let output = run(&[&["train", recipe.to_str().unwrap(), "--dry-run"], more].concat());
        assert_done(&output);
        stdout(&output)
    };
    let without = dry(&[]);
    for words in ["58,072,296", "not there", "multiwoz/train.jsonl.gz is needed to train", "--set data=FILE"]
    {
        assert!(without.contains(words), "no {words:?} in:\n{without}");
    }
    assert!(dry(&["--set", "model.layers=6"]).contains("70,673,640"));
    let corpus = folder.path().join("train.jsonl");
    fs::write(&corpus, "{}\n").unwrap();
    let data = format!("data={}", corpus.display());
    let valid = format!("valid={}", corpus.display());
    let with = dry(&["--set", &data, "--set", &valid]);
    assert!(with.contains("58,072,296") && with.contains("3 B") && !with.contains("not there"), "{with}");
    // A run without its corpus is no run.
    let out = folder.path().join("run");
    let output = run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_fails(&output, 1, &["cannot read", "multiwoz/train.jsonl.gz"]);
}

#[test]
fn a_dry_run_counts_memory_as_the_plan_does() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    let keys = ["--set", "optimizer.in_backward=true", "--set", "gradient_streams=bf16", "--json"];
    let ask = |command: &[&str]| -> serde_json::Value {
        let output = run(&[command, &[recipe.to_str().unwrap()], &keys[..]].concat());
        assert_done(&output);
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let (tried, planned) = (ask(&["train", "--dry-run"]), ask(&["plan"]));
    for part in ["gradients", "streams", "optimizer"] {
        assert!(tried["memory"][part].is_u64(), "no {part} in {tried}");
        assert_eq!(tried["memory"][part], planned["ways"][0]["memory"][part], "{part} of {tried}");
    }
}

#[test]
fn a_run_is_not_overwritten_and_resumes_to_its_end() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[("steps = 12", "steps = 2")]);
    let (recipe, out) = (recipe.to_str().unwrap(), folder.path().join("run"));
    let out = out.to_str().unwrap();
    assert_done(&run(&["train", recipe, "--out", out]));
    assert_fails(&run(&["train", recipe, "--out", out]), 2, &["already holds a run", "--resume"]);
    let resumed = run(&["train", &format!("--resume={out}")]);
    assert_done(&resumed);
}

#[test]
fn ctrl_c_saves_a_checkpoint_and_exits_130_and_resume_finishes() {
    let folder = folder();
    let recipe =
        recipe(folder.path(), &[("steps = 12", "steps = 100000"), ("save_every = 6", "save_every = 0")]);
    let out = folder.path().join("run");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("reformer"))
        .args(["train", recipe.to_str().unwrap(), "--threads", "1", "--out", out.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The metrics file has a line once the first step is done.
    let started = Instant::now();
    while fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 3 {
        assert!(started.elapsed() < Duration::from_mins(1), "no step within a minute");
        assert_eq!(child.try_wait().unwrap(), None, "ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(out.join("checkpoints/last/model.safetensors").exists());
    assert!(stderr(&output).contains("--resume"), "{}", stderr(&output));
}

#[test]
fn a_typo_in_a_recipe_is_a_configuration_error_with_a_suggestion() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[("learning_rate", "learning_rat")]);
    assert_fails(&run(&["train", recipe.to_str().unwrap()]), 2, &["learning_rat", "learning_rate", "line 6"]);
}

#[test]
fn a_typo_in_a_set_is_a_configuration_error_with_a_suggestion() {
    assert_fails(
        &run(&["train", "--demo", "--set", "model.num_hash=2"]),
        2,
        &["model.num_hash", "model.num_hashes"],
    );
    assert_fails(&run(&["train", "--demo", "--set", "steps"]), 2, &["KEY=VALUE"]);
}

#[test]
fn an_impossible_axial_shape_and_an_odd_bucket_count_are_configuration_errors() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    let recipe = recipe.to_str().unwrap();
    let refused = |set: &str, words: &[&str]| assert_fails(&run(&["train", recipe, "--set", set]), 2, words);
    refused("model.axial_shape=[4, 8]", &["model.axial_shape", "covers 32 positions"]);
    refused("model.axial_dims=[1, 2]", &["model.axial_dims", "hidden_size"]);
    refused("model.num_buckets=7", &["model.num_buckets", "even"]);
    refused("length=0", &["length"]);
    refused("model.attn_layers=[]", &["model.attn_layers"]);
}

#[test]
fn rows_of_one_token_train() {
    let folder = folder();
    let recipe = recipe(
        folder.path(),
        &[
            ("length = 128", "length = 1"),
            ("steps = 12", "steps = 2"),
            ("eval_tokens = 512", "eval_tokens = 3"),
        ],
    );
    let out = folder.path().join("run");
    assert_done(&run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]));
}

#[test]
fn a_recipe_that_is_missing_or_no_toml_is_a_configuration_error() {
    assert_fails(&run(&["train", "nowhere.toml"]), 2, &["nowhere.toml"]);
    let folder = folder();
    let path = folder.path().join("broken.toml");
    fs::write(&path, "steps = = 3").unwrap();
    assert_fails(&run(&["train", path.to_str().unwrap()]), 2, &["line 1"]);
}

#[test]
fn train_without_a_recipe_says_what_to_give() {
    assert_fails(&run(&["train"]), 2, &["RECIPE"]);
}
