//! Killed with SIGKILL at random moments and resumed, a run ends with the same bytes as one that was left alone.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{assert_done, folder, recipe, run};

/// Kills before the run may finish.
const KILLS: u32 = 12;
/// Files that must not differ. (`training_state.json` holds the seconds that training took.)
const FILES: [&str; 4] =
    ["model.safetensors", "training_state.safetensors", "config.json", "tokenizer_config.json"];

#[test]
fn a_run_killed_at_random_moments_and_resumed_ends_bit_for_bit_like_one_left_alone() {
    let folder = folder();
    // A save after every step, so that most kills meet one.
    let replace = [
        ("steps = 12", "steps = 60"),
        ("save_every = 6", "save_every = 1"),
        ("eval_every = 6", "eval_every = 7"),
        ("chunk_length = 16", "chunk_length = 16\ndropout = 0.1\nattention_dropout = 0.1"),
    ];
    let recipe = recipe(folder.path(), &replace);
    let recipe = recipe.to_str().unwrap();
    let (alone, killed) = (folder.path().join("alone"), folder.path().join("killed"));
    let begun = Instant::now();
    assert_done(&run(&["train", recipe, "--out", alone.to_str().unwrap()]));
    let whole = begun.elapsed();

    let mut moments = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0;
    while kills < KILLS {
        let mut child = start(recipe, &killed);
        // Some steps on, and then at any moment within a step, its save or its evaluation: a delay alone would meet
        // mostly the beginning on a busy machine and mostly the end on an idle one.
        let target = step(&killed) + (7.0 * uniform(&mut moments)) as u64;
        while step(&killed) < target && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(whole.mul_f64(uniform(&mut moments) / 30.0));
        if let Some(status) = child.try_wait().unwrap() {
            // Done before it could be killed: what is left of the kills cannot happen any more.
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        every_checkpoint_is_complete(&alone, &killed);
    }
    assert!(kills >= 4, "only {kills} kills in a run of {whole:?}");
    let status = start(recipe, &killed).wait().unwrap();
    assert!(status.success(), "{status}");
    for file in FILES {
        let read = |run: &Path| fs::read(run.join("checkpoints/last").join(file)).unwrap();
        assert!(read(&alone) == read(&killed), "{file} differs after {kills} kills");
    }
    assert_eq!(measured(&alone), measured(&killed), "each step and evaluation stands once in the metrics");
}

/// Starts, or resumes what is there; a kill before the first save leaves nothing to resume.
fn start(recipe: &str, out: &Path) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("reformer"));
    command.args(["--threads", "1", "train"]);
    if checkpoints(out).is_empty() {
        command.args([recipe, "--out", out.to_str().unwrap()]);
    } else {
        command.arg(format!("--resume={}", out.to_str().unwrap()));
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The last step in the metrics; a line that is being written counts when it is whole.
fn step(run: &Path) -> u64 {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let steps = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64());
    steps.max().unwrap_or(0)
}

fn checkpoints(run: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("step-"))
        .collect()
}

/// Under a checkpoint's name there is a whole checkpoint: every file, each as long as in the run left alone.
#[track_caller]
fn every_checkpoint_is_complete(alone: &Path, killed: &Path) {
    let whole = alone.join("checkpoints/last");
    for checkpoint in checkpoints(killed) {
        for file in FILES {
            let length = |folder: &Path| fs::metadata(folder.join(file)).unwrap().len();
            assert_eq!(length(&checkpoint), length(&whole), "{file} in {}", checkpoint.display());
        }
        let state = fs::read_to_string(checkpoint.join("training_state.json")).unwrap();
        let _: serde_json::Value = serde_json::from_str(&state).unwrap();
    }
}

/// (step, kind, loss) of the metrics' steps and evaluations.
fn measured(run: &Path) -> Vec<(u64, String, String)> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let kept = lines.filter(|line| line["event"] == "step" || line["event"] == "eval");
    kept.map(|line| (line["step"].as_u64().unwrap(), line["event"].to_string(), line["loss"].to_string()))
        .collect()
}

/// Uniform in [0, 1): xorshift, so that a failure comes again.
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1u64 << 53) as f64
}
