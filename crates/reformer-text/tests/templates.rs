//! Strangers' chat templates take bounded time and memory, whatever they say.

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;
use reformer_text::{ChatTemplate, Turn};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The peak is of the whole process, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes that rendering may take: what a template is allowed, a few times over.
const ALLOWED: usize = 64 << 20;

#[test]
fn a_template_that_would_fill_the_memory_is_an_error() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let turns = [Turn::user("hello")];
    for source in [
        "{{ [1, [2, [3]]] | tojson(indent=1000000000) }}",
        "{{ [1] | tojson(1000000000000) }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ ([1] * 1000000000) | list | length }}",
        "{{ range(1000000000) | list | length }}",
        "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x | length }}",
        "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | length }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + ['y' * 1000000] %}{% endfor %}{{ ns.x | length }}",
        "{{ ('x' * 1000000).replace('x', 'y' * 1000000) | length }}",
        "{{ ('x' * 1000000) | replace('x', 'y' * 1000000) | length }}",
        "{{ ('x' * 1000000).replace('', 'y' * 1000000) | length }}",
        "{{ ('x' * 100000) | list | join('y' * 1000000) | length }}",
        "{{ ('y' * 1000000).join(('x' * 100000) | list) | length }}",
        "{{ ('x\\n' * 1000000) | indent(1000000) | length }}",
        "{{ '%1000000000d' | format(5) | length }}",
        "{{ '%1000000000d' % 5 }}",
        "{{ '{:>1000000000}'.format(5) | length }}",
        "{{ [1] | batch(1000000000, 0) | list | length }}",
        "{{ [1] | slice(1000000000) | list | length }}",
        "{{ 'x'.ljust(1000000000) }}{{ 'x'.center(1000000000) }}{{ 'x'.zfill(1000000000) }}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    ] {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let rendered = ChatTemplate::parse(source).and_then(|template| template.render(&turns, true));
        assert!(rendered.map_or_else(|_| true, |text| text.len() < 1000), "{source}");
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(taken < ALLOWED, "{source}: {taken} bytes");
    }
}

#[test]
fn a_long_conversation_is_rendered_whole() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let turns: Vec<Turn> = (0..20_000).map(|n| Turn::user(format!("{n} {}", "x".repeat(1000)))).collect();
    let text = ChatTemplate::marks().render(&turns, true).unwrap();
    assert!(text.len() > 20_000_000);
}

#[test]
fn json_is_indented_as_people_do() {
    let template =
        ChatTemplate::parse("{{ [1] | tojson }} {{ [1] | tojson(indent=2) }} {{ [1] | tojson(4) }}").unwrap();
    assert_eq!(template.render(&[Turn::user("hi")], true).unwrap(), "[1] [\n  1\n] [\n    1\n]");
}
