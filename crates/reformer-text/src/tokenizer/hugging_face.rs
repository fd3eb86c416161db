//! A `tokenizer.json`, through the `tokenizers` crate: ours or a stranger's.
//!
//! Kept beside it: the file's own text, written back letter for letter, and the bytes of every token, so that
//! streaming needs no decoder state.

use std::collections::BTreeMap;

use super::byte_level;
use crate::TextError;

#[derive(Debug, Clone)]
pub(super) struct HuggingFace {
    inner: tokenizers::Tokenizer,
    json: String,
    model: String,
    byte_level: bool,
    specials: BTreeMap<u32, String>,
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
        let byte_level = value["decoder"].to_string().contains("\"ByteLevel\"");
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
                if specials.contains_key(&id) {
                    return Box::default();
                }
                if let Some(token) = added.get(&id) {
                    return token.content.as_bytes().into();
                }
                inner
                    .id_to_token(id)
                    .map_or_else(Box::default, |token| plain_bytes(&inner, id, &token, byte_level))
            })
            .collect();
        Ok(Self { inner, json, model, byte_level, specials, bytes })
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

    pub(super) fn token_bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let encoding = self.inner.encode_fast(text, false).map_err(refused)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids with the byte range of `text` that each covers.
    pub(super) fn encode_with_ends(&self, text: &str) -> Result<Vec<(u32, usize)>, TextError> {
        let encoding = self.inner.encode(text, false).map_err(refused)?;
        let ends = encoding.get_offsets().iter().map(|&(_, end)| end);
        Ok(encoding.get_ids().iter().copied().zip(ends).collect())
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
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

/// The bytes of an ordinary token: byte alphabet, `<0xE2>`, `▁` for a space, else what the decoder makes of it.
fn plain_bytes(inner: &tokenizers::Tokenizer, id: u32, token: &str, byte_level: bool) -> Box<[u8]> {
    if byte_level {
        return byte_level::bytes_of(token).unwrap_or_else(|| token.as_bytes().to_vec()).into();
    }
    let hex = token
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .and_then(|digits| u8::from_str_radix(digits, 16).ok());
    match hex {
        Some(byte) => [byte].into(),
        None if token.contains('▁') => token.replace('▁', " ").into_bytes().into(),
        None => inner.decode(&[id], false).unwrap_or_else(|_| token.to_owned()).into_bytes().into(),
    }
}
