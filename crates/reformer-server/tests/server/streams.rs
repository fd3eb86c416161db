//! Streams: chunk for chunk as OpenAI's, joined the same as the whole answer.

use reformer_server::{Ended, Happening};
use serde_json::{Value, json};

use crate::client::{Connection, request};
use crate::service::{Service, until};

fn body(more: &Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": "Grüße 🚂"}], "seed": 7});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_stream_opens_with_the_role_and_closes_with_the_reason_under_one_id() {
    let service = Service::new();
    let answer = service.chat(&body(&json!({"stream": true})));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let chunks = answer.chunks();
    for key in ["id", "created", "model", "object", "system_fingerprint"] {
        assert!(chunks.iter().all(|chunk| chunk[key] == chunks[0][key] && !chunk[key].is_null()), "{key}");
    }
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    let (first, last) = (&chunks[0]["choices"][0], &chunks[chunks.len() - 1]["choices"][0]);
    assert_eq!(first["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(last["delta"], json!({}));
    assert!(["stop", "length"].contains(&last["finish_reason"].as_str().unwrap()));
    for chunk in &chunks[..chunks.len() - 1] {
        assert_eq!(chunk["choices"][0].get("finish_reason"), Some(&Value::Null));
    }
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    let whole = service.chat(&body(&json!({}))).json();
    assert_eq!(whole["choices"][0]["message"]["content"], text.as_str());
}

#[test]
fn usage_comes_in_a_chunk_without_choices_if_it_is_asked_for() {
    let service = Service::new();
    let options = json!({"stream": true, "stream_options": {"include_usage": true}, "n": 2});
    let chunks = service.chat(&body(&options)).chunks();
    let (last, others) = chunks.split_last().unwrap();
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(last["choices"], json!([]));
    let whole = service.chat(&body(&json!({"n": 2}))).json();
    assert_eq!(last["usage"], whole["usage"]);
    // Each reply has its own opening and its own end.
    for index in 0..2 {
        let own = others.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
        let own: Vec<_> = own.collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        let text: String = own.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(whole["choices"][index]["message"]["content"], text.as_str());
    }
}

#[test]
fn log_probabilities_stream_with_their_tokens() {
    let service = Service::new();
    let asked = json!({"stream": true, "logprobs": true, "top_logprobs": 1, "max_tokens": 8});
    let chunks = service.chat(&body(&asked)).chunks();
    let streamed = chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array());
    let streamed: Vec<Value> = streamed.flatten().cloned().collect();
    let whole = service.chat(&body(&json!({"logprobs": true, "top_logprobs": 1, "max_tokens": 8}))).json();
    assert_eq!(Value::from(streamed), whole["choices"][0]["logprobs"]["content"]);
}

#[test]
fn everyone_gets_his_own_text_however_many_are_served() {
    let service = Service::new();
    let ask = |seed: usize| {
        body(
            &json!({"seed": seed, "stream": true, "max_tokens": 20, "messages": [{"role": "user", "content": "a".repeat(seed * 3)}]}),
        )
    };
    let alone: Vec<Vec<String>> = (0..8).map(|seed| texts(&service.chat(&ask(seed)).chunks())).collect();
    let service = &service;
    let together: Vec<Vec<String>> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..24).map(|i| scope.spawn(move || texts(&service.chat(&ask(i % 8)).chunks()))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (i, text) in together.iter().enumerate() {
        assert_eq!(text, &alone[i % 8]);
    }
}

fn texts(chunks: &[Value]) -> Vec<String> {
    let text = |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    chunks.iter().filter_map(text).collect()
}

/// A reply that nothing but its end of positions ends.
fn endless() -> Value {
    let marks = json!({"1": -100, "258": -100, "259": -100, "260": -100});
    body(&json!({"stream": true, "max_tokens": 100_000, "logit_bias": marks}))
}

#[test]
fn who_leaves_in_the_middle_is_served_no_further() {
    let service = Service::with(|setting| {
        // A reader who is gone must be noticed by his going, not by a full buffer.
        setting.engine.buffer = 100_000;
    });
    let mut connection = Connection::open(&service);
    connection.send(request("/v1/chat/completions", &endless().to_string()));
    assert_eq!(connection.head().status, 200);
    connection.piece();
    drop(connection);
    let left = |service: &Service| {
        let happened = service.happened.lock().unwrap();
        happened.iter().any(|happening| matches!(happening, Happening::Generated { ended: Ended::Left, .. }))
    };
    until(|| left(&service));
    until(|| service.metric("reformer_active_sequences") == 0.0);
    assert_eq!(service.metric("reformer_cancelled_total"), 1.0);
}

#[test]
fn who_leaves_before_a_whole_answer_is_served_no_further() {
    let service = Service::new();
    let mut connection = Connection::open(&service);
    let mut asked = endless();
    asked["stream"] = json!(false);
    asked["n"] = json!(4);
    connection.send(request("/v1/chat/completions", &asked.to_string()));
    until(|| service.metric("reformer_active_sequences") > 0.0);
    drop(connection);
    until(|| service.metric("reformer_cancelled_total") == 1.0);
    until(|| service.metric("reformer_active_sequences") == 0.0);
}
