//! Everything that is refused: an error object with the status and the field's name.

use serde_json::{Value, json};

use crate::client::request;
use crate::service::Service;

#[test]
fn a_field_that_cannot_be_is_named_with_what_was_got_and_what_is_expected() {
    let service = Service::new();
    let hello = json!([{"role": "user", "content": "hi"}]);
    let cases: &[(Value, &str, &[&str])] = &[
        (json!({}), "messages", &["missing"]),
        (json!({"messages": []}), "messages", &["at least one"]),
        (json!({"messages": "hi"}), "messages", &["string \"hi\"", "a sequence"]),
        (json!({"messages": [{"content": "hi"}]}), "messages[0].role", &["missing"]),
        (json!({"messages": [{"role": "bot", "content": "hi"}]}), "messages", &["\"bot\"", "\"user\""]),
        (
            json!({"messages": [{"role": "user", "content": 5}]}),
            "messages[0].content",
            &["a list of text parts"],
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
            "messages",
            &["image_url", "expected \"text\""],
        ),
        (json!({"messages": [{"role": "tool", "content": "3"}]}), "messages", &["message 1"]),
        (json!({"messages": hello, "temperature": -1}), "temperature", &["-1", "between 0"]),
        (json!({"messages": hello, "temperature": "hot"}), "temperature", &["\"hot\"", "a number"]),
        (json!({"messages": hello, "top_p": 0}), "top_p", &["above 0"]),
        (json!({"messages": hello, "top_k": 1.5}), "top_k", &["1.5", "whole number"]),
        (json!({"messages": hello, "n": 0}), "n", &["at least 1"]),
        (json!({"messages": hello, "n": 1000}), "n", &["1000", "64"]),
        (json!({"messages": hello, "seed": "x"}), "seed", &["whole number"]),
        (json!({"messages": hello, "stop": [""]}), "stop", &["at least one character"]),
        (json!({"messages": hello, "stop": 7}), "stop", &["a string or a list of strings"]),
        (json!({"messages": hello, "stop": vec!["x"; 33]}), "stop", &["33", "32"]),
        (json!({"messages": hello, "logit_bias": {"999": 1}}), "logit_bias", &["999"]),
        (json!({"messages": hello, "logit_bias": {"a": 1}}), "logit_bias", &["a"]),
        (json!({"messages": hello, "top_logprobs": 3}), "top_logprobs", &["logprobs: true"]),
        (json!({"messages": hello, "logprobs": true, "top_logprobs": 21}), "top_logprobs", &["21", "20"]),
        (
            json!({"messages": hello, "stream_options": {"include_usage": true}}),
            "stream_options",
            &["stream: true"],
        ),
        (json!({"messages": hello, "stream": "yes"}), "stream", &["a boolean"]),
        (
            json!({"messages": hello, "response_format": {"type": "json_object"}}),
            "response_format",
            &["json_object"],
        ),
        (json!({"messages": hello, "audio": {"voice": "x"}}), "audio", &["not supported"]),
        (json!({"messages": hello, "functions": []}), "functions", &["tools"]),
    ];
    for (body, param, words) in cases {
        let error = service.chat(body).error(400);
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["param"].as_str().is_some_and(|own| own.starts_with(param)), "{body}: {error}");
        for word in *words {
            assert!(error["message"].as_str().unwrap().contains(word), "{body}: {error}");
        }
    }
    let neutral = json!({"messages": hello, "response_format": {"type": "text"}, "modalities": ["text"]});
    assert_eq!(service.chat(&neutral).status, 200);
}

#[test]
fn a_completion_that_cannot_be_is_refused_by_its_field() {
    let service = Service::new();
    let cases: &[(Value, &str, &str)] = &[
        (json!({}), "prompt", "missing"),
        (json!({"prompt": 3}), "prompt", "a string"),
        (json!({"prompt": []}), "prompt", "empty"),
        (json!({"prompt": [[]]}), "prompt", "empty"),
        (json!({"prompt": [1, "a"]}), "prompt", "one or the other"),
        (json!({"prompt": [100_000]}), "prompt", "100000"),
        (json!({"prompt": "a", "suffix": "b"}), "suffix", "not supported"),
        (json!({"prompt": "a", "best_of": 3}), "best_of", "not ranked"),
        (json!({"prompt": "a", "echo": true, "logprobs": 1}), "echo", "logprobs"),
        (json!({"prompt": "x".repeat(600)}), "prompt", "512"),
    ];
    for (body, param, word) in cases {
        let error = service.post("/v1/completions", body).error(400);
        assert!(error["param"].as_str().is_some_and(|own| own.starts_with(param)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let service = Service::new();
    let error = service.chat(&json!({"model": "gpt", "messages": []})).error(404);
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
    assert!(error["message"].as_str().unwrap().contains("tiny"));
    assert_eq!(service.get("/v1/models/gpt").error(404)["code"], "model_not_found");
    assert!(service.get("/v2/x").error(404)["message"].as_str().unwrap().contains("/v2/x"));
    let answer = service.get("/v1/chat/completions");
    assert!(answer.error(405)["message"].as_str().unwrap().contains("GET"));
    assert_eq!(answer.header("allow"), Some("POST"));
    service.raw("DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n").error(405);
}

#[test]
fn a_body_that_is_no_json_object_is_refused_in_words() {
    let service = Service::new();
    let post = |body: &[u8], kind: &str| {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {}\r\n\r\n",
            body.len()
        );
        service.raw([head.as_bytes(), body].concat())
    };
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let deep = "[".repeat(100_000);
    for body in
        [&b"{"[..], b"[]", b"null", b"", b"{\"messages\": \"\xff\xfe\"}", b"{\"a\":1}}", deep.as_bytes()]
    {
        post(body, json).error(400);
    }
    let nested = format!("{{\"messages\": {}1{}}}", "[".repeat(200), "]".repeat(200));
    post(nested.as_bytes(), json).error(400);
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let error = post(b"{}", kind).error(415);
        assert!(error["message"].as_str().unwrap().contains("application/json"));
    }
}

#[test]
fn a_key_is_asked_for_and_one_wrong_byte_is_a_wrong_key() {
    let service = Service::with(|setting| setting.options.keys = vec!["sk-first".into(), "sk-second".into()]);
    let with = |header: &str| service.raw(format!("GET /v1/models HTTP/1.1\r\nHost: x\r\n{header}\r\n"));
    for key in ["sk-first", "sk-second"] {
        assert_eq!(with(&format!("Authorization: Bearer {key}\r\n")).status, 200);
    }
    for header in [
        "",
        "Authorization: Bearer sk-firsu\r\n",
        "Authorization: Bearer sk-firs\r\n",
        "Authorization: Bearer sk-firstt\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: sk-first\r\n",
        "Authorization: Basic sk-first\r\n",
    ] {
        let answer = with(header);
        assert_eq!(answer.error(401)["code"], "invalid_api_key");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(service.get("/health").status, 200);
    service.get("/metrics").error(401);
    // Nothing that a client sent as a key is told to the log.
    assert!(!format!("{:?}", service.happened.lock().unwrap()).contains("sk-"));
}

#[test]
fn foreign_pages_may_call_only_if_they_are_named() {
    let preflight = "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-other\r\n\r\n";
    let closed = Service::new();
    assert!(closed.raw(preflight).header("access-control-allow-origin").is_none());
    let open = Service::with(|setting| {
        setting.options.cors_origins = vec!["https://a.example".into()];
        setting.options.keys = vec!["k".into()];
    });
    let answer = open.raw(preflight);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-other"));
    let other = open.raw(preflight.replace("a.example", "b.example"));
    assert!(other.header("access-control-allow-origin").is_none());
}

#[test]
fn a_request_for_more_tokens_than_the_server_makes_is_refused() {
    let service = Service::with(|setting| setting.options.limits.tokens = Some(10));
    let body = |n: usize| json!({"prompt": "a", "max_tokens": n});
    assert_eq!(service.post("/v1/completions", &body(10)).status, 200);
    let error = service.post("/v1/completions", &body(11)).error(400);
    assert!(error["param"] == "max_tokens" && error["message"].as_str().unwrap().contains("10 at most"));
}

#[test]
fn a_full_queue_is_told_with_when_to_ask_again() {
    let service = Service::with(|setting| (setting.engine.sequences, setting.engine.queue) = (1, 1));
    // Four replies at once do not fit in one place of work and one of waiting.
    let answer = service.post("/v1/completions", &json!({"prompt": "a", "n": 4, "max_tokens": 400}));
    let error = answer.error(429);
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_error"), &json!("queue_full")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    // What had been taken of it is given up, so that the next one is served.
    crate::service::until(|| service.metric("reformer_queue_length") == 0.0);
    assert_eq!(service.post("/v1/completions", &json!({"prompt": "a", "max_tokens": 3})).status, 200);
}

#[test]
fn a_body_may_come_in_pieces() {
    let service = Service::new();
    let whole = request("/tokenize", "{\"content\": \"ab\"}");
    assert_eq!(service.raw(&whole).json(), json!({"tokens": [99, 100]}));
    let pieces = "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\nb\r\n{\"content\":\r\n7\r\n \"ab\"}\n\r\n0\r\n\r\n";
    assert_eq!(service.raw(pieces).json(), json!({"tokens": [99, 100]}));
}

#[test]
fn a_page_that_gives_its_own_name_this_machines_address_gets_nothing_without_a_key() {
    let service = Service::with(|setting| setting.options.local_names = true);
    let call = |host: &str| {
        service.raw(format!("GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    let error = call("evil.example:8080").error(401);
    assert!(error["message"].as_str().unwrap().contains("not as \"evil.example\""), "{error}");
    assert_eq!(call("localhost:8080").status, 200);
    assert_eq!(call("127.0.0.1").status, 200);
}
