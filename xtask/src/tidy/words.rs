//! A word means one thing: words that once meant several may name one item that other files see and no second, and one
//! constant.
//!
//! `grep PANEL` used to find seven constants of five values. What a word means stands in `ARCHITECTURE.md` ("Keep
//! apart"); whoever needs a second meaning finds a second word.

use std::collections::BTreeMap;

use super::source::Token;

/// Words that may name one item.
const ONCE: &[&str] = &[
    "PANEL",
    "GROUP",
    "BLOCK",
    "Group",
    "Block",
    "Pass",
    "Kernel",
    "Window",
    "Flush",
    "Precision",
    "Storage",
];

/// The words that begin an item.
const ITEMS: &[&str] = &["struct", "enum", "trait", "const", "static", "type"];

/// Where each word names an item.
#[derive(Default)]
pub(super) struct Words {
    named: BTreeMap<&'static str, Vec<String>>,
    f32_or_bf16: Vec<String>,
}

impl Words {
    /// Notes the items of a file.
    pub(super) fn note(&mut self, shown: &str, tokens: &[Token]) {
        for (at, pair) in tokens.windows(2).enumerate() {
            let (Some(item), Some(name)) = (pair[0].word(), pair[1].word()) else { continue };
            // `type Output = …` of a trait and `const` of an `impl` belong to their owner, as a method does; those have
            // other names than these.
            if !ITEMS.contains(&item) {
                continue;
            }
            // What one file keeps to itself misleads nobody, but for a constant, which is searched for by its name.
            let seen = item == "const" || at > 0 && (tokens[at - 1].is("pub") || tokens[at - 1].is(")"));
            if let Some(word) = ONCE.iter().find(|&&word| word == name).filter(|_| seen) {
                self.named.entry(word).or_default().push(shown.to_owned());
            }
            if item == "enum" && variants(&tokens[at + 2..]) == ["F32", "Bf16"] {
                self.f32_or_bf16.push(format!("{shown} ({name})"));
            }
        }
    }

    /// Words with a second meaning.
    pub(super) fn faults(&self, faults: &mut Vec<String>) {
        for (word, places) in &self.named {
            if places.len() > 1 {
                faults.push(format!("`{word}` names {} items: {}", places.len(), places.join(", ")));
            }
        }
        if self.f32_or_bf16.len() > 1 {
            faults.push(format!("f32 or bf16 is said by several enums: {}", self.f32_or_bf16.join(", ")));
        }
    }
}

/// The names of an enum's variants; nothing if one carries data.
fn variants(body: &[Token]) -> Vec<&str> {
    let block = body.iter().skip_while(|token| !token.is("{")).skip(1).take_while(|token| !token.is("}"));
    let (mut names, mut depth) = (Vec::new(), 0_i32);
    for token in block {
        match token {
            Token::Mark('(') if depth == 0 => return Vec::new(),
            Token::Mark('[' | '(') => depth += 1,
            Token::Mark(']' | ')') => depth -= 1,
            Token::Word(word) if depth == 0 => names.push(word.as_str()),
            Token::Word(_) | Token::Mark(_) => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::tokens;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let (mut words, mut faults) = (Words::default(), Vec::new());
        for (name, text) in files {
            words.note(name, &tokens(text));
        }
        words.faults(&mut faults);
        faults
    }

    #[test]
    fn a_second_item_of_a_word_is_told_with_its_places() {
        let files = [("a.rs", "const PANEL: usize = 1;"), ("b.rs", "pub(crate) struct PANEL;")];
        assert_eq!(faults(&files), ["`PANEL` names 2 items: a.rs, b.rs"]);
        assert!(
            faults(&[("a.rs", "pub enum Kernel {}"), ("b.rs", "use a::Kernel; trait Kernel {}")]).is_empty()
        );
    }

    #[test]
    fn a_second_enum_of_f32_and_bf16_is_told_whatever_its_name() {
        let one = ("a.rs", "enum Number { #[default] F32, Bf16 }");
        let weights = ("w.rs", "enum Weights { F32(View), Bf16(View) }");
        assert_eq!(faults(&[one, ("b.rs", "enum Kept { /** as is */ F32, Bf16, }")]).len(), 1);
        assert!(faults(&[one, weights]).is_empty());
        assert!(faults(&[one, ("b.rs", "enum Format { F32, F16, Bf16 }")]).is_empty());
    }
}
