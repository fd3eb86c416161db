//! Damaged requests: a mutation fuzzer with a fixed seed. Whatever comes is answered or refused in words, never with a
//! fault of the server's own.

use crate::client::{Connection, request};
use crate::service::Service;

/// Bytes of good bodies changed, cut out, doubled, and pieces of one put into another.
fn damaged(good: &[&str], draw: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = good[draw(good.len())].as_bytes().to_vec();
    for _ in 0..=draw(3) {
        let at = draw(bytes.len());
        let piece = 1 + draw(20.min(bytes.len() - at));
        match draw(5) {
            0 => bytes[at] = draw(256) as u8,
            1 => bytes[at] = b"[]{}:,\"\\0-9e"[draw(12)],
            2 if piece < bytes.len() => drop(bytes.drain(at..at + piece)),
            3 => {
                let other = good[draw(good.len())].as_bytes();
                bytes.splice(at..at, other[..=draw(other.len())].iter().copied()).for_each(drop);
            }
            _ => bytes.splice(at..at, b"null,"[..=draw(5)].iter().copied()).for_each(drop),
        }
    }
    bytes
}

#[test]
fn a_damaged_request_is_answered_or_refused_and_never_a_fault_of_the_servers() {
    let service =
        Service::with(|setting| (setting.options.inspect, setting.options.limits.tokens) = (true, Some(8)));
    let good = [
        r#"{"model":"tiny","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}],"n":2,"max_tokens":4,"seed":-3,"stop":["a","bc"],"logit_bias":{"5":-1.5},"stream":false}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"é"}]},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"3"}],"temperature":0,"top_p":0.5,"logprobs":true,"top_logprobs":2,"max_tokens":3}"#,
        r#"{"prompt":["a",[5,6],"b"],"max_tokens":2,"echo":true,"best_of":1,"top_k":3,"min_p":0.1,"stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"input":"text","encoding_format":"base64","prompt":"text","layer":1,"head":0,"query":2,"content":"x","tokens":[1,2]}"#,
    ];
    let paths =
        ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/inspect", "/tokenize", "/detokenize"];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below.max(1)
    };
    let (mut answered, mut refused) = (0, 0);
    let mut connection = Connection::open(&service);
    for _ in 0..1500 {
        let path = paths[draw(paths.len())];
        let body = damaged(&good, &mut draw);
        let head = request(path, "").replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
        connection.send([head.as_bytes(), &body].concat());
        let answer = connection.answer();
        if answer.status == 200 {
            answered += 1;
        } else {
            assert!(
                [400, 404].contains(&answer.status),
                "{path} {}: {}",
                String::from_utf8_lossy(&body),
                answer.text()
            );
            answer.error(answer.status);
            refused += 1;
        }
    }
    assert!(answered > 50 && refused > 500, "{answered} answered, {refused} refused");
}
