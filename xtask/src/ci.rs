//! Every check, in the order in which a failure is cheapest to learn of.
//!
//! `cargo nextest` runs the tests where it is installed; a machine with nothing but Rust falls back to
//! `cargo test`. Both print their closing count.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs format check, tidy, clippy, tests, doctests, the façade's examples and rustdoc; stops at the first failure.
/// With `data` the tests on corpora and vectors run too, which are ignored otherwise.
pub(crate) fn run(root: &Path, data: bool) -> Result<()> {
    let started = Instant::now();
    step(root, "format", &["fmt", "--all", "--check"], &[])?;
    println!("── tidy");
    super::tidy::run(root)?;
    step(root, "clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?;
    let mut closing = tests(root, false)?;
    if data {
        closing.extend(tests(root, true)?);
    }
    closing.extend(step(root, "doctests", &["test", "--workspace", "--doc"], &[])?);
    // As their headers say, but unoptimised: what has just been built for the tests. None is given input to read.
    for (room, example, arguments) in EXAMPLES {
        let mut run = vec!["run", "--quiet", "-p", room, "--example", example];
        run.extend(arguments);
        step(root, example, &run, &[])?;
    }
    step(root, "rustdoc", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    println!("── what ran");
    for line in closing {
        println!("{line}");
    }
    println!("── all checks passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Every example that needs no data: its package, its name, its arguments.
const EXAMPLES: [(&str, &str, &[&str]); 7] = [
    ("reformer", "lsh_attention", &[]),
    ("reformer", "train_tiny", &[]),
    ("reformer", "chat_loop", &[]),
    ("reformer-lsh", "neighbours", &[]),
    ("reformer-attention", "lsh_versus_full", &[]),
    ("reformer-text", "show_demo", &[]),
    ("reformer-server", "mount", &[]),
];

/// The tests that need nothing but the tree, or those that need data.
fn tests(root: &Path, data: bool) -> Result<Vec<String>> {
    let name = if data { "tests on data" } else { "tests" };
    let mut arguments = if has_nextest() {
        vec!["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        println!("── cargo nextest is not installed; using cargo test");
        vec!["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]
    };
    if data {
        arguments.extend(if has_nextest() { ["--run-ignored", "only"] } else { ["--", "--ignored"] });
        if !has_evaluator(root) {
            println!(
                "── without a checkout of MultiWOZ_Evaluation (REFORMER_EVALUATOR) published systems are not scored"
            );
            arguments.extend(if has_nextest() {
                ["-E", "not test(published_predictions_score)"]
            } else {
                ["--skip", "published_predictions_score"]
            });
        }
    }
    step(root, name, &arguments, &[])
}

/// Whether the checkout is there that one of the tests on data reads besides the data folder.
fn has_evaluator(root: &Path) -> bool {
    let data = std::env::var_os("REFORMER_DATA").map_or_else(|| root.join("../shared/data"), Into::into);
    let named = std::env::var_os("REFORMER_EVALUATOR").map(Into::into);
    named.unwrap_or_else(|| data.join("multiwoz/evaluator")).is_dir()
}

/// Runs cargo; returns the lines in which a test runner says what ran.
fn step(root: &Path, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Vec<String>> {
    println!("── {name}: cargo {}", arguments.join(" "));
    let started = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start cargo for the step `{name}`"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Both at once: a pipe that nobody reads fills up and stops its writer.
    let closing = std::thread::scope(|scope| {
        let out = scope.spawn(|| out.map_or_else(Vec::new, |pipe| hand_on(pipe, std::io::stdout())));
        let mut lines = err.map_or_else(Vec::new, |pipe| hand_on(pipe, std::io::stderr()));
        lines.extend(out.join().unwrap_or_default());
        lines
    });
    let status = child.wait().with_context(|| format!("cannot wait for the step `{name}`"))?;
    if !status.success() {
        bail!("the step `{name}` failed ({status}): cargo {}", arguments.join(" "));
    }
    println!("── {name}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(closing)
}

/// Shows what a pipe says as it comes; keeps the closing lines of test runners.
fn hand_on(from: impl Read, mut to: impl Write) -> Vec<String> {
    let mut closing = Vec::new();
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        // A terminal that went away is no reason to stop checking.
        let _ = writeln!(to, "{line}");
        if line.contains("Summary [") || (line.starts_with("test result:") && !line.contains(" 0 passed")) {
            closing.push(line);
        }
    }
    closing
}

fn has_nextest() -> bool {
    Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
