//! A look inside: only where it is allowed, and only at what is there.

use serde_json::json;

use crate::service::Service;

fn open() -> Service {
    Service::with(|setting| setting.options.inspect = true)
}

#[test]
fn buckets_and_weights_of_a_conversation_are_told_token_by_token() {
    let service = open();
    assert_eq!(service.get("/v1/models").json()["data"][0]["meta"]["inspect"], true);
    let messages = json!([{"role": "user", "content": "a hotel in the north"}]);
    let seen = service.post("/inspect", &json!({"messages": messages, "query": 4})).json();
    let tokens = seen["tokens"].as_array().unwrap().len();
    assert_eq!((tokens, &seen["tokens"][2]), (23, &json!("a")));
    assert_eq!(seen["layers"], json!(["local", "lsh"]));
    // Without a layer's number it is the first one that hashes.
    assert_eq!((&seen["layer"], &seen["heads"]), (&json!(1), &json!(2)));
    let buckets = seen["buckets"].as_array().unwrap();
    assert!(buckets.iter().all(|round| round.as_array().unwrap().len() == tokens));
    let weights: Vec<f64> =
        seen["weights"].as_array().unwrap().iter().map(|weight| weight.as_f64().unwrap()).collect();
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-4);
    assert!(weights[5..].iter().all(|&weight| weight == 0.0));
    let local = service.post("/inspect", &json!({"prompt": "a text", "layer": 0})).json();
    assert_eq!((&local["buckets"], &local["query"]), (&json!(null), &json!(5)));
}

#[test]
fn what_is_not_there_cannot_be_looked_at() {
    let service = open();
    for (body, param) in [
        (json!({"prompt": "a", "layer": 2}), "layer"),
        (json!({"prompt": "a", "head": 2}), "head"),
        (json!({"prompt": "a", "query": 1}), "query"),
        (json!({"prompt": "x".repeat(600)}), "prompt"),
    ] {
        assert_eq!(service.post("/inspect", &body).error(400)["param"], param);
    }
    service.post("/inspect", &json!({})).error(400);
    Service::new().post("/inspect", &json!({"prompt": "a"})).error(404);
}
