//! This room's share of the reference fixtures; the whole walk is in the façade's `tests/parity`.

#![expect(clippy::print_stdout, reason = "a line per fixture, shown on failure or with --nocapture")]

#[path = "../../reformer-attention/tests/parity/fixture.rs"]
mod fixture;
#[path = "parity/mod.rs"]
mod parity;

use fixture::Fixture;

#[test]
fn models_blocks_and_positions_agree_with_the_implementations_they_came_from() {
    let paths = fixture::list(&fixture::folder()).expect("the fixture folder can be listed");
    let (mut checked, mut failed) = (0, Vec::new());
    for path in paths {
        let Ok(Fixture { name, kind, config, tensors }) = Fixture::read(&path) else { continue };
        let Some(result) = parity::check(&kind, &config, &tensors) else { continue };
        checked += 1;
        match result {
            Ok(report) => {
                println!("{name}: worst {:.2e} of {:.1e} in {}", report.worst, report.allowance, report.what);
                if !report.passed() {
                    failed.push(name);
                }
            }
            Err(message) => failed.push(format!("{name}: {message}")),
        }
    }
    assert!(checked >= 9 || std::env::var_os("REFORMER_FIXTURES").is_some(), "only {checked} fixtures");
    assert!(failed.is_empty(), "{failed:#?}");
}
