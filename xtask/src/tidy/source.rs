//! A Rust file as the rules see it: its words without comments, strings and tests, and what it takes from where.
//!
//! A lexer of a page, no parser: `use` items and item heads are all that the rules ask for, and a full grammar in the
//! dependencies would be compiled before every check.

/// A word or a mark of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier, keyword or number.
    Word(String),
    /// One character of punctuation.
    Mark(char),
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => word == text,
            Self::Mark(mark) => text.len() == mark.len_utf8() && text.starts_with(*mark),
        }
    }

    pub(crate) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

/// The words of a file outside comments, strings, and items under `#[cfg(test)]`.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    without_tests(lex(text))
}

fn lex(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r' | 'b', '"' | '#' | 'r', ..] if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            ['b', '"', ..] => 1 + string(&rest[1..], '"'),
            ['"', ..] => string(rest, '"'),
            // A character, else a lifetime.
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => string(rest, '\''),
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let word: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let len = word.chars().count();
                tokens.push(Token::Word(word));
                len
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    tokens.push(Token::Mark(*c));
                }
                1
            }
            [] => break,
        };
    }
    tokens
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Characters of a string or character that opens here, marks included.
fn string(rest: &[char], close: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != close {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Characters of a raw string, if one opens here.
fn raw_string(rest: &[char]) -> Option<usize> {
    let start = rest.iter().take_while(|c| matches!(c, 'b' | 'r')).count();
    let hashes = rest[start..].iter().take_while(|&&c| c == '#').count();
    if !rest[..start].contains(&'r') || rest.get(start + hashes) != Some(&'"') {
        return None;
    }
    let body = start + hashes + 1;
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let end = rest[body..].windows(close.len()).position(|w| w == close)?;
    Some(body + end + close.len())
}

fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let opens =
            tokens[at..].iter().zip(TEST).filter(|(token, text)| token.is(text)).count() == TEST.len();
        if opens {
            at += TEST.len();
            at += item_len(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Words of the item that begins here: up to its semicolon or the end of its block.
fn item_len(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark('}' | ')' | ']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.is("}") {
                    return at + 1;
                }
            }
            Token::Mark(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// A name that a `use` item brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// Segments from the first, as written.
    pub(crate) path: Vec<String>,
    /// What it is called here; `*` for everything.
    pub(crate) name: String,
    /// Handed on (`pub use`), not used here.
    pub(crate) exported: bool,
}

/// The `use` items of a file, at module level and in functions. A `super` in an inline module means the file.
pub(crate) fn imports(tokens: &[Token]) -> Vec<Import> {
    let (mut imports, mut depth, mut inline) = (Vec::new(), 0_usize, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => {
                depth += 1;
                if at > 1 && tokens[at - 2].is("mod") {
                    inline.push(depth);
                }
            }
            Token::Mark('}') => {
                inline.retain(|&opened| opened < depth);
                depth = depth.saturating_sub(1);
            }
            // `use<'a>` in a bound is no item.
            Token::Word(word) if word == "use" && !tokens.get(at + 1).is_some_and(|next| next.is("<")) => {
                let exported = at > 0 && (tokens[at - 1].is("pub") || tokens[at - 1].is(")"));
                let end =
                    tokens[at..].iter().position(|token| token.is(";")).map_or(tokens.len(), |len| at + len);
                let first = imports.len();
                tree(&tokens[at + 1..end], &[], exported, &mut imports);
                for import in &mut imports[first..] {
                    let levels =
                        import.path.iter().take_while(|name| *name == "super").count().min(inline.len());
                    if levels > 0 {
                        import.path.splice(..levels, ["self".to_owned()]);
                    }
                }
            }
            _ => {}
        }
    }
    imports
}

fn tree(tokens: &[Token], before: &[String], exported: bool, imports: &mut Vec<Import>) {
    let mut path = before.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Mark('{') => {
                for part in parts(&tokens[at + 1..tokens.len() - 1]) {
                    tree(part, &path, exported, imports);
                }
                return;
            }
            Token::Word(word) if word == "as" => {
                let name = tokens.get(at + 1).and_then(Token::word).unwrap_or("_").to_owned();
                imports.push(Import { path, name, exported });
                return;
            }
            Token::Word(word) if word == "self" && !path.is_empty() => {}
            Token::Word(word) => path.push(word.clone()),
            Token::Mark('*') => {
                imports.push(Import { path, name: "*".to_owned(), exported });
                return;
            }
            Token::Mark(_) => {}
        }
        at += 1;
    }
    if let Some(name) = path.last().cloned() {
        imports.push(Import { path, name, exported });
    }
}

/// The comma-separated parts of a group, commas in inner groups aside.
fn parts(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            Token::Mark(',') if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Vec<(String, bool)> {
        imports(&tokens(text))
            .into_iter()
            .map(|i| (format!("{}={}", i.name, i.path.join("::")), i.exported))
            .collect()
    }

    #[test]
    fn comments_strings_characters_and_tests_hold_no_words() {
        let text = "// a\n/* b /* c */ d */ \"e\\\"f\" r#\"g\"h\"# b\"i\" '\\'' 'j' 'life k #[cfg(test)] mod t { use l::m; } n";
        let words: Vec<_> = tokens(text).iter().filter_map(Token::word).map(str::to_owned).collect();
        assert_eq!(words, ["life", "k", "n"]);
    }

    #[test]
    fn a_tree_of_uses_is_told_name_by_name() {
        let text = "use crate::a::{self, b::{C, D as E}}; pub(crate) use super::f; pub use g::*; fn x() -> impl use<'a> {}";
        let (used, handed) = (false, true);
        assert_eq!(
            taken(text),
            [
                ("a=crate::a".to_owned(), used),
                ("C=crate::a::b::C".to_owned(), used),
                ("E=crate::a::b::D".to_owned(), used),
                ("f=super::f".to_owned(), handed),
                ("*=g".to_owned(), handed),
            ]
        );
    }

    #[test]
    fn the_super_of_an_inline_module_is_the_file() {
        let text = "mod x { use super::A; mod y { use super::super::super::B; } } use super::C;";
        let found: Vec<_> = taken(text).into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["A=self::A", "B=self::super::B", "C=super::C"]);
    }

    #[test]
    fn an_attribute_for_tests_takes_one_item_with_it() {
        assert_eq!(taken("#[cfg(test)] use a::b; use c::d;"), [("d=c::d".to_owned(), false)]);
        assert_eq!(
            taken("#[cfg(test)] fn f(x: [u8; 3]) { if x { } } use c::d;"),
            [("d=c::d".to_owned(), false)]
        );
    }
}
