//! A long text in pieces that give the ids of the whole.
//!
//! `tokenizers` keeps some 190 bytes for every byte of a text while it encodes it (splits, alignments, every field of
//! an `Encoding`), so a book is encoded piece by piece. A piece is encoded with a margin behind it; of its tokens
//! those are kept that lie before a border between two words of the pre-tokenizer, and the next piece begins at that
//! border:
//!
//! ```text
//! |········ piece ········|·· margin ··|
//! word| word| … word| word| wo            kept up to the last border in the piece, which is where the next one begins
//! ```
//!
//! A border serves if the words behind it are the same whether or not something stands before them. That is so where a
//! letter or digit is followed by one space and another one, for every pre-tokenizer that splits at spaces: those that
//! put a space before a text ([`Borders::Spaces`]) leave one alone that begins with a space. Where the pre-tokenizer
//! puts nothing before a text any border serves ([`Borders::Words`]), which a text without spaces needs. A tokenizer
//! that does not split into words, or that changes a text's beginning, takes the text whole.

use serde_json::Value;
use tokenizers::Encoding;

/// Bytes of a piece: what it takes to encode one is 3 MB.
const PIECE: usize = 1 << 14;
/// Bytes behind a piece: more than the longest token that a border may cut.
const MARGIN: usize = 1 << 10;

/// Where a text may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Borders {
    /// Nowhere.
    None,
    /// Before a space between two words.
    Spaces,
    /// Between any two words.
    Words,
}

impl Borders {
    /// What the parts of a `tokenizer.json` allow.
    pub(super) fn of(json: &Value) -> Self {
        let normalizer = json["normalizer"].to_string();
        // These look at where a text begins or ends.
        if ["\"Strip\"", "\"Prepend\"", "\"Precompiled\""].iter().any(|name| normalizer.contains(name)) {
            return Self::None;
        }
        let parts: Vec<&Value> = match &json["pre_tokenizer"] {
            Value::Object(part) if part.get("type").is_some_and(|kind| kind == "Sequence") => {
                part["pretokenizers"].as_array().into_iter().flatten().collect()
            }
            part => vec![part],
        };
        let kind = |part: &Value| part["type"].as_str().unwrap_or("").to_owned();
        let has = |name: &str| parts.iter().any(|part| kind(part) == name);
        let says = |key: &str| parts.iter().any(|part| part[key] == true);
        let splits = |part: &&Value| match kind(part).as_str() {
            "ByteLevel" => part["use_regex"] != false,
            "Metaspace" => part["split"] != false,
            "Split" | "Whitespace" | "WhitespaceSplit" | "BertPreTokenizer" => true,
            _ => false,
        };
        if !parts.iter().any(splits) {
            return Self::None;
        }
        let ours = parts.iter().any(|part| part["pattern"]["Regex"] == super::train::WORDS);
        let unknown_expression = has("Split") && !ours;
        if has("Metaspace") || says("add_prefix_space") || unknown_expression || normalizer != "null" {
            Self::Spaces
        } else {
            Self::Words
        }
    }
}

/// Encodes `text` with `encode`, hands every piece's kept tokens to `take`: the piece's offset in the text, its
/// encoding, how many of its tokens count.
pub(super) fn each<E>(
    text: &str,
    borders: Borders,
    encode: impl Fn(&str) -> Result<Encoding, E>,
    mut take: impl FnMut(usize, &Encoding, usize),
) -> Result<(), E> {
    let (mut at, mut size) = (0_usize, PIECE);
    loop {
        let end = text.ceil_char_boundary(at.saturating_add(size + MARGIN).min(text.len()));
        let (end, last) =
            if borders == Borders::None { (text.len(), true) } else { (end, end == text.len()) };
        let piece = &text[at..end];
        let encoding = encode(piece)?;
        if last {
            take(at, &encoding, encoding.len());
            return Ok(());
        }
        match border(piece, &encoding, size, borders) {
            Some((count, cut)) => {
                take(at, &encoding, count);
                (at, size) = (at + cut, PIECE);
            }
            // One word longer than the piece: look further.
            None => size *= 2,
        }
    }
}

/// The last border at or before byte `limit`: the tokens before it, and its place.
fn border(piece: &str, encoding: &Encoding, limit: usize, borders: Borders) -> Option<(usize, usize)> {
    let (offsets, words) = (encoding.get_offsets(), encoding.get_word_ids());
    (1..encoding.len()).rev().find_map(|k| {
        // An added token's `trim` may leave the space before a word out of its offsets: the end of the token before
        // is where it really begins.
        let (cut, next) = (offsets[k - 1].1, offsets[k].0);
        let new_word = words[k] != words[k - 1];
        let served = new_word
            && cut > 0
            && cut <= limit.min(next)
            && piece.is_char_boundary(cut)
            && (spaced(piece, cut) || borders == Borders::Words && cut == next && unspaced(piece, cut));
        served.then_some((k, cut))
    })
}

fn spaced(piece: &str, cut: usize) -> bool {
    let (before, after) = piece.split_at(cut);
    let mut after = after.chars();
    before.ends_with(char::is_alphanumeric)
        && after.next() == Some(' ')
        && after.next().is_some_and(char::is_alphanumeric)
}

/// A run of white space may not be cut: how it splits depends on what follows it.
fn unspaced(piece: &str, cut: usize) -> bool {
    !piece[..cut].ends_with(char::is_whitespace)
}
