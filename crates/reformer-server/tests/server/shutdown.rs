//! Before everything is there, and when it is to end.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::client::{Connection, request};
use crate::service::{Service, until};

/// Asks for more than sockets hold, so that it cannot end before it is read.
fn long() -> String {
    let body = json!({
        "prompt": "a", "n": 48, "logprobs": 20, "max_tokens": 500, "stream": true, "logit_bias": {"1": -100}, "seed": 1,
    });
    request("/v1/completions", &body.to_string())
}

/// Reads a stream to its end.
fn last_event(stream: &mut Connection) -> String {
    let mut last = Vec::new();
    loop {
        let piece = stream.piece();
        if piece.is_empty() {
            let text = String::from_utf8(last).unwrap();
            return text.trim_end().rsplit("data: ").next().unwrap().to_owned();
        }
        last = piece;
    }
}

#[test]
fn while_models_are_loading_health_and_requests_are_answered_with_503() {
    let service = Service::with(|setting| setting.ready = false);
    let error = service.get("/health").error(503);
    assert_eq!((&error["type"], &error["code"]), (&json!("unavailable_error"), &json!("loading")));
    let answer = service.chat(&json!({"messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!(answer.error(503)["code"], "loading");
    assert!(answer.header("retry-after").is_some());
    service.server.ready();
    assert_eq!(service.get("/health").json(), json!({"status": "ok"}));
}

#[test]
fn what_is_in_work_ends_by_itself_while_new_requests_are_told_that_it_is_over() {
    let mut service = Service::with(|setting| setting.options.limits.grace = Duration::from_mins(2));
    let mut stream = Connection::open(&service);
    stream.send(long());
    assert_eq!(stream.head().status, 200);
    service.stop();
    until(|| service.get("/health").status == 503);
    assert_eq!(service.chat(&json!({"messages": []})).error(503)["code"], "shutting_down");
    let last = last_event(&mut stream);
    assert_eq!(last, "[DONE]");
    service.join();
    assert!(TcpStream::connect(service.address).is_err());
}

#[test]
fn streams_that_do_not_end_in_time_end_with_an_error_event() {
    let mut service = Service::with(|setting| setting.options.limits.grace = Duration::ZERO);
    let mut stream = Connection::open(&service);
    stream.send(long());
    assert_eq!(stream.head().status, 200);
    service.stop();
    let last = last_event(&mut stream);
    let error: serde_json::Value = serde_json::from_str(&last).unwrap_or_else(|_| panic!("{last}"));
    assert_eq!(error["error"]["code"], "shutting_down");
    service.join();
}
