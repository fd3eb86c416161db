//! Lookups: run by the server, or handed to the client.
//!
//! The model is untrained. Biases demand a call of four tokens one after another, since each, once said, is penalised
//! away, and then one word, a placeholder.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use reformer_generate::Host;
use reformer_server::Tables;
use reformer_text::lookups::compact;
use reformer_text::{Call, Dialogue, Lookup, Tokenizer, Turn};
use serde_json::{Value, json};

use crate::service::Service;

fn tokenizer() -> Tokenizer {
    let call = Call::of_table("lookup", "hotel", [("area", "north")]);
    let lookups = vec![Lookup { call, result: "3".into() }];
    let turns = vec![Turn::user("a hotel"), Turn { lookups, ..Turn::assistant("{hotel.name}") }];
    let corpus = [Dialogue::new("1", turns)];
    let (specials, texts) = (compact::specials(&corpus), compact::texts(&corpus));
    Tokenizer::train_bpe_until(texts, &specials, 300, &AtomicBool::new(false)).unwrap()
}

/// Remembers what it was asked, and in which conversations.
#[derive(Debug, Clone, Default)]
struct Desk {
    asked: Arc<Mutex<Vec<Call>>>,
    turns: Arc<Mutex<Vec<Vec<Turn>>>>,
}

impl Tables for Desk {
    fn host(&self, turns: &[Turn]) -> Box<dyn Host + Send> {
        self.turns.lock().unwrap().push(turns.to_vec());
        Box::new(self.clone())
    }
}

impl Host for Desk {
    fn answer(&mut self, call: &Call) -> Lookup {
        self.asked.lock().unwrap().push(call.clone());
        Lookup { call: call.clone(), result: "1 match".into() }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{hotel.name}", "Acorn")
    }

    fn follow(&mut self, _: &[Turn]) {}
}

fn service(desk: Option<Desk>) -> Service {
    Service::with(|setting| {
        setting.models = vec![("guide", tokenizer())];
        setting.tables = desk.map(|desk| Arc::new(desk) as Arc<dyn Tables>);
    })
}

/// A conversation whose next turn is a call of `lookup hotel`, and then one word.
fn body(messages: &Value, more: &Value) -> Value {
    let tokenizer = tokenizer();
    let demanded = [("<|lookup|>", 1000), ("{hotel}", 900), (compact::RESULT, 800), ("{hotel.name}", 700)];
    let bias: serde_json::Map<String, Value> = demanded
        .iter()
        .map(|(name, bias)| (tokenizer.special_token(name).unwrap().to_string(), json!(bias)))
        .collect();
    let mut body = json!({
        "messages": messages, "temperature": 0, "presence_penalty": 2000, "logit_bias": bias, "max_tokens": 1,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn hello() -> Value {
    json!([{"role": "user", "content": "a hotel"}])
}

#[test]
fn the_server_looks_up_fills_the_words_and_remembers_for_the_next_turn() {
    let desk = Desk::default();
    let service = service(Some(desk.clone()));
    let answer = service.chat(&body(&hello(), &json!({}))).json();
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], "Acorn", "{answer}");
    assert_eq!(message["lookups"][0]["result"], "1 match");
    assert_eq!(*desk.asked.lock().unwrap(), [Call::of_table("lookup", "hotel", [])]);
    // The call's tokens are counted.
    assert_eq!(answer["usage"]["completion_tokens"], 3);

    // The client sends back what it saw; the model goes on from what it wrote.
    let next =
        json!([hello()[0], {"role": "assistant", "content": "Acorn"}, {"role": "user", "content": "yes"}]);
    assert_eq!(service.chat(&body(&next, &json!({}))).status, 200);
    let turns = desk.turns.lock().unwrap();
    let restored = &turns.last().unwrap()[1];
    assert_eq!((restored.text.as_str(), restored.lookups.len()), ("{hotel.name}", 1));
}

#[test]
fn a_stream_tells_what_was_looked_up_before_the_words() {
    let service = service(Some(Desk::default()));
    let chunks = service.chat(&body(&hello(), &json!({"stream": true}))).chunks();
    let delta = |at: usize| &chunks[at]["choices"][0]["delta"];
    assert_eq!(delta(1)["lookups"][0]["call"]["tool"], "lookup", "{chunks:?}");
    assert_eq!(delta(2)["content"], "Acorn");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
}

#[test]
fn a_client_that_brings_functions_is_asked_to_run_the_call_and_goes_on_with_its_result() {
    // A client's functions come before the server's tables.
    for desk in [None, Some(Desk::default())] {
        let service = service(desk.clone());
        let tools =
            json!({"tools": [{"type": "function", "function": {"name": "lookup", "parameters": {}}}]});
        let answer = service.chat(&body(&hello(), &tools)).json();
        let choice = &answer["choices"][0];
        assert_eq!(
            (&choice["finish_reason"], &choice["message"]["content"]),
            (&json!("tool_calls"), &Value::Null)
        );
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("lookup")));
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"table": "hotel", "where": {}}));

        let streamed =
            service.chat(&body(&hello(), &json!({"tools": tools["tools"], "stream": true}))).chunks();
        let told = &streamed[1]["choices"][0]["delta"]["tool_calls"][0];
        assert_eq!((&told["index"], &told["function"]), (&json!(0), &call["function"]));
        assert_eq!(streamed.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");

        let next = json!([
            hello()[0],
            choice["message"],
            {"role": "tool", "tool_call_id": call["id"], "content": "1 match"},
        ]);
        let words = service.chat(&body(&next, &tools)).json();
        let expected = if desk.is_some() { "Acorn" } else { "{hotel.name}" };
        assert_eq!(words["choices"][0]["message"]["content"], expected, "{words}");
    }
}

#[test]
fn without_anybody_to_run_calls_the_model_speaks() {
    let service = service(None);
    let none =
        json!({"tools": [{"type": "function", "function": {"name": "lookup"}}], "tool_choice": "none"});
    let other = json!({"tools": [{"type": "function", "function": {"name": "weather"}}]});
    for more in [json!({}), json!({"tools": null}), none, other] {
        let answer = service.chat(&body(&hello(), &more)).json();
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "length", "{answer}");
        assert!(choice["message"].get("tool_calls").is_none() && choice["message"]["content"].is_string());
    }
}

#[test]
fn tools_that_cannot_be_are_refused_by_their_field() {
    let (guide, plain) = (service(Some(Desk::default())), Service::new());
    let tools = json!([{"type": "function", "function": {"name": "lookup"}}]);
    let cases = [
        (&guide, json!({"tools": tools, "tool_choice": "required"}), "tool_choice", "\"auto\""),
        (&guide, json!({"tools": [{"type": "web", "function": {"name": "x"}}]}), "tools", "\"web\""),
        (&guide, json!({"tools": [{"type": "function"}]}), "tools[0].function", "missing"),
        (&guide, json!({"n": 2}), "n", "looks things up"),
        (&plain, json!({"tools": tools}), "tools", "has not learned"),
    ];
    for (service, more, param, words) in cases {
        let mut body = json!({"messages": hello()});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = service.chat(&body).error(400);
        assert_eq!(error["param"], param);
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
}
