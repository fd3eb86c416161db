//! `reformer plot`: benchmarks and runs become SVG, anything else a clear error.

use std::fs;

use crate::fixture::{assert_done, assert_fails, folder, reformer, run, stdout, tiny};

const LINES: &str = r#"{"bench":"attention","kind":"lsh","pass":"forward","length":1024,"num_hashes":2,"seconds":0.01}
{"bench":"attention","kind":"lsh","pass":"forward","length":4096,"num_hashes":2,"seconds":0.04}
{"bench":"attention","kind":"full","pass":"forward","length":1024,"seconds":0.01}
{"bench":"attention","kind":"full","pass":"forward","length":4096,"seconds":0.16}
{"machine":"a","date":"b","command":"c"}
{"implementation":"peer","case":{"bench":"attention","kind":"lsh","length":1024},"error":"too slow"}
"#;

#[test]
fn benchmarks_from_a_pipe_become_an_svg_with_a_line_a_kind() {
    let output = reformer().arg("plot").write_stdin(LINES).output().unwrap();
    assert_done(&output);
    let svg = stdout(&output);
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    for word in
        ["lsh, 2 rounds", ">full<", "forward", "prefers-color-scheme:dark", ">4k<", ">100 ms<", "<title"]
    {
        assert!(svg.contains(word), "no {word:?} in:\n{svg}");
    }
    assert!(!svg.contains("peer"), "{svg}");
}

#[test]
fn files_are_joined_and_the_figure_goes_where_it_is_told() {
    let folder = folder();
    let (lines, out) = (folder.path().join("a.jsonl"), folder.path().join("figure.svg"));
    fs::write(&lines, LINES).unwrap();
    let (lines, out) = (lines.to_str().unwrap(), out.to_str().unwrap());
    let output = run(&["plot", lines, lines, "-o", out, "--title", "Mine <b>"]);
    assert_done(&output);
    assert!(stdout(&output).is_empty());
    assert!(fs::read_to_string(out).unwrap().contains("Mine &lt;b&gt;"));
}

#[test]
fn runs_become_their_loss() {
    for x in ["step", "seconds"] {
        let output = run(&["plot", &tiny(), "--x", x]);
        assert_done(&output);
        assert!(stdout(&output).contains("run, validation") && stdout(&output).contains("run, training"));
    }
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let folder = folder();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    assert_fails(&run(&["plot", "nowhere.jsonl"]), 2, &["nowhere.jsonl"]);
    assert_fails(&run(&["plot", &file("empty", "\n")]), 1, &["no JSON lines"]);
    assert_fails(&run(&["plot", &file("text", "{}\nhello\n")]), 1, &["line 2"]);
    assert_fails(
        &run(&["plot", &file("other", "{\"bench\":\"gemm\",\"seconds\":1}\n")]),
        2,
        &["bench attention"],
    );
    assert_fails(&run(&["plot", &file("lines", LINES), &tiny()]), 2, &["one kind"]);
    let lines = file("lines", LINES);
    assert_fails(&run(&["plot", &lines, "-o", "/proc/figure.svg"]), 1, &["/proc/figure.svg"]);
}
