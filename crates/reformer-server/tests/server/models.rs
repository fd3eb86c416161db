//! Which models there are, which one answers, and what else is told of them.

use reformer_text::Tokenizer;
use serde_json::json;

use crate::service::Service;

fn two() -> Service {
    Service::with(|setting| {
        setting.models =
            vec![("chatty", Tokenizer::bytes()), ("org/plain", Tokenizer::bytes_without_marks())];
    })
}

#[test]
fn models_are_listed_and_found_by_their_names() {
    let service = two();
    let list = service.get("/v1/models").json();
    assert_eq!(list["object"], "list");
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(names, ["chatty", "org/plain"]);
    assert_eq!(list["data"][0]["meta"]["n_ctx"], 512);
    for path in ["/v1/models/org/plain", "/v1/models/org%2Fplain"] {
        let one = service.get(path).json();
        assert_eq!((&one["id"], &one["meta"]["chat"]), (&json!("org/plain"), &json!(false)));
        assert_eq!((&one["object"], &one["created"]), (&json!("model"), &json!(1_600_000_000)));
    }
}

#[test]
fn the_model_that_is_named_answers_and_where_there_are_two_one_must_be_named() {
    let service = two();
    let ask = |model: &str| {
        service.post("/v1/completions", &json!({"model": model, "prompt": "a", "max_tokens": 2}))
    };
    assert_eq!(ask("org/plain").json()["model"], "org/plain");
    assert_eq!(ask("chatty").json()["model"], "chatty");
    let error = service.post("/v1/completions", &json!({"prompt": "a"})).error(400);
    assert_eq!(error["param"], "model");
    assert!(error["message"].as_str().unwrap().contains("chatty, org/plain"));
}

#[test]
fn a_model_of_texts_is_no_partner_and_says_where_to_go() {
    let service = two();
    let body = json!({"model": "org/plain", "messages": [{"role": "user", "content": "hi"}]});
    let error = service.chat(&body).error(400);
    assert!(error["param"] == "model" && error["message"].as_str().unwrap().contains("/v1/completions"));
}

#[test]
fn texts_become_tokens_and_tokens_texts() {
    let service = Service::new();
    let tokens = service.post("/tokenize", &json!({"content": "é!", "with_pieces": true})).json();
    assert_eq!(tokens["tokens"][0], json!({"id": 0xc3 + 2, "piece": "<0xc3>"}));
    let ids: Vec<_> = tokens["tokens"].as_array().unwrap().iter().map(|token| token["id"].clone()).collect();
    assert_eq!(service.post("/detokenize", &json!({"tokens": ids})).json(), json!({"content": "é!"}));
    assert_eq!(service.post("/tokenize", &json!({"content": ""})).json(), json!({"tokens": []}));
    let error = service.post("/detokenize", &json!({"tokens": [261]})).error(400);
    assert!(error["message"].as_str().unwrap().contains("0 to 260"));
}

#[test]
fn a_text_has_a_vector_of_length_one_as_numbers_or_as_their_bytes() {
    let service = Service::new();
    let embed = |body: serde_json::Value| service.post("/v1/embeddings", &body).json();
    let body = embed(json!({"input": ["the cat", "a dog"]}));
    assert_eq!((&body["object"], &body["usage"]["total_tokens"]), (&json!("list"), &json!(12)));
    let numbers = |index: usize| -> Vec<f64> {
        let list = body["data"][index]["embedding"].as_array().unwrap();
        list.iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let (first, second) = (numbers(0), numbers(1));
    assert_eq!(first.len(), 32);
    let length: f64 = first.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5 && first != second);
    let bytes = embed(json!({"input": "the cat", "encoding_format": "base64", "dimensions": 32}));
    let text = bytes["data"][0]["embedding"].as_str().unwrap();
    let raw = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    let read = raw.chunks(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap())));
    assert!(read.zip(&first).all(|(a, b)| (a - b).abs() < 1e-6));
    for (body, param) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [[]]}), "input"),
        (json!({"input": "a", "dimensions": 7}), "dimensions"),
        (json!({"input": "a", "encoding_format": "hex"}), "encoding_format"),
        (json!({"input": "x".repeat(600)}), "input"),
    ] {
        assert_eq!(service.post("/v1/embeddings", &body).error(400)["param"], param);
    }
}

#[test]
fn counters_tell_what_was_done() {
    let service = Service::new();
    let asked = json!({"prompt": "abc", "seed": 1, "max_tokens": 5, "logit_bias": {"1": -100}});
    for _ in 0..2 {
        assert_eq!(service.post("/v1/completions", &asked).status, 200);
    }
    service.get("/no/such/path");
    let text = service.get("/metrics").text();
    for line in [
        "reformer_requests_total{path=\"/v1/completions\",status=\"200\"} 2",
        "reformer_requests_total{path=\"other\",status=\"404\"} 1",
        "reformer_prompt_tokens_total{model=\"tiny\"} 6",
        "reformer_completion_tokens_total{model=\"tiny\"} 10",
        "reformer_active_sequences{model=\"tiny\"} 0",
        "reformer_queue_length{model=\"tiny\"} 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("reformer_prefill_seconds_total") && text.ends_with("# EOF\n"));
}

#[test]
fn the_document_names_every_route_and_every_status_that_a_route_gives() {
    let service = Service::new();
    let document = service.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    for path in
        ["/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/models/{id}", "/health", "/metrics"]
    {
        assert!(paths.contains_key(path), "{path}");
    }
    let chat = &paths["/v1/chat/completions"]["post"];
    for status in ["200", "400", "401", "404", "413", "415", "429", "500", "503"] {
        assert!(chat["responses"].get(status).is_some(), "{status}");
    }
    // Everything that is pointed to is there.
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for pointed in text.split("#/components/schemas/").skip(1) {
        let name = pointed.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[test]
fn the_page_runs_nothing_but_its_own_and_asks_nobody_else() {
    let service = Service::with(|setting| setting.options.keys = vec!["k".into()]);
    let (one, two) = (service.get("/"), service.get("/"));
    assert_eq!((one.status, one.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = one.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'nonce-") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_ne!(one.header("content-security-policy"), two.header("content-security-policy"));
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    let page = one.text();
    let tags = page.matches("<script").count() + page.matches("<style").count();
    assert_eq!((tags, page.matches(&format!("nonce=\"{nonce}\"")).count()), (2, 2));
    // Nothing is fetched from elsewhere, and no text becomes markup.
    for never in [
        "http://",
        "https://",
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        " style=",
        " onclick=",
    ] {
        assert!(!page.contains(never), "{never}");
    }
    let without = Service::with(|setting| setting.options.page = false);
    without.get("/").error(404);
}
