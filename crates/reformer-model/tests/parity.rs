//! Whole models, blocks, positions and cached decoding against the implementations that made the fixtures.

#[path = "parity/mod.rs"]
mod parity;

use reformer_testing::fixture;

#[test]
fn models_blocks_and_positions_agree_with_the_implementations_they_came_from() {
    fixture::verify("model", |fixture| parity::check(&fixture.kind, &fixture.config, &fixture.tensors));
}
