//! Other people's tokenizers: their decoders, their templates, their special and unknown tokens.

#[path = "support/foreign.rs"]
mod foreign;

use foreign::{added, byte_fallback, load, word_ends, word_level, word_piece};
use proptest::prelude::*;
use reformer_text::{Dialogue, Form, Role, TokenStream, Tokenizer, Turn};
use serde_json::json;

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = TokenStream::new();
    let mut text: String = ids.iter().map(|&id| stream.push(tokenizer, id)).collect();
    text.push_str(&stream.flush());
    text
}

#[test]
fn word_pieces_join_and_words_are_apart_in_a_stream_too() {
    let tokenizer = load(&word_piece(), &json!({}));
    let ids = tokenizer.encode("set of EYES bff!").unwrap();
    assert_eq!(tokenizer.decode(&ids), "set of eyes bff!");
    assert_eq!(streamed(&tokenizer, &ids), "set of eyes bff!");
    let words = load(&word_level(), &json!({}));
    assert_eq!(streamed(&words, &words.encode("a table  for two").unwrap()), "a table for two");
}

#[test]
fn a_stream_goes_on_from_its_prompt_and_a_special_token_begins_a_text() {
    for parts in [word_piece(), byte_fallback(), word_level()] {
        let tokenizer = load(&parts, &json!({}));
        let word = tokenizer.encode("a").unwrap();
        let prompt = tokenizer.encode("a a").unwrap();
        let mut stream = TokenStream::after(&tokenizer, &prompt);
        let text: String = word.iter().map(|&id| stream.push(&tokenizer, id)).collect();
        assert_eq!(text, if tokenizer.kind() == "WordPiece" { "" } else { " a" }, "{}", tokenizer.kind());
    }
    let tokenizer = load(&byte_fallback(), &json!({"eos_token": "</s>"}));
    let prompt = [tokenizer.encode("a").unwrap(), vec![tokenizer.end_token().unwrap()]].concat();
    let mut stream = TokenStream::after(&tokenizer, &prompt);
    assert_eq!(stream.push(&tokenizer, tokenizer.encode("a").unwrap()[0]), "a");
}

#[test]
fn bytes_of_a_character_come_out_together_and_broken_ones_as_replacement() {
    let tokenizer = load(&byte_fallback(), &json!({}));
    let ids = tokenizer.encode("a é🦀b").unwrap();
    assert_eq!(streamed(&tokenizer, &ids), "a é🦀b");
    let crab: Vec<u32> = "🦀".bytes().map(|byte| u32::from(byte) + 7).collect();
    let mut stream = TokenStream::new();
    for &id in &crab[..3] {
        assert_eq!(stream.push(&tokenizer, id), "");
    }
    assert_eq!(stream.push(&tokenizer, 3), "\u{fffd}a");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_stream_of_any_tokens_is_what_the_tokenizers_decoder_makes_of_all(
        choice in 0..3_usize,
        ids in prop::collection::vec(0..11_u32, 0..30),
    ) {
        let parts = [word_piece(), word_level(), word_ends()];
        let tokenizer = load(&parts[choice], &json!({}));
        let ids: Vec<u32> = ids.into_iter().filter(|id| (*id as usize) < tokenizer.vocab_size()).collect();
        prop_assert_eq!(streamed(&tokenizer, &ids), tokenizer.decode(&ids));
    }
}

#[test]
fn what_a_vocabulary_cannot_write_is_counted() {
    let tokenizer = load(&word_level(), &json!({}));
    let turns = vec![Turn::user("a table"), Turn::assistant("nothing known here two")];
    let encoded = tokenizer.encode_dialogue(&Dialogue::new("d", turns), Form::Course).unwrap();
    // " Person 1: a table Person 2: nothing known here two": the names are unknown words as well.
    assert_eq!((encoded.unknown, encoded.ids.len()), (7, 10));
    assert_eq!(tokenizer.unknown_token(), Some(0));
    assert_eq!(Tokenizer::bytes().unknown_token(), None);
}

#[test]
fn a_special_token_that_is_a_word_or_a_single_character_cannot_be_typed() {
    let words = load(&word_level(), &json!({"eos_token": "</s>"}));
    assert_eq!(words.encode("a </s> two").unwrap(), [2, 0, 5]);
    let template =
        json!({"eos_token": "@", "chat_template": "{% for m in messages %}{{ m.content }}@{% endfor %}"});
    let bytes = load(&byte_fallback(), &template);
    let at = u32::from(b'@') + 7;
    assert_eq!(bytes.encode("a@b").unwrap(), [5, at, 4]);
    let ids = bytes.encode_chat(&[Turn::user("a@b")], bytes.form(), true).unwrap();
    assert_eq!(ids, [5, at, 4, 6], "the template's own @ is the special token, the person's is not");
    let mut nowhere = word_level();
    nowhere["model"]["unk_token"] = json!("none");
    nowhere["added_tokens"] = json!([added(1, "</s>", true)]);
    let error = load(&nowhere, &json!({})).encode("a </s>").unwrap_err().to_string();
    assert!(error.contains("\"</s>\"") && error.contains("special token"), "{error}");
}

#[test]
fn a_model_with_a_template_of_its_own_is_talked_to_by_it() {
    let config =
        json!({"eos_token": "</s>", "chat_template": "{{ raise_exception('the template was used') }}"});
    let tokenizer = load(&word_level(), &config);
    assert!(tokenizer.can_chat());
    assert_eq!(tokenizer.form(), Form::Template);
    let error = tokenizer.encode_chat(&[Turn::user("a")], tokenizer.form(), true).unwrap_err();
    assert!(error.to_string().contains("the template was used"), "{error}");
    // A model of ours says in its files how it was trained.
    let ours = json!({"chat_template": "x", "dialogue_form": "course"});
    assert_eq!(load(&word_level(), &ours).form(), Form::Course);
    assert!(!load(&word_level(), &json!({})).can_chat());
}

#[test]
fn a_dialogue_by_a_template_is_learned_from_the_reply_to_its_end() {
    let mut parts = word_level();
    parts["added_tokens"] = json!([
        added(0, "[UNK]", true),
        added(1, "</s>", true),
        added(6, "<user>", true),
        added(7, "<assistant>", true)
    ]);
    let template = "{% for m in messages %}{{ '<' + m.role + '>' }} {{ m.content }}</s>{% endfor %}\
        {% if add_generation_prompt %}<assistant>{% endif %}";
    let tokenizer = load(&parts, &json!({"eos_token": "</s>", "chat_template": template}));
    let turns = vec![Turn::user("a table"), Turn::assistant("for two"), Turn::user("a")];
    let dialogue = Dialogue::new("d", turns.clone());
    let encoded = tokenizer.encode_dialogue(&dialogue, tokenizer.form()).unwrap();
    assert_eq!(encoded.ids, [6, 2, 3, 1, 7, 4, 5, 1, 6, 2, 1]);
    let learned: Vec<usize> =
        (0..encoded.ids.len()).filter(|&at| encoded.roles[at] == Role::Assistant).collect();
    assert_eq!(learned, [5, 6, 7], "the reply and the token that ends it");
    assert_eq!(tokenizer.encode_chat(&turns[..1], tokenizer.form(), true).unwrap(), encoded.ids[..5]);
}
