//! What a lesson consists of: steps, each a screen of words with a table, its numbers for programs, and a picture.

use serde_json::{Map, Value, json};

/// Columns that words are wrapped at: a screen of 80.
const WIDTH: usize = 76;

/// A unit, explained.
pub(crate) struct Lesson {
    pub(crate) unit: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// One screen.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
    pub(crate) numbers: Map<String, Value>,
    pub(crate) pictures: Vec<Picture>,
}

/// An SVG document and its file's name.
pub(crate) struct Picture {
    pub(crate) name: &'static str,
    pub(crate) svg: String,
}

impl Step {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A paragraph, wrapped.
    pub(crate) fn say(mut self, words: impl AsRef<str>) -> Self {
        self.part();
        self.lines.extend(wrapped(words.as_ref()));
        self
    }

    /// A line of talk, wrapped, without a gap before it.
    pub(crate) fn line(mut self, words: impl AsRef<str>) -> Self {
        self.lines.extend(wrapped(words.as_ref()));
        self
    }

    /// Lines as they are.
    pub(crate) fn table(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.part();
        self.lines.extend(lines.into_iter().map(|line| format!("  {line}")));
        self
    }

    /// A number (or several) for programs.
    pub(crate) fn number(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.numbers.insert(name.into(), value.into());
        self
    }

    /// A picture that belongs here.
    pub(crate) fn picture(mut self, name: &'static str, svg: String) -> Self {
        self.pictures.push(Picture { name, svg });
        self
    }

    fn part(&mut self) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
    }
}

impl Lesson {
    /// For programs.
    pub(crate) fn as_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let pictures: Vec<&str> = step.pictures.iter().map(|picture| picture.name).collect();
                json!({ "title": step.title, "lines": step.lines, "numbers": step.numbers, "pictures": pictures })
            })
            .collect();
        json!({ "unit": self.unit, "steps": steps })
    }
}

/// Words broken at spaces.
fn wrapped(words: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words.split_whitespace() {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > WIDTH {
            lines.push(String::new());
            used = 0;
        }
        let line = lines.last_mut().expect("never empty");
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += long;
    }
    lines
}

/// `0.8349` → `83 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_at_the_width_of_a_screen_and_none_is_lost() {
        let words = "hash sort chunk attend repeat reverse ".repeat(9);
        let lines = wrapped(&words);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(lines.join(" "), words.trim());
        assert_eq!(wrapped(&"x".repeat(100)), ["x".repeat(100)]);
    }
}
