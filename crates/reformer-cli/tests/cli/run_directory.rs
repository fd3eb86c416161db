//! A run directory under two trainers, a terminal that goes away, and a resume from elsewhere.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{assert_done, assert_fails, folder, recipe, reformer, run, stderr};

fn start(recipe: &Path, out: &Path) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin("reformer"))
        .args(["--threads", "1", "train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn of_two_trainers_started_together_one_trains_and_the_other_says_why_not() {
    let folder = folder();
    let recipe =
        recipe(folder.path(), &[("save_every = 6", "save_every = 1"), ("eval_every = 6", "eval_every = 0")]);
    for round in 0..4 {
        let out = folder.path().join(format!("run{round}"));
        let both =
            [start(&recipe, &out), start(&recipe, &out)].map(|child| child.wait_with_output().unwrap());
        let done = both.iter().filter(|output| output.status.success()).count();
        assert_eq!(done, 1, "{}\n{}", stderr(&both[0]), stderr(&both[1]));
        let refused = both.iter().find(|output| !output.status.success()).unwrap();
        let words = stderr(refused);
        assert!(words.contains("trains here") || words.contains("already holds a run"), "{words}");
        let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        let steps = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let steps: Vec<u64> =
            steps.filter(|line| line["event"] == "step").map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, (1..=12).collect::<Vec<u64>>(), "one past, whole");
    }
}

#[test]
#[cfg(unix)]
fn a_terminal_that_goes_away_saves_the_run() {
    let folder = folder();
    let endless = [("steps = 12", "steps = 100000"), ("save_every = 6", "save_every = 0")];
    let (recipe, out) = (recipe(folder.path(), &endless), folder.path().join("run"));
    let child = start(&recipe, &out);
    let started = Instant::now();
    while fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 3 {
        assert!(started.elapsed() < Duration::from_mins(1), "no step within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(out.join("checkpoints/last/model.safetensors").exists());
}

#[test]
#[cfg(unix)]
fn ctrl_c_while_a_tokenizer_is_learned_ends_the_program_and_leaves_nothing() {
    use std::io::BufRead;

    let folder = folder();
    let book = [("corpus.jsonl", "book.txt"), ("kind = \"bytes\"", "kind = \"bpe\"\nvocab_size = 60000")];
    let (recipe, out) = (recipe(folder.path(), &book), folder.path().join("run"));
    // Words that share few pairs: many merges, each over a long list.
    let words = (0..400_000_u32).map(|n| format!("{:x} ", n.wrapping_mul(2_654_435_761)));
    fs::write(folder.path().join("book.txt"), words.collect::<String>()).unwrap();
    let mut child = start(&recipe, &out);
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("training into"), "{line}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut said, &mut rest).unwrap();
    assert!(rest.contains("interrupted before the first step"), "{rest}");
    assert!(!out.join("checkpoints").exists() && !out.join("metrics.jsonl").exists());
}

#[test]
fn a_run_resumes_from_another_directory_though_its_corpus_was_named_relative() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    let (elsewhere, out) = (folder.path().join("elsewhere"), folder.path().join("run"));
    fs::create_dir(&elsewhere).unwrap();
    let train =
        |args: &[&str], from: &Path| reformer().current_dir(from).arg("train").args(args).output().unwrap();
    let name = recipe.file_name().unwrap().to_str().unwrap();
    assert_done(&train(&[name, "--out", "run", "--set", "steps=2"], folder.path()));
    let resume = format!("--resume={}", out.display());
    assert_done(&train(&[&resume, "--set", "steps=4"], &elsewhere));
    let complete = train(&[&resume], &elsewhere);
    assert_done(&complete);
    assert!(stderr(&complete).contains("is complete: 4 of 4") && stderr(&complete).contains("--set steps=8"));
    let words = stderr(&complete);
    assert!(!words.contains("talk to it"), "{words}");
}

#[test]
fn a_pretrained_model_is_not_resumed() {
    let folder = folder();
    let checkpoint = crate::fixture::checkpoint_copy(folder.path());
    fs::remove_file(checkpoint.join("training_state.json")).unwrap();
    let recipe = recipe(folder.path(), &[]);
    let resume = format!("--resume={}", checkpoint.display());
    let output = run(&["train", recipe.to_str().unwrap(), &resume]);
    assert_fails(&output, 2, &["no training to resume"]);
    assert!(!stderr(&output).contains("remove"), "{}", stderr(&output));
}

#[test]
fn a_plain_text_is_continued_by_its_samples_and_its_advice_is_to_generate() {
    let folder = folder();
    let replace =
        [("data = \"corpus.jsonl\"", "data = \"book.txt\""), ("sample_every = 0", "sample_every = 6")];
    let recipe = recipe(folder.path(), &replace);
    let book = (0..200)
        .map(|n| format!("The tide came in at {n} and went out again.\n"))
        .collect::<Vec<_>>()
        .concat();
    fs::write(folder.path().join("book.txt"), book).unwrap();
    let out = folder.path().join("run");
    let output = run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_done(&output);
    let words = stderr(&output);
    assert!(words.contains("reformer generate") && !words.contains("reformer chat"), "{words}");
    assert!(words.contains("The tide came in") && !words.contains("restaurant"), "{words}");
    assert!(fs::read_to_string(out.join("recipe.toml")).unwrap().contains("form = \"text\""));
}

#[test]
fn absurd_recipes_are_refused_at_once() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    for set in ["batch=100000000", "model.layers=4000000000", "length=4000000"] {
        for command in [&["train", "--dry-run"][..], &["train"], &["plan"]] {
            let out = folder.path().join("run");
            let mut args = command.to_vec();
            args.extend([recipe.to_str().unwrap(), "--set", set]);
            if command[0] == "train" {
                args.extend(["--out", out.to_str().unwrap()]);
            }
            let output = run(&args);
            assert!(matches!(output.status.code(), Some(0 | 2)), "{set} {command:?}: {}", stderr(&output));
            assert!(!out.exists(), "{set} {command:?} left a directory");
            if command == ["train"] {
                assert_fails(&output, 2, &[]);
            }
        }
    }
}

#[test]
fn a_resume_with_other_vector_instructions_warns_and_with_the_same_does_not() {
    let folder = folder();
    let (recipe, out) = (recipe(folder.path(), &[]), folder.path().join("run"));
    let run_to = |steps: &str, simd: &str, how: &[&str]| {
        let steps = format!("steps={steps}");
        let mut command = reformer();
        command.arg("train").arg(&recipe).args(["--set", &steps, "--simd", simd]).args(how);
        command.arg("--out").arg(&out).output().unwrap()
    };
    assert_done(&run_to("4", "portable", &[]));
    let same = run_to("8", "portable", &["--resume"]);
    assert_done(&same);
    assert!(!stderr(&same).contains("vector instructions"), "{}", stderr(&same));
    let other = run_to("12", "auto", &["--resume"]);
    assert_done(&other);
    let words = stderr(&other);
    assert!(words.contains("other vector instructions (portable, own products then"), "{words}");

    let unknown = run_to("12", "neon", &["--resume"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("expected portable, avx2 or avx512"), "{}", stderr(&unknown));
}
