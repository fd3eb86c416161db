//! `reformer plot`: benchmarks and runs become SVG, anything else a clear error.

use std::fs;

use crate::fixture::{assert_done, assert_fails, folder, reformer, run, stderr, stdout, tiny};

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
fn a_figure_needs_neither_css_variables_nor_a_style_sheet_and_knows_dark_pages() {
    let folder = folder();
    let lines = folder.path().join("a.jsonl");
    fs::write(&lines, LINES).unwrap();
    let output = run(&["plot", lines.to_str().unwrap()]);
    let svg = stdout(&output);
    assert!(!svg.contains("var("), "{svg}");
    for drawn in ["<path", "<text", "<rect"] {
        for element in svg.split(drawn).skip(1) {
            let attributes = &element[..element.find('>').unwrap()];
            assert!(
                attributes.contains("fill=\"#") || attributes.contains("stroke=\"#"),
                "{drawn}{attributes}"
            );
        }
    }
    assert!(svg.contains("@media (prefers-color-scheme:dark)"), "{svg}");
}

#[test]
fn a_name_that_ends_in_png_makes_pixels() {
    let folder = folder();
    let (lines, out) = (folder.path().join("a.jsonl"), folder.path().join("figure.PNG"));
    fs::write(&lines, LINES).unwrap();
    let output = run(&["plot", lines.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    if stderr(&output).contains("no font is installed") {
        assert_fails(&output, 1, &["write an SVG"]);
        return;
    }
    assert_done(&output);
    let png = fs::read(out).unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert!(side(16) > 1000 && side(20) > 600, "{} x {}", side(16), side(20));
}

#[test]
fn evaluations_become_their_loss_over_rounds_or_length() {
    let folder = folder();
    let path = folder.path().join("eval.json");
    let one = |rounds: u32, length: u32, loss: f64| {
        format!(
            r#"{{"model":"m","data":"d","attention":"lsh","num_hashes":{rounds},"length":{length},"loss":{loss}}}"#
        )
    };
    let several = format!("{{\"runs\":[{},{}]}}\n", one(1, 64, 2.0), one(2, 64, 1.5));
    for (text, label) in [
        (several, "rounds of hashing"),
        (format!("{}\n{}\n", one(2, 64, 2.0), one(2, 128, 1.5)), "tokens in a row"),
    ] {
        fs::write(&path, text).unwrap();
        let output = run(&["plot", path.to_str().unwrap()]);
        assert_done(&output);
        assert!(stdout(&output).contains(label), "{}", stdout(&output));
    }
}

#[test]
fn runs_become_their_loss() {
    let logarithmic = run(&["plot", &tiny(), "--log", "x,y"]);
    assert_done(&logarithmic);
    assert_ne!(logarithmic.stdout, run(&["plot", &tiny()]).stdout);
    for x in ["step", "seconds", "tokens"] {
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
