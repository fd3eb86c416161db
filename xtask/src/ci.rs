//! Every check, in the order in which a failure is cheapest to learn of.
//!
//! `cargo nextest` runs the tests where it is installed; a machine with nothing but Rust falls back to
//! `cargo test`. Both print their closing count.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs format check, tidy, clippy, tests, doctests and rustdoc; stops at the first failure.
pub(crate) fn run(root: &Path) -> Result<()> {
    let started = Instant::now();
    step(root, "format", &["fmt", "--all", "--check"], &[])?;
    println!("── tidy");
    super::tidy::run(root)?;
    step(root, "clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?;
    if has_nextest() {
        step(root, "tests", &["nextest", "run", "--workspace", "--no-fail-fast"], &[])?;
    } else {
        println!("── cargo nextest is not installed; using cargo test");
        step(root, "tests", &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"], &[])?;
    }
    step(root, "doctests", &["test", "--workspace", "--doc"], &[])?;
    step(root, "rustdoc", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    println!("── all checks passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn step(root: &Path, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    println!("── {name}: cargo {}", arguments.join(" "));
    let started = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .status()
        .with_context(|| format!("cannot start cargo for the step `{name}`"))?;
    if !status.success() {
        bail!("the step `{name}` failed ({status}): cargo {}", arguments.join(" "));
    }
    println!("── {name}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn has_nextest() -> bool {
    Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
