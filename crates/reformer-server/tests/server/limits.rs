//! Bounds on what a client may send, and on how slowly.

use std::time::Duration;

use serde_json::json;

use crate::client::{Connection, request};
use crate::service::{Service, until};

#[test]
fn a_body_beyond_the_limit_is_refused_whether_it_says_so_or_not() {
    let service = Service::with(|setting| setting.options.limits.body = 1000);
    let large = json!({"content": "x".repeat(2000)}).to_string();
    let error = service.raw(request("/tokenize", &large)).error(413);
    assert!(error["message"].as_str().unwrap().contains("1000 bytes"));
    // A length that is only announced is enough.
    let mut connection = Connection::open(&service);
    connection.send(
        "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
    );
    connection.answer().error(413);
    let mut connection = Connection::open(&service);
    connection.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
    connection.send(format!("Transfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n", "x".repeat(2000)));
    connection.answer().error(413);
}

#[test]
fn a_head_beyond_the_limit_ends_the_connection() {
    let service = Service::with(|setting| setting.options.limits.head = 8 << 10);
    for head in [
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000)),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000)),
        format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(600)),
    ] {
        let mut connection = Connection::open(&service);
        connection.send(head);
        let status = connection.head().status;
        assert!([431, 414].contains(&status), "{status}");
        assert!(connection.is_closed());
    }
    assert_eq!(service.get("/health").status, 200);
}

#[test]
fn what_is_no_http_is_answered_with_400_or_nothing() {
    let service = Service::new();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut connection = Connection::open(&service);
        connection.send(bytes);
        connection.finish_sending();
        let line = connection.line();
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 400"), "{line}");
    }
    assert_eq!(service.get("/health").status, 200);
}

#[test]
fn who_takes_too_long_for_a_head_or_a_body_is_let_go() {
    let service = Service::with(|setting| {
        setting.options.limits.head_time = Duration::from_millis(200);
        setting.options.limits.body_time = Duration::from_millis(200);
    });
    let mut silent = Connection::open(&service);
    let mut half = Connection::open(&service);
    half.send("GET /health HT");
    let mut slow = Connection::open(&service);
    slow.send(
        "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
    );
    let error = slow.answer().error(408);
    assert!(error["message"].as_str().unwrap().contains("did not arrive"));
    // hyper may say 408 before it closes.
    while !half.line().is_empty() {}
    assert!(silent.is_closed() && half.is_closed());
}

#[test]
fn a_connection_is_used_again_and_again() {
    let service = Service::new();
    let mut connection = Connection::open(&service);
    for _ in 0..3 {
        connection.send(request("/tokenize", "{\"content\": \"a\"}"));
        assert_eq!(connection.answer().json(), json!({"tokens": [99]}));
        connection.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
        connection.answer().error(404);
    }
}

#[test]
fn who_reads_nothing_is_given_up_and_his_connection_broken() {
    let service = Service::with(|setting| {
        setting.options.limits.unread_time = Duration::from_millis(300);
        setting.engine.patience = 0.3;
        setting.engine.buffer = 4;
    });
    let mut silent = Connection::open(&service);
    // More than sockets hold: log-probabilities of many replies.
    let marks = json!({"1": -100});
    let body = json!({"prompt": "a", "n": 64, "logprobs": 20, "max_tokens": 500, "stream": true, "logit_bias": marks});
    silent.send(request("/v1/completions", &body.to_string()));
    until(|| service.metric("reformer_active_sequences") > 0.0);
    // Others are served meanwhile, and in the end nothing is left of him.
    assert_eq!(service.post("/tokenize", &json!({"content": "a"})).status, 200);
    until(|| service.metric("reformer_cancelled_total") == 1.0);
    until(|| service.metric("reformer_active_sequences") == 0.0);
}

#[test]
fn connections_beyond_the_limit_wait_for_one_to_end() {
    let service = Service::with(|setting| setting.options.limits.connections = 2);
    let (first, second) = (Connection::open(&service), Connection::open(&service));
    let mut third = Connection::open(&service);
    third.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    drop(first);
    assert_eq!(third.answer().status, 200);
    drop(second);
}

#[test]
fn a_reply_that_takes_too_long_ends_with_what_there_is() {
    let service = Service::with(|setting| setting.options.limits.reply_time = Duration::ZERO);
    let answer = service.post("/v1/completions", &json!({"prompt": "a", "max_tokens": 400}));
    // The first token may or may not have come before the time was over.
    if answer.status == 200 {
        assert_eq!(answer.json()["choices"][0]["finish_reason"], "length");
        assert!(answer.json()["usage"]["completion_tokens"].as_u64().unwrap() <= 1);
    } else {
        assert_eq!(answer.error(503)["code"], "timeout");
    }
}
