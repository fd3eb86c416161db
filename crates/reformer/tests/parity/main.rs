//! Parity with the other implementations: every fixture of a folder, a line each.
//!
//! The folder is the project's `fixtures/`, or the one named by `REFORMER_FIXTURES`. A fixture is a `NAME.json`
//! (kind, config, notes) beside a `NAME.safetensors`; its kind decides who checks it. A kind that nobody checks yet is listed
//! as such and counted apart, never passed. Shown by `cargo test -p reformer --test parity -- --nocapture`.

#![allow(clippy::print_stdout, reason = "the lines are the test's report")]

#[path = "../../../reformer-attention/tests/parity/attention/mod.rs"]
mod attention;
#[path = "../../../reformer-attention/tests/parity/fixture.rs"]
mod fixture;
#[path = "../../../reformer-lsh/tests/parity/hashing.rs"]
mod hashing;
#[path = "../../../reformer-model/tests/parity/mod.rs"]
mod model;

use fixture::{Fixture, Report};

/// Kinds that belong to later work; anything else without a checker is a failure.
const NOT_YET: &[&str] = &["hf_model_cls", "hf_model_mlm", "hf_model_qa", "lucid_lm", "trax_reformer_lm"];

fn check(fixture: &Fixture) -> Option<Result<Report, String>> {
    let Fixture { kind, config, tensors, .. } = fixture;
    hashing::check(kind, config, tensors)
        .or_else(|| attention::check(kind, config, tensors))
        .or_else(|| model::check(kind, config, tensors))
}

#[test]
fn every_fixture_agrees_with_the_implementation_it_came_from() {
    let folder = fixture::folder();
    let paths = fixture::list(&folder).expect("the fixture folder can be listed");
    assert!(!paths.is_empty(), "no NAME.json beside NAME.safetensors in {}", folder.display());
    let (mut passed, mut failed, mut waiting) = (0, Vec::new(), 0);
    for path in &paths {
        let fixture = match Fixture::read(path) {
            Ok(fixture) => fixture,
            Err(message) => {
                println!("FAIL  {message}");
                failed.push(path.display().to_string());
                continue;
            }
        };
        let name = &fixture.name;
        match check(&fixture) {
            Some(Ok(report)) => {
                let verdict = if report.passed() { "pass" } else { "FAIL" };
                println!(
                    "{verdict}  {name:<44} worst {:.2e}  allowed {:.1e}  in {}",
                    report.worst, report.allowance, report.what
                );
                if report.passed() {
                    passed += 1;
                } else {
                    failed.push(name.clone());
                }
            }
            Some(Err(message)) => {
                println!("FAIL  {name:<44} {message}");
                failed.push(name.clone());
            }
            None if NOT_YET.contains(&fixture.kind.as_str()) => {
                println!("----  {name:<44} kind {} is not yet supported", fixture.kind);
                waiting += 1;
            }
            None => {
                println!("FAIL  {name:<44} kind {} has no checker", fixture.kind);
                failed.push(name.clone());
            }
        }
    }
    println!(
        "{} fixtures: {passed} passed, {} failed, {waiting} not yet supported",
        paths.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "fixtures that disagree: {failed:?}");
}
