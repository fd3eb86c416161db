//! Hashing fixtures of Hugging Face and trax.

mod hashing;

use reformer_testing::fixture;

#[test]
fn buckets_equal_those_of_hugging_face_and_trax() {
    fixture::verify("lsh", |fixture| hashing::check(&fixture.kind, &fixture.config, &fixture.tensors));
}
