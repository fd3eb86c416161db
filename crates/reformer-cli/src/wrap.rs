//! Words of a reply into lines of the terminal's width, while they come.
//!
//! A word waits until it is whole, so that none is broken that fits into a line; one that fits into none is broken
//! where the line ends. Lines of the text itself stay lines. Columns are counted as terminals do: 日 takes two.

use unicode_width::UnicodeWidthChar;

/// Lays out one reply.
#[derive(Debug)]
pub(crate) struct Wrap {
    width: usize,
    indent: usize,
    column: usize,
    blanks: usize,
    word: String,
    word_width: usize,
}

impl Wrap {
    /// Lines of `width` columns, the first `indent` of which stay free.
    pub(crate) fn new(width: usize, indent: usize) -> Self {
        let width = width.max(indent + 1);
        Self { width, indent, column: 0, blanks: 0, word: String::new(), word_width: 0 }
    }

    /// What can be shown now that `piece` has come.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        let mut shown = String::new();
        for c in piece.chars() {
            match c {
                '\n' => {
                    self.end_word(&mut shown);
                    shown.push('\n');
                    (self.column, self.blanks) = (0, 0);
                }
                ' ' | '\t' => {
                    self.end_word(&mut shown);
                    self.blanks += 1;
                }
                c => {
                    let width = c.width().unwrap_or(0);
                    if self.indent + self.word_width + width > self.width {
                        self.end_word(&mut shown);
                    }
                    self.word.push(c);
                    self.word_width += width;
                }
            }
        }
        shown
    }

    /// The last word.
    pub(crate) fn finish(&mut self) -> String {
        let mut shown = String::new();
        self.end_word(&mut shown);
        shown
    }

    fn end_word(&mut self, shown: &mut String) {
        if self.word.is_empty() {
            return;
        }
        if self.column > 0 && self.column + self.blanks + self.word_width > self.width {
            shown.push('\n');
            (self.column, self.blanks) = (0, 0);
        }
        if self.column == 0 {
            shown.extend(std::iter::repeat_n(' ', self.indent));
            self.column = self.indent;
        }
        shown.extend(std::iter::repeat_n(' ', self.blanks));
        self.column += self.blanks + self.word_width;
        shown.push_str(&self.word);
        self.word.clear();
        (self.blanks, self.word_width) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Wrap;

    fn lines(width: usize, pieces: &[&str]) -> Vec<String> {
        let mut wrap = Wrap::new(width, 2);
        let mut all: String = pieces.iter().map(|piece| wrap.push(piece)).collect();
        all.push_str(&wrap.finish());
        all.lines().map(str::to_owned).collect()
    }

    #[test]
    fn words_wrap_whole_wherever_the_pieces_are_cut() {
        let expected = ["  I found a", "  cheap hotel", "  for you."];
        assert_eq!(lines(13, &["I found a cheap hotel for you."]), expected);
        assert_eq!(lines(13, &["I fou", "nd a che", "ap", " hotel for y", "ou."]), expected);
    }

    #[test]
    fn a_word_longer_than_a_line_is_broken_and_lines_of_the_text_stay() {
        assert_eq!(lines(6, &["abcdefghij k"]), ["  abcd", "  efgh", "  ij k"]);
        assert_eq!(lines(20, &["one\n\ntwo"]), ["  one", "", "  two"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(lines(6, &["日本 日本"]), ["  日本", "  日本"]);
        assert_eq!(lines(4, &["日本日"]), ["  日", "  本", "  日"]);
    }
}
