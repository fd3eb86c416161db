//! Hashing fixtures of Hugging Face and trax. The parity test of the whole project takes `hashing.rs` in as well.

#[path = "../../../reformer-attention/tests/parity/fixture.rs"]
mod fixture;
mod hashing;

use fixture::Fixture;

#[test]
fn buckets_equal_those_of_hugging_face_and_trax() {
    let folder = fixture::folder();
    let mut checked = 0;
    for path in fixture::list(&folder).unwrap() {
        let Fixture { name, kind, config, tensors } = Fixture::read(&path).unwrap();
        if let Some(report) = hashing::check(&kind, &config, &tensors) {
            let report = report.unwrap();
            assert!(report.passed(), "{name}: {report:?}");
            checked += 1;
        }
    }
    if std::env::var_os("REFORMER_FIXTURES").is_none() {
        assert_eq!(checked, 10, "hashing fixtures in {}", folder.display());
    }
}
