//! Every command of the README is run, in its order, in one folder: the real binary on small stand-ins of the files
//! that it names.
//!
//! Training is shortened, and so are the lengths of the benchmarks; nothing else is changed. What begins with `cargo`
//! and is not our program is run by the checks themselves.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixture::folder;

const README: &str = include_str!("../../../../README.md");

/// What is shortened, and to what.
const SHORTER: [(&str, &str); 3] = [
    ("cargo run --release -- ", "reformer "),
    ("reformer train ", "reformer train --set steps=3 --set length=256 --set batch=1 --set eval_tokens=512 "),
    ("--length 1024,4096,16384", "--length 128,256,512"),
];

/// The commands of the README: lines of its shell blocks, and what stands behind a prompt.
fn commands() -> Vec<String> {
    let mut block = "";
    let mut commands = Vec::new();
    for line in README.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = kind;
        } else if block == "sh" && !line.is_empty() {
            commands.push(line.to_owned());
        } else if let (true, Some(command)) = (block == "text", line.strip_prefix("$ ")) {
            commands.push(command.to_owned());
        }
    }
    commands
}

/// Sixty dialogues of a town, packed.
fn corpus(path: &Path) {
    let line = |n: usize| {
        let turns = serde_json::json!([
            { "speaker": "user", "text": format!("i need a train to cambridge for {} people.", n % 7 + 1) },
            { "speaker": "system", "text": format!("train tr{} leaves at {}:00.", 1000 + n, n % 24) },
            { "speaker": "user", "text": "book it, please." },
            { "speaker": "system", "text": format!("done, the reference is q{n}.") },
        ]);
        serde_json::json!({ "id": n.to_string(), "turns": turns }).to_string() + "\n"
    };
    let text: String = (0..60).map(line).collect();
    let bytes = if path.extension().is_some_and(|end| end == "gz") {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        packed.finish().unwrap()
    } else {
        text.into_bytes()
    };
    fs::write(path, bytes).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        // Through links: `last` and `best` point beside themselves.
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
#[cfg(unix)]
fn every_command_of_the_readme_does_what_it_is_there_for() {
    let folder = folder();
    let root = folder.path();
    for name in ["train.jsonl.gz", "valid.jsonl.gz", "test.jsonl.gz", "test.jsonl"] {
        corpus(&root.join(name));
    }
    fs::write(root.join("story.txt"), "It was the best of times, it was the worst of times.\n").unwrap();
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes"), &root.join("recipes"));
    let bin = root.join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin("reformer"), bin.join("reformer")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());

    let mut ran = 0;
    for command in commands() {
        let short = SHORTER.iter().fold(command.clone(), |text, (long, short)| text.replace(long, short));
        if short.starts_with("cargo ") {
            continue;
        }
        for run in ["a", "b"].map(|name| root.join("runs").join(name)) {
            let trained = root.join("runs/multiwoz");
            if trained.exists() && !run.exists() {
                copy_folder(&trained, &run);
            }
        }
        let mut child = Command::new("bash")
            .args(["-o", "pipefail", "-c", &short])
            .current_dir(root)
            .env("PATH", &path)
            .env("XDG_DATA_HOME", root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A chat is talked to; whatever reads nothing closes its end.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"i need a cheap hotel\n/quit\n");
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\nrun as: {short}\n{words}");
        ran += 1;
    }
    assert!(ran >= 15, "only {ran} commands were found");
    for made in ["pictures", "story.state", "attention.svg", "loss.png", "rounds.svg"] {
        assert!(root.join(made).exists(), "{made} was not written");
    }
}
