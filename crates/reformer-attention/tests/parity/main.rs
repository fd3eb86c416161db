//! What other implementations computed, computed again: every fixture of this room's kinds, outputs and gradients.

mod attention;

use reformer_testing::fixture;

#[test]
fn attention_fixtures_of_other_implementations_are_reproduced() {
    fixture::verify("attention", |fixture| {
        attention::check(&fixture.kind, &fixture.config, &fixture.tensors)
    });
}
