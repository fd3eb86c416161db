//! `/v1/chat/completions`: shapes, counts, accepted forms.

use serde_json::{Value, json};

use crate::service::{POSITIONS, Service};

fn hello(more: &Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": "Grüße 🚂"}], "seed": 7});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn said(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[test]
fn an_answer_has_every_field_that_clients_look_for() {
    let service = Service::new();
    let answer = service.chat(&hello(&json!({"max_tokens": 5, "logit_bias": {"1": -100}})));
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("tiny")));
    assert_eq!(body["created"], 1_700_000_000);
    let choice = &body["choices"][0];
    assert_eq!((&choice["index"], &choice["message"]["role"]), (&json!(0), &json!("assistant")));
    assert_eq!(choice["logprobs"], Value::Null);
    // An opening mark, a role's mark, eleven bytes of UTF-8 and the mark of the reply.
    let usage = &body["usage"];
    assert_eq!(usage["prompt_tokens"], 1 + 1 + "Grüße 🚂".len() + 1);
    let (prompt, reply) =
        (usage["prompt_tokens"].as_u64().unwrap(), usage["completion_tokens"].as_u64().unwrap());
    assert_eq!(usage["total_tokens"], prompt + reply);
    assert!(answer.header("x-request-id").is_some_and(|id| body["id"].as_str().unwrap().ends_with(id)));
}

#[test]
fn the_same_seed_says_the_same_and_no_seed_says_something_else() {
    let service = Service::new();
    let (first, second) = (service.chat(&hello(&json!({}))).json(), service.chat(&hello(&json!({}))).json());
    assert_eq!(first["choices"], second["choices"]);
    let free = |_| said(&service.chat(&hello(&json!({"seed": null}))).json()).to_owned();
    let free: Vec<String> = (0..4).map(free).collect();
    assert!(free.iter().any(|text| *text != free[0]), "{free:?}");
    let negative = service.chat(&hello(&json!({"seed": -1})));
    assert_eq!(negative.status, 200);
}

#[test]
fn several_replies_differ_and_the_first_is_what_one_alone_would_be() {
    let service = Service::new();
    let alone = service.chat(&hello(&json!({}))).json();
    let body = service.chat(&hello(&json!({"n": 3}))).json();
    let choices = body["choices"].as_array().unwrap();
    let indices: Vec<_> = choices.iter().map(|choice| choice["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2]);
    assert_eq!(choices[0], alone["choices"][0]);
    assert!(choices[1]["message"] != choices[0]["message"] || choices[2]["message"] != choices[0]["message"]);
    // The prompt is counted once.
    assert_eq!(body["usage"]["prompt_tokens"], alone["usage"]["prompt_tokens"]);
}

#[test]
fn content_may_be_text_parts_or_null_and_unknown_keys_of_messages_are_no_fault() {
    let service = Service::new();
    let plain = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "ab"},
    ]);
    let forms = json!([
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": null, "refusal": null, "audio": null},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]);
    let (plain, forms) = (
        service.chat(&hello(&json!({"messages": plain}))),
        service.chat(&hello(&json!({"messages": forms}))),
    );
    assert_eq!(plain.status, 200, "{}", plain.text());
    assert_eq!((plain.json()["choices"].clone(), forms.status), (forms.json()["choices"].clone(), 200));
}

#[test]
fn both_names_of_the_token_limit_are_read_and_the_reason_says_length() {
    let service = Service::new();
    for name in ["max_tokens", "max_completion_tokens"] {
        // The end and the marks forbidden, nothing but the limit ends it.
        let body = hello(&json!({name: 4, "logit_bias": {"1": -100, "258": -100, "259": -100, "260": -100}}));
        let answer = service.chat(&body).json();
        assert_eq!(answer["usage"]["completion_tokens"], 4, "{answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
    }
}

#[test]
fn a_stop_string_ends_the_text_and_is_no_part_of_it() {
    let service = Service::new();
    let free = |stop: Value| {
        let marks = json!({"1": -100, "258": -100, "259": -100, "260": -100});
        service.chat(&hello(&json!({"max_tokens": 40, "logit_bias": marks, "stop": stop}))).json()
    };
    let text = said(&free(Value::Null)).to_owned();
    // Two characters from the middle, so that the string spans tokens.
    let stop: String = text.chars().skip(3).take(2).collect();
    let before = &text[..text.find(&stop).unwrap()];
    for stop in [json!(stop), json!([stop]), json!(["never said", stop, "nor this"])] {
        let stopped = free(stop);
        assert_eq!(said(&stopped), before);
        assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn log_probabilities_come_for_each_token_with_the_likeliest_first() {
    let service = Service::new();
    let body = service.chat(&hello(&json!({"max_tokens": 6, "logprobs": true, "top_logprobs": 3}))).json();
    let content = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len() as u64, body["usage"]["completion_tokens"].as_u64().unwrap());
    for token in content {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        let log_probs: Vec<f64> = top.iter().map(|one| one["logprob"].as_f64().unwrap()).collect();
        assert!(log_probs.is_sorted_by(|a, b| a >= b) && log_probs[0] <= 0.0, "{token}");
        let bytes = token["bytes"].as_array().map_or(0, Vec::len);
        assert!(bytes == 1 || token["token"].as_str().unwrap().starts_with('<'), "{token}");
    }
}

#[test]
fn a_conversation_that_does_not_fit_is_refused_with_both_numbers() {
    let service = Service::new();
    let long = json!({"messages": [{"role": "user", "content": "x".repeat(POSITIONS)}]});
    let error = service.chat(&hello(&long)).error(400);
    assert_eq!((&error["code"], &error["param"]), (&json!("context_length_exceeded"), &json!("messages")));
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&POSITIONS.to_string()) && message.contains(&(POSITIONS + 3).to_string()),
        "{message}"
    );
}

#[test]
fn unknown_fields_are_listed_in_a_header_and_told_once() {
    let service = Service::new();
    let body = hello(&json!({"tempreature": 1, "user": "ann", "stream_options": null}));
    for _ in 0..2 {
        let answer = service.chat(&body);
        assert_eq!((answer.status, answer.header("x-ignored-fields")), (200, Some("tempreature")));
    }
    let told = service.happened.lock().unwrap();
    let told = told.iter().filter(|happening| {
        matches!(happening, reformer_server::Happening::UnknownField { field, .. } if field == "tempreature")
    });
    assert_eq!(told.count(), 1);
}

#[test]
fn the_next_turn_reads_only_what_is_new_and_a_seed_reads_all_of_it() {
    let service = Service::new();
    let first = json!([{"role": "user", "content": "a conversation that goes on"}]);
    let reply = service.chat(&hello(&json!({"messages": first, "seed": null, "max_tokens": 4}))).json();
    let prompt = reply["usage"]["prompt_tokens"].as_u64().unwrap();
    let next = json!([first[0], reply["choices"][0]["message"], {"role": "user", "content": "and on"}]);
    let cached = |seed: Value, cache: Value| {
        let more = json!({"messages": next, "seed": seed, "cache_prompt": cache, "max_tokens": 4});
        service.chat(&hello(&more)).json()["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(cached(json!(1), Value::Null), 0);
    assert_eq!(cached(Value::Null, json!(false)), 0);
    assert!(cached(Value::Null, Value::Null) >= prompt);
    assert!(cached(json!(1), json!(true)) >= prompt);
}
