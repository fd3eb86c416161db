//! Kernels say why: at least [`LEAST`] comments inside the code for every hundred lines of it.
//!
//! Counted are lines of `//` in the code of the files below, not docs, not SAFETY lines, not tests.

/// Comment lines for every hundred lines of code.
const LEAST: f64 = 3.0;

/// Files of arithmetic, where the reader asks why: below `crates/`, a whole folder or one file.
const KERNELS: &[&str] = &[
    "reformer-lsh/src/hash.rs",
    "reformer-lsh/src/rotations.rs",
    "reformer-lsh/src/sort.rs",
    "reformer-lsh/src/lookup.rs",
    "reformer-lsh/src/knn.rs",
    "reformer-lsh/src/chunks.rs",
    "reformer-attention/src/heads.rs",
    "reformer-attention/src/decode/",
    "reformer-attention/src/tile/",
    "reformer-attention/src/visibility/",
    "reformer-attention/src/walk/",
    "reformer-reversible/src/coupling.rs",
    "reformer-reversible/src/sequence.rs",
    "reformer-model/src/sublayer",
    "reformer-model/src/decode/",
    "reformer-model/src/gradient_stream.rs",
    "reformer-model/src/head.rs",
    "reformer-model/src/memory.rs",
    "reformer-model/src/packed.rs",
    "reformer-model/src/positions.rs",
    "reformer-model/src/embeddings.rs",
    "reformer-model/src/run.rs",
    "reformer-model/src/training.rs",
];

/// Whether the rule asks of this file.
pub(super) fn asks(shown: &str) -> bool {
    shown.strip_prefix("crates/").is_some_and(|path| KERNELS.iter().any(|kernel| path.starts_with(kernel)))
}

/// Lines of code and lines of comments that say why, tests aside.
pub(super) fn count(text: &str) -> (usize, usize) {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or("");
    let (mut lines, mut whys, mut safety) = (0, 0, false);
    for line in code.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("///") || line.starts_with("//!") || line.starts_with("#[") {
            continue;
        }
        // A SAFETY comment goes on to the code below it.
        let comment = line.starts_with("//");
        safety = comment && (safety || line.contains("SAFETY"));
        if !comment {
            lines += 1;
        }
        whys += usize::from(line.contains("// ") && !safety && !line.contains("SAFETY"));
    }
    (lines, whys)
}

/// Tells a file that says why too seldom.
pub(super) fn check(shown: &str, text: &str, faults: &mut Vec<String>) {
    let (lines, whys) = count(text);
    let wanted = (LEAST * lines as f64 / 100.0).floor();
    if (whys as f64) < wanted {
        faults.push(format!(
            "{shown}: {whys} comments that say why on {lines} lines of code, {wanted} are wanted"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_safety_lines_and_tests_do_not_count() {
        let text = "//! doc\n\n/// doc\nfn f() {\n    // Because.\n    // SAFETY: it\n    // goes on.\n    g(); // so\n}\n\n                    #[cfg(test)]\nmod tests {\n // no\n}";
        assert_eq!(count(text), (3, 2));
    }

    #[test]
    fn a_hundred_lines_want_three_reasons() {
        let (mut faults, code) = (Vec::new(), "x();\n".repeat(100));
        check("a.rs", &format!("// a\n// b\n{code}"), &mut faults);
        assert_eq!(faults, ["a.rs: 2 comments that say why on 100 lines of code, 3 are wanted"]);
        check("a.rs", &format!("// a\n// b\n// c\n{code}"), &mut faults);
        assert_eq!(faults.len(), 1);
    }
}
