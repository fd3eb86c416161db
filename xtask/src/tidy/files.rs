//! One file: it opens with a module doc, has a name that means something, is not too long nor too wide, and does not
//! print, exit or read the environment where it is part of a library.

use std::path::Path;

use super::rooms::NO_FILES;
use super::tree::file_name;

/// Longer files are an error; the aim is a median of 130 to 260 lines.
const LONGEST: usize = 1_000;

/// Wider lines are an error; rustfmt breaks code at 110, but neither comments, strings nor macros.
const WIDEST: usize = 120;

/// Crates whose job is to talk to a person, tests' reports among them.
const TALKERS: &[&str] = &["reformer-cli", "reformer-testing"];

/// Names of size, not of meaning.
const EMPTY_NAMES: &[&str] =
    &["utils.rs", "util.rs", "common.rs", "helpers.rs", "base.rs", "types.rs", "misc.rs"];

/// What only the programs may do.
const NOT_IN_LIBRARIES: [&str; 7] =
    ["println!", "eprintln!", "print!(", "process::exit", "env::var", "Instant::now", "SystemTime::now"];

/// Holds a Rust file of crate `krate` to the rules of this page.
pub(super) fn check(file: &Path, shown: &str, krate: &str, text: &str, faults: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LONGEST {
        faults.push(format!("{shown}: {lines} lines, {LONGEST} are allowed; split it by ideas"));
    }
    if EMPTY_NAMES.contains(&file_name(file).as_str()) {
        faults.push(format!("{shown}: name the file for what it holds"));
    }
    if !text.trim_start().starts_with("//!") {
        faults.push(format!("{shown}: does not open with a module doc (//!)"));
    }
    check_width(shown, text, faults);
    let library = file.components().any(|part| part.as_os_str() == "src")
        && krate != "xtask"
        && !TALKERS.contains(&krate);
    if library {
        check_library(shown, krate, text, faults);
    }
}

/// Holds a text, Rust or Markdown, to the widest line. What cannot be broken is left alone: a row of a table, a command
/// that a reader copies, and a line with a string, since a message on one line is found by searching for it.
pub(super) fn check_width(shown: &str, text: &str, faults: &mut Vec<String>) {
    let markdown = Path::new(shown).extension().is_some_and(|ending| ending == "md");
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        fenced ^= markdown && start.starts_with("```");
        let table = start.trim_start_matches(['/', '!', ' ']).starts_with('|');
        let whole = if markdown { fenced || line.starts_with("    ") } else { line.contains('"') };
        let wide = line.chars().count();
        if wide > WIDEST && !table && !whole {
            faults.push(format!("{shown}:{}: {wide} columns, {WIDEST} are allowed", number + 1));
        }
    }
}

fn check_library(shown: &str, krate: &str, text: &str, faults: &mut Vec<String>) {
    // Tests stand below the code; what they print is theirs.
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    for (number, line) in code.lines().enumerate() {
        let line = line.split("//").next().unwrap_or("");
        for word in NOT_IN_LIBRARIES {
            if line.contains(word) {
                faults.push(format!("{shown}:{}: `{word}` in a library", number + 1));
            }
        }
        if NO_FILES.contains(&krate) && line.contains("std::fs") {
            faults.push(format!("{shown}:{}: this room does no I/O", number + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_121_columns_is_told_and_what_cannot_be_broken_is_not() {
        let mut faults = Vec::new();
        let (fits, wide) = ("é".repeat(120), "x".repeat(121));
        check_width("a.md", &format!("{fits}\n|{wide}\n{wide}\n```\n{wide}\n```\n    {wide}"), &mut faults);
        check_width("a.rs", &format!("//! | {wide}\nlet x = \"{wide}\";\n// {wide}"), &mut faults);
        assert_eq!(faults, ["a.md:3: 121 columns, 120 are allowed", "a.rs:3: 124 columns, 120 are allowed"]);
    }

    #[test]
    fn a_library_that_prints_is_told_and_its_tests_may() {
        let mut faults = Vec::new();
        let text = "//! a\nfn f() { println!(); } // print!(\n#[cfg(test)] mod t { fn g() { println!() } }";
        check(Path::new("crates/reformer-lsh/src/a.rs"), "a.rs", "reformer-lsh", text, &mut faults);
        assert_eq!(faults, ["a.rs:2: `println!` in a library"]);
    }
}
