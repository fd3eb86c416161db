//! The compact form: a call as few tokens, and back.
//!
//! ```text
//! lookup, book    <|lookup|> {table} ( {table.column} " value" )*
//! other tools     <|call|> name {"argument": …}
//! ```
//! A value may be a placeholder itself: `{taxi.destination}{hotel.name}` is "to the hotel we spoke of".

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Call;
use crate::{Dialogue, Role};

/// Ends a call and opens its result.
pub const RESULT: &str = "<|result|>";
/// The tools that have a token of their own.
pub const TOOLS: [&str; 2] = ["lookup", "book"];
/// Opens a call of any other tool.
pub const OTHER: &str = "<|call|>";

/// A piece of a rendered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One special token, if the tokenizer has it.
    Special(std::borrow::Cow<'a, str>),
    /// Ordinary text.
    Text(std::borrow::Cow<'a, str>),
}

fn special(name: String) -> Piece<'static> {
    Piece::Special(name.into())
}

fn tool_mark(tool: &str) -> Option<String> {
    TOOLS.contains(&tool).then(|| format!("<|{tool}|>"))
}

/// The pieces of a call.
pub fn render(call: &Call) -> Vec<Piece<'_>> {
    if let (Some(mark), Some((table, values))) = (tool_mark(&call.tool), call.table_values()) {
        let mut pieces = vec![special(mark), special(format!("{{{table}}}"))];
        for (column, value) in values {
            pieces.push(special(format!("{{{table}.{column}}}")));
            // With the space that stands before it in a sentence: a word that is copied is the same token then.
            for (at, piece) in split(value).into_iter().enumerate() {
                pieces.push(match piece {
                    Piece::Text(text) if at == 0 => Piece::Text(format!(" {text}").into()),
                    piece => piece,
                });
            }
        }
        pieces
    } else {
        let arguments = Value::from(call.arguments.clone());
        vec![special(OTHER.to_owned()), Piece::Text(format!("{} {arguments}", call.tool).into())]
    }
}

/// The call that these pieces spell; an error says what is wrong with them.
pub fn parse(pieces: &[Piece<'_>]) -> Result<Call, String> {
    let [Piece::Special(mark), rest @ ..] = pieces else {
        return Err("a call begins with the token of a tool".to_owned());
    };
    if mark == OTHER {
        let [Piece::Text(text)] = rest else { return Err("no function is named".to_owned()) };
        let (tool, arguments) = text.split_once(' ').unwrap_or((text, "{}"));
        let arguments: Map<String, Value> = serde_json::from_str(arguments)
            .map_err(|e| format!("the arguments of {tool} are not a JSON object ({e})"))?;
        return Ok(Call { tool: tool.to_owned(), arguments });
    }
    let tool = TOOLS.into_iter().find(|tool| tool_mark(tool).as_deref() == Some(mark.as_ref()));
    let tool = tool.ok_or_else(|| format!("{mark} is no tool"))?;
    let [Piece::Special(table), rest @ ..] = rest else { return Err("no table is named".to_owned()) };
    let table = inside(table).filter(|name| !name.contains('.'));
    let table = table.ok_or_else(|| "no table is named".to_owned())?;
    let mut values: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for piece in rest {
        let column = match piece {
            Piece::Special(name) => inside(name).and_then(|name| name.strip_prefix(table)?.strip_prefix('.')),
            Piece::Text(_) => None,
        };
        match (piece, column, values.last_mut()) {
            (_, Some(column), _) if !open => {
                values.push((column, String::new()));
                open = true;
            }
            (Piece::Special(name) | Piece::Text(name), _, Some((_, value))) if open => {
                value.push_str(name);
                open = false;
            }
            (Piece::Special(name) | Piece::Text(name), ..) => {
                return Err(format!("{name:?} stands where a column of {table} is expected"));
            }
        }
    }
    if open {
        let column = values.last().map_or("", |(column, _)| column);
        return Err(format!("the column {column} has no value"));
    }
    let values = values.iter().map(|(column, value)| (*column, value.trim()));
    Ok(Call::of_table(tool, table, values))
}

/// The name inside braces.
pub fn inside(placeholder: &str) -> Option<&str> {
    let name = placeholder.strip_prefix('{')?.strip_suffix('}')?;
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(char::is_alphabetic);
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | ' ' | '-');
    (begins && name.len() <= 64 && name.chars().all(legal)).then_some(name)
}

/// Splits a text at its placeholders.
pub fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|found| at + found) {
        let close = text[open..].find('}').map(|found| open + found + 1);
        match close.filter(|&close| inside(&text[open..close]).is_some()) {
            Some(close) => {
                if plain < open {
                    pieces.push(Piece::Text(text[plain..open].into()));
                }
                pieces.push(Piece::Special(text[open..close].into()));
                (plain, at) = (close, close);
            }
            None => at = open + 1,
        }
    }
    if plain < text.len() {
        pieces.push(Piece::Text(text[plain..].into()));
    }
    pieces
}

/// The special tokens that a corpus's lookups and placeholders need, in one order; none for a corpus without lookups.
pub fn specials(dialogues: &[Dialogue]) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut looked_up = false;
    for turn in dialogues.iter().flat_map(|dialogue| &dialogue.turns) {
        if turn.role != Role::Assistant {
            continue;
        }
        looked_up |= !turn.lookups.is_empty();
        let calls = turn.lookups.iter().flat_map(|lookup| render(&lookup.call));
        for piece in calls.chain(split(&turn.text)) {
            if let Piece::Special(name) = piece
                && name.starts_with('{')
            {
                names.insert(name.into_owned());
            }
        }
    }
    if !looked_up {
        return Vec::new();
    }
    let marks = TOOLS.iter().filter_map(|tool| tool_mark(tool)).chain([OTHER.into(), RESULT.into()]);
    marks.chain(names).collect()
}

/// The plain texts of a corpus, as a vocabulary learns them: words, values and results, without what is a token
/// already.
pub fn texts(dialogues: &[Dialogue]) -> Vec<String> {
    let mut texts = Vec::new();
    for turn in dialogues.iter().flat_map(|dialogue| &dialogue.turns) {
        let said = if turn.role == Role::Assistant && !turn.lookups.is_empty() {
            turn.lookups.iter().flat_map(|lookup| render(&lookup.call)).chain(split(&turn.text)).collect()
        } else if turn.role == Role::Assistant {
            split(&turn.text)
        } else {
            vec![Piece::Text(turn.text.as_str().into())]
        };
        texts.extend(said.into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.into_owned()),
            Piece::Special(_) => None,
        }));
        texts.extend(turn.lookups.iter().map(super::Lookup::said));
    }
    texts
}
