//! `/v1/completions`: the forms of a prompt, echo, log-probabilities.

use serde_json::{Value, json};

use crate::service::Service;

fn complete(service: &Service, body: Value) -> Value {
    let answer = service.post("/v1/completions", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_prompt_is_a_text_or_its_tokens_alone_or_in_lists() {
    let service = Service::new();
    let tokens = service.post("/tokenize", &json!({"content": "to be"})).json()["tokens"].clone();
    let one = complete(&service, json!({"prompt": "to be", "seed": 1}));
    assert_eq!((&one["object"], &one["choices"][0]["index"]), (&json!("text_completion"), &json!(0)));
    assert_eq!(one["usage"]["prompt_tokens"], 5);
    for same in [json!(["to be"]), tokens.clone(), json!([tokens])] {
        assert_eq!(complete(&service, json!({"prompt": same, "seed": 1}))["choices"], one["choices"]);
    }
    let two = complete(&service, json!({"prompt": ["to be", "or not"], "seed": 1, "n": 2}));
    let choices = two["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    assert_eq!(choices[0]["text"], one["choices"][0]["text"]);
    assert_eq!(choices[2]["index"], 2);
    assert_eq!(two["usage"]["prompt_tokens"], 11);
}

#[test]
fn an_empty_prompt_begins_a_text() {
    let service = Service::new();
    let body = complete(&service, json!({"prompt": "", "seed": 2}));
    assert_eq!(body["usage"]["prompt_tokens"], 1);
}

#[test]
fn an_echoed_prompt_stands_before_the_text_streamed_or_not() {
    let service = Service::new();
    let plain = complete(&service, json!({"prompt": "one, two", "seed": 3}));
    let body = json!({"prompt": "one, two", "seed": 3, "echo": true, "stream": true});
    let whole = complete(&service, json!({"prompt": "one, two", "seed": 3, "echo": true}));
    let text = format!("one, two{}", plain["choices"][0]["text"].as_str().unwrap());
    assert_eq!(whole["choices"][0]["text"], text.as_str());
    let chunks = service.post("/v1/completions", &body).chunks();
    let joined: String = chunks.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(joined, text);
}

#[test]
fn log_probabilities_are_lists_side_by_side() {
    let service = Service::new();
    let body = complete(&service, json!({"prompt": "abc", "seed": 3, "max_tokens": 5, "logprobs": 2}));
    let told = &body["choices"][0]["logprobs"];
    let tokens = body["usage"]["completion_tokens"].as_u64().unwrap() as usize;
    for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(told[list].as_array().unwrap().len(), tokens, "{list}");
    }
    assert_eq!(told["text_offset"][0], 0);
    assert!(told["top_logprobs"][0].as_object().unwrap().len() <= 2);
}

#[test]
fn a_text_has_sixteen_tokens_where_nobody_says_how_many() {
    let service = Service::new();
    let body = complete(&service, json!({"prompt": "abc", "seed": 3, "logit_bias": {"1": -100}}));
    assert_eq!(body["usage"]["completion_tokens"], 16);
}
