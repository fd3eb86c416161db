//! What other implementations computed, computed again: every fixture of this crate's kinds, outputs and gradients.

mod attention;
mod fixture;

use fixture::{Fixture, folder, list};

/// How many fixtures of each kind the project's own folder has.
const EXPECTED: [(&str, usize); 8] = [
    ("hf_lsh_attention", 16),
    ("lucid_lsh_attention", 17),
    ("trax_lsh_head", 10),
    ("hf_local_attention", 4),
    ("trax_self_attention_head", 4),
    ("trax_predict_head", 1),
    ("lucid_full_qk", 1),
    ("lucid_layer", 5),
];

#[test]
fn attention_fixtures_of_other_implementations_are_reproduced() {
    let mut counts = EXPECTED.map(|_| 0);
    let mut failures = Vec::new();
    for path in list(&folder()).unwrap() {
        let fixture = Fixture::read(&path).unwrap();
        let Some(result) = attention::check(&fixture.kind, &fixture.config, &fixture.tensors) else {
            continue;
        };
        let kind = EXPECTED.iter().position(|(kind, _)| *kind == fixture.kind).expect("a listed kind");
        counts[kind] += 1;
        match result {
            Ok(report) if report.passed() => {}
            Ok(r) => failures.push(format!(
                "{}: {} off by {:.2e}, allowed {:.2e}",
                fixture.name, r.what, r.worst, r.allowance
            )),
            Err(message) => failures.push(format!("{}: {message}", fixture.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if std::env::var_os("REFORMER_FIXTURES").is_none() {
        assert_eq!(counts, EXPECTED.map(|(_, count)| count));
    }
}
