//! A `tokenizer.json`, through the `tokenizers` crate: ours or a stranger's.
//!
//! Kept beside it: the file's own text, written back letter for letter, the bytes of every token, and how a special
//! token that somebody types is spelled with ordinary ones.

use std::collections::BTreeMap;

use tokenizers::Model;

use super::byte_level;
use super::pieces::{self, Borders};
use crate::TextError;
use crate::lookups::compact::inside;

#[derive(Debug, Clone)]
pub(super) struct HuggingFace {
    inner: tokenizers::Tokenizer,
    json: String,
    model: String,
    byte_level: bool,
    byte_fallback: bool,
    borders: Borders,
    specials: BTreeMap<u32, String>,
    /// Specials that the model itself makes of a text, with the tokens to write instead.
    forged: BTreeMap<u32, Vec<u32>>,
    unknown: Option<u32>,
    bytes: Vec<Box<[u8]>>,
}

impl HuggingFace {
    pub(super) fn parse(json: String) -> Result<Self, TextError> {
        let failed = |reason: String| TextError::Tokenizer { action: "be read from tokenizer.json", reason };
        let value: serde_json::Value = serde_json::from_str(&json).map_err(|e| failed(e.to_string()))?;
        let mut inner: tokenizers::Tokenizer =
            serde_json::from_value(value.clone()).map_err(|e| failed(e.to_string()))?;
        // Text is never cut or padded here: rows are the trainer's business.
        inner.with_padding(None).with_truncation(None).map_err(|e| failed(e.to_string()))?;
        inner.set_encode_special_tokens(true);
        let model = value["model"]["type"].as_str().unwrap_or("BPE").to_owned();
        let decoder = value["decoder"].to_string();
        let byte_level = decoder.contains("\"ByteLevel\"");
        let added = inner.get_added_tokens_decoder();
        let specials: BTreeMap<u32, String> = added
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(&id, token)| (id, token.content.clone()))
            .collect();
        let size = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        // A stranger's file may give one token the id 4 000 000 000.
        let limit = 1 << 22;
        if size > limit {
            return Err(failed(format!("largest token id is {}, expected less than {limit}", size - 1)));
        }
        let bytes = (0..size as u32)
            .map(|id| {
                if let Some(name) = specials.get(&id) {
                    // A placeholder is read by whoever fills it; marks are nobody's text.
                    let shown = if inside(name).is_some() { name.as_bytes() } else { &[] };
                    return shown.into();
                }
                if let Some(token) = added.get(&id) {
                    return token.content.as_bytes().into();
                }
                inner
                    .id_to_token(id)
                    .map_or_else(Box::default, |token| plain_bytes(&inner, id, &token, byte_level))
            })
            .collect();
        let unknown = unknown(&value["model"], &inner);
        Ok(Self {
            forged: forged(&inner, &specials, unknown),
            borders: Borders::of(&value),
            byte_fallback: decoder.contains("\"ByteFallback\""),
            inner,
            json,
            model,
            byte_level,
            specials,
            unknown,
            bytes,
        })
    }

    /// The same tokens behind a normalizer.
    pub(super) fn with_normalizer(&self, normalizer: serde_json::Value) -> Result<Self, TextError> {
        let failed = |reason: String| TextError::Tokenizer { action: "be given a normalizer", reason };
        let mut value: serde_json::Value =
            serde_json::from_str(&self.json).map_err(|e| failed(e.to_string()))?;
        value["normalizer"] = normalizer;
        Self::parse(serde_json::to_string_pretty(&value).map_err(|e| failed(e.to_string()))?)
    }

    pub(super) fn json(&self) -> &str {
        &self.json
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    pub(super) fn is_byte_level(&self) -> bool {
        self.byte_level
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub(super) fn special_name(&self, id: u32) -> Option<&str> {
        self.specials.get(&id).map(String::as_str)
    }

    pub(super) fn specials(&self) -> &BTreeMap<u32, String> {
        &self.specials
    }

    /// The token of text that the vocabulary cannot write.
    pub(super) fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    pub(super) fn token_bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// The bytes of a token whose text is the same wherever it stands; none if its neighbours decide.
    pub(super) fn own_bytes(&self, id: u32) -> Option<&[u8]> {
        let raw = || {
            let token = self.inner.id_to_token(id).unwrap_or_default();
            self.byte_fallback && byte_token(&token).is_some()
        };
        (self.byte_level || raw()).then(|| self.token_bytes(id))
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        self.each_token(text, |id, _| ids.push(id))?;
        Ok(ids)
    }

    /// Hands out every token of `text` with the end of the bytes that it covers.
    pub(super) fn each_token(&self, text: &str, mut take: impl FnMut(u32, usize)) -> Result<(), TextError> {
        let mut unwritable = None;
        let encode = |piece: &str| self.inner.encode(piece, false).map_err(refused);
        pieces::each(text, self.borders, encode, |start, encoding, count| {
            let ends = encoding.get_offsets().iter().map(|&(_, end)| start + end);
            for (&id, end) in encoding.get_ids().iter().zip(ends).take(count) {
                match self.forged.get(&id) {
                    None => take(id, end),
                    Some(instead) if instead.is_empty() => unwritable = Some(id),
                    Some(instead) => instead.iter().for_each(|&id| take(id, end)),
                }
            }
        })?;
        match unwritable.and_then(|id| self.special_name(id)) {
            None => Ok(()),
            Some(name) => Err(TextError::Tokenizer {
                action: "encode this text",
                reason: format!(
                    "it holds {name:?}, which is a special token of this tokenizer and has no other spelling in its \
                     vocabulary; leave it out"
                ),
            }),
        }
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        // One of the decoders fails where there is nothing to decode.
        if ids.iter().all(|id| self.specials.contains_key(id) || *id as usize >= self.vocab_size()) {
            return String::new();
        }
        // The decoders of this crate fail on nothing that a vocabulary can hold; if one ever does, the
        // tokens' own bytes are the next best text.
        self.inner.decode(ids, true).unwrap_or_else(|_| {
            let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.token_bytes(id).to_vec()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
}

fn refused(error: tokenizers::Error) -> TextError {
    TextError::Tokenizer { action: "encode this text", reason: error.to_string() }
}

fn unknown(model: &serde_json::Value, inner: &tokenizers::Tokenizer) -> Option<u32> {
    let by_id = || model["unk_id"].as_u64().and_then(|id| u32::try_from(id).ok());
    model["unk_token"].as_str().and_then(|token| inner.token_to_id(token)).or_else(by_id)
}

/// What to write instead of a special token that the model makes of its name when somebody types it, because the name
/// is in its vocabulary too: its characters one by one, their bytes, or the unknown token; nothing if none of these is
/// to be had. White space is not worth refusing a text for.
fn forged(
    inner: &tokenizers::Tokenizer,
    specials: &BTreeMap<u32, String>,
    unknown: Option<u32>,
) -> BTreeMap<u32, Vec<u32>> {
    let model = inner.get_model();
    let plain = |id: &u32| !specials.contains_key(id);
    let characters = |name: &str| -> Option<Vec<u32>> {
        let ids = name.chars().map(|c| model.tokenize(&c.to_string()).ok()).collect::<Option<Vec<_>>>()?;
        let ids: Vec<u32> = ids.into_iter().flatten().map(|token| token.id).collect();
        (!ids.is_empty() && ids.iter().all(plain)).then_some(ids)
    };
    let bytes = |name: &str| -> Option<Vec<u32>> {
        let ids = name.bytes().map(|byte| model.token_to_id(&format!("<0x{byte:02X}>")));
        ids.collect::<Option<Vec<u32>>>().filter(|ids| ids.iter().all(plain))
    };
    specials
        .iter()
        .filter(|(id, name)| Some(**id) != unknown && !name.trim().is_empty())
        .map(|(&id, name)| {
            let instead = characters(name).or_else(|| bytes(name));
            (id, instead.unwrap_or_else(|| unknown.into_iter().collect()))
        })
        .collect()
}

/// The byte of a token `<0xE2>`.
fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The bytes of an ordinary token: byte alphabet, `<0xE2>`, `▁` for a space, else what the decoder makes of it.
fn plain_bytes(inner: &tokenizers::Tokenizer, id: u32, token: &str, byte_level: bool) -> Box<[u8]> {
    if byte_level {
        return byte_level::bytes_of(token).unwrap_or_else(|| token.as_bytes().to_vec()).into();
    }
    match byte_token(token) {
        Some(byte) => [byte].into(),
        None if token.contains('▁') => token.replace('▁', " ").into_bytes().into(),
        None => inner.decode(&[id], false).unwrap_or_else(|_| token.to_owned()).into_bytes().into(),
    }
}
