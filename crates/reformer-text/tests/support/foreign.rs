//! Tokenizers as other people's `tokenizer.json` have them, small enough to read.

use reformer_text::Tokenizer;
use serde_json::{Value, json};

/// A special or an ordinary added token.
pub(crate) fn added(id: u32, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": special})
}

/// A tokenizer of these parts, with the keys of its `tokenizer_config.json`.
pub(crate) fn load(parts: &Value, config: &Value) -> Tokenizer {
    let mut json = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null});
    for (key, value) in parts.as_object().unwrap() {
        json[key] = value.clone();
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::write(directory.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    Tokenizer::load(directory.path()).unwrap()
}

fn numbered(first: u32, tokens: &[&str]) -> serde_json::Map<String, Value> {
    (first..).zip(tokens).map(|(id, token)| ((*token).to_owned(), json!(id))).collect()
}

/// BERT's: pieces of a word begin with `##`.
pub(crate) fn word_piece() -> Value {
    let vocab = numbered(0, &["[UNK]", "set", "of", "eye", "##s", "!", "##ff", "b", "'", "t", "don"]);
    json!({"added_tokens": [added(0, "[UNK]", true)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab}})
}

/// Whole words, and no decoder: words are joined by spaces.
pub(crate) fn word_level() -> Value {
    json!({"added_tokens": [added(0, "[UNK]", true), added(1, "</s>", true)],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "unk_token": "[UNK]",
            "vocab": numbered(0, &["[UNK]", "</s>", "a", "table", "for", "two"])}})
}

/// SentencePiece's BPE with bytes for what its vocabulary lacks; a text begins with a space that is not shown.
pub(crate) fn byte_fallback() -> Value {
    let mut vocab = numbered(0, &["<unk>", "</s>", "▁", "a", "b", "▁a", "@"]);
    vocab.extend((0..256_u32).map(|byte| (format!("<0x{byte:02X}>"), json!(byte + 7))));
    json!({"added_tokens": [added(0, "<unk>", true), added(1, "</s>", true), added(6, "@", true)],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab, "merges": [["▁", "a"]]}})
}

/// The older BPE whose words end with `</w>`.
pub(crate) fn word_ends() -> Value {
    let vocab = numbered(0, &["<unk>", "a</w>", "b</w>", "c", "d"]);
    json!({"pre_tokenizer": {"type": "Whitespace"}, "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": []}})
}
