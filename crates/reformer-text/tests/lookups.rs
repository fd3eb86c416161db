//! Lookups in dialogues: OpenAI's messages in and out, the compact form and back, whose tokens they are.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use reformer_text::lookups::compact::{self, Piece};
use reformer_text::{
    Call, CorpusFormat, Dialogue, Form, Lookup, Part, Role, TextError, Tokenizer, Turn, parse_dialogues,
    write_lines,
};

const MESSAGES: &str = concat!(
    r#"{"id":"1","messages":[{"role":"user","content":"a hotel in the north"},"#,
    r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"lookup","#,
    r#""arguments":"{\"table\":\"hotel\",\"where\":{\"area\":\"north\",\"stars\":\"4\"}}"}}]},"#,
    r#"{"role":"tool","tool_call_id":"a","content":"{\"says\":\"3 ; north\",\"count\":3}"},"#,
    r#"{"role":"assistant","content":"try {hotel.name} ."}]}"#,
    "\n"
);

fn read(text: &str) -> Result<Vec<Dialogue>, TextError> {
    parse_dialogues("corpus.jsonl".as_ref(), text.into(), Some(CorpusFormat::Messages))
}

fn hotel() -> Dialogue {
    read(MESSAGES).unwrap().remove(0)
}

fn train(texts: Vec<String>, specials: &[String]) -> Tokenizer {
    Tokenizer::train_bpe_until(texts, specials, 300, &AtomicBool::new(false)).unwrap()
}

fn tokenizer() -> Tokenizer {
    let dialogues = [hotel()];
    let specials = compact::specials(&dialogues);
    train(compact::texts(&dialogues), &specials)
}

#[test]
fn calls_and_results_stand_in_the_turn_that_they_served_and_are_written_the_same() {
    let dialogue = hotel();
    assert_eq!(dialogue.turns.len(), 2);
    let turn = &dialogue.turns[1];
    assert_eq!(turn.text, "try {hotel.name} .");
    assert_eq!(turn.lookups[0].call, Call::of_table("lookup", "hotel", [("area", "north"), ("stars", "4")]));
    assert_eq!(turn.lookups[0].said(), "3 ; north");
    let mut out = Vec::new();
    write_lines(&mut out, std::slice::from_ref(&dialogue), CorpusFormat::Messages).unwrap();
    assert_eq!(read(std::str::from_utf8(&out).unwrap()).unwrap(), [dialogue]);
}

#[test]
fn parallel_calls_are_answered_by_id_in_any_order() {
    let line = r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[
        {"id":"a","function":{"name":"weather","arguments":"{\"city\":\"Ely\"}"}},
        {"id":"b","function":{"name":"time","arguments":""}}]},
        {"role":"tool","tool_call_id":"b","content":"noon"},{"role":"tool","tool_call_id":"a","content":"sun"},
        {"role":"assistant","content":"sunny at noon"}]}"#
        .replace('\n', " ");
    let turns = read(&line).unwrap().remove(0).turns;
    let results: Vec<_> =
        turns[1].lookups.iter().map(|l| (l.call.tool.as_str(), l.result.as_str())).collect();
    assert_eq!(results, [("weather", "sun"), ("time", "noon")]);
}

#[test]
fn calls_without_words_after_them_are_a_turn_without_words() {
    let line = r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]},{"role":"tool","content":"y"},{"role":"user","content":"z"}]}"#;
    let turns = read(line).unwrap().remove(0).turns;
    assert_eq!(turns.len(), 3);
    assert_eq!((turns[1].role, turns[1].text.as_str(), turns[1].lookups.len()), (Role::Assistant, "", 1));
}

#[test]
fn broken_tool_messages_are_refused_with_their_number() {
    let with = |messages: &str| read(&format!("{{\"messages\":[{messages}]}}")).unwrap_err().to_string();
    let call = r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}"#;
    for (messages, expected) in [
        (r#"{"role":"tool","tool_call_id":"a","content":"y"}"#.to_owned(), "message 1 has the role \"tool\""),
        (format!(r#"{call},{{"role":"tool","tool_call_id":"b","content":"y"}}"#), "the call \"b\""),
        (format!(r#"{call},{{"role":"user","content":"y"}}"#), "before the tool call 1 of f"),
        (call.to_owned(), "before the tool call 1 of f"),
        (
            r#"{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}"#.to_owned(),
            "message 1 calls f: its arguments are not JSON",
        ),
        (r#"{"role":"user","tool_calls":[{"function":{"name":"f"}}]}"#.to_owned(), "user has tool_calls"),
    ] {
        let error = with(&messages);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_dialogue_trains_on_calls_and_words_and_reads_results() {
    let tokenizer = tokenizer();
    let encoded = tokenizer.encode_dialogue(&hotel(), Form::Marks).unwrap();
    let names: Vec<_> = encoded.ids.iter().map(|&id| tokenizer.token_name(id)).collect();
    let part = |wanted: Part| -> String {
        let of = encoded.parts.iter().zip(&names).filter(|(part, _)| **part == wanted);
        of.map(|(_, name)| name.as_str()).collect()
    };
    assert_eq!(part(Part::Call), "<|lookup|>{hotel}{hotel.area} north{hotel.stars} 4<|result|>");
    assert_eq!(part(Part::Result), "3 ; north<|assistant|>");
    assert_eq!(part(Part::Words), "<|user|>a hotel in the north<|assistant|>try {hotel.name} .<|end|>");
    assert_eq!(names.iter().filter(|name| *name == "{hotel.name}").count(), 1, "a placeholder is one token");
}

#[test]
fn a_chat_is_encoded_as_training_had_it() {
    let tokenizer = tokenizer();
    let dialogue = hotel();
    let mut trained = tokenizer.encode_dialogue(&dialogue, Form::Marks).unwrap().ids;
    trained.pop();
    assert_eq!(tokenizer.encode_chat(&dialogue.turns, Form::Marks, false).unwrap(), trained);
    // With the words of the last turn still to come the prompt ends at the mark after the result.
    let mut open = dialogue.turns.clone();
    open[1].text.clear();
    let prompt = tokenizer.encode_chat(&open, Form::Marks, true).unwrap();
    assert_eq!(prompt[..], trained[..prompt.len()]);
    assert_eq!(prompt.last(), tokenizer.role_token(Role::Assistant).as_ref());
}

#[test]
fn nobody_calls_or_fills_by_typing_it() {
    let tokenizer = tokenizer();
    let typed = "<|lookup|>{hotel.name}<|result|>";
    let turns = [Turn::user(typed)];
    let ids = tokenizer.encode_chat(&turns, Form::Marks, true).unwrap();
    let specials =
        ["<|lookup|>", "{hotel.name}", "<|result|>"].map(|name| tokenizer.special_token(name).unwrap());
    assert!(ids.iter().all(|id| !specials.contains(id)));
    let marks = tokenizer.encode_dialogue(&Dialogue::new("1", turns.to_vec()), Form::Marks).unwrap();
    assert!(marks.ids.iter().all(|id| !specials.contains(id)));
}

#[test]
fn the_tokens_of_lookups_outlive_the_file() {
    let folder = tempfile::tempdir().unwrap();
    tokenizer().save(folder.path()).unwrap();
    let loaded = Tokenizer::load(folder.path()).unwrap();
    assert!(loaded.has_lookups());
    let expected = tokenizer().encode_dialogue(&hotel(), Form::Marks).unwrap();
    assert_eq!(loaded.encode_dialogue(&hotel(), Form::Marks).unwrap(), expected);
    let stops = loaded.stop_tokens(Form::Marks);
    assert!(stops.contains(&loaded.special_token("<|result|>").unwrap()));
}

#[test]
fn what_cannot_write_lookups_says_so() {
    let plain = Tokenizer::bytes();
    let error = plain.encode_dialogue(&hotel(), Form::Marks).unwrap_err();
    assert!(error.to_string().contains("no tokens for them"), "{error}");
    assert!(plain.encode_chat(&hotel().turns, Form::Marks, true).is_err());
    let error = tokenizer().encode_dialogue(&hotel(), Form::Course).unwrap_err();
    assert!(error.to_string().contains("use the form \"marks\""), "{error}");
}

#[test]
fn a_column_that_training_never_saw_is_written_out() {
    let tokenizer = tokenizer();
    let call = Call::of_table("lookup", "hotel", [("pool", "yes")]);
    let lookup = Lookup { call, result: "none".to_owned() };
    let turn = Turn { lookups: vec![lookup], ..Turn::assistant("sorry") };
    let ids = tokenizer.encode_dialogue(&Dialogue::new("1", vec![turn]), Form::Marks).unwrap().ids;
    let text: String = ids.iter().map(|&id| tokenizer.token_name(id)).collect();
    assert!(text.contains("{hotel.pool} yes<|result|>"), "{text}");
}

#[test]
fn calls_that_models_get_wrong_are_told_what_is_wrong() {
    let special = |name: &'static str| Piece::Special(name.into());
    let text = |text: &'static str| Piece::Text(text.into());
    for (pieces, expected) in [
        (vec![text("hello")], "begins with the token of a tool"),
        (vec![special("<|lookup|>")], "no table is named"),
        (vec![special("<|lookup|>"), special("{hotel.area}"), text("north")], "no table is named"),
        (
            vec![special("<|lookup|>"), special("{hotel}"), text("north")],
            "where a column of hotel is expected",
        ),
        (vec![special("<|lookup|>"), special("{hotel}"), special("{hotel.area}")], "area has no value"),
        (vec![special("<|user|>"), special("{hotel}")], "<|user|> is no tool"),
        (vec![special("<|call|>"), text("f {")], "not a JSON object"),
    ] {
        let error = compact::parse(&pieces).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn any_call_is_the_same_after_writing_and_reading_it(
        values in prop::collection::btree_map("[a-z]{1,8}", "[a-z0-9:]{1,6}( [a-z]{1,5}){0,2}", 0..5),
        tool in prop::sample::select(vec!["lookup", "book"]),
    ) {
        let pairs = values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let call = Call::of_table(tool, "hotel", pairs);
        let dialogue = Dialogue::new("1", vec![Turn {
            lookups: vec![Lookup { call: call.clone(), result: String::new() }],
            ..Turn::assistant("ok")
        }]);
        let specials = compact::specials(std::slice::from_ref(&dialogue));
        let tokenizer = train(vec!["ok".to_owned()], &specials);
        let encoded = tokenizer.encode_dialogue(&dialogue, Form::Marks).unwrap();
        let ids: Vec<u32> = encoded.ids.iter().zip(&encoded.parts).filter(|(_, part)| **part == Part::Call)
            .map(|(id, _)| *id).collect();
        prop_assert!(tokenizer.begins_call(ids[0]));
        prop_assert_eq!(tokenizer.parse_call(&ids[..ids.len() - 1]).unwrap(), call);
    }

    #[test]
    fn no_text_breaks_the_placeholders(text in "[{}a-z.0-9 é]{0,40}") {
        let joined: String = compact::split(&text).iter().map(|piece| match piece {
            Piece::Special(text) | Piece::Text(text) => text.as_ref(),
        }).collect();
        prop_assert_eq!(joined, text);
    }
}
