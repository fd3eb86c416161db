//! Clients that people have: curl, and OpenAI's own for Python where it is installed.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::service::{Service, until};

fn service() -> Service {
    Service::with(|setting| setting.options.keys = vec!["sk-key".into()])
}

/// Whether a program of the system answers.
fn is_there(program: &str, args: &[&str]) -> bool {
    let asked = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "a test that does nothing must say so")]
fn skip(what: &str) {
    eprintln!("skipped: {what} is not installed");
}

/// The Python that is asked: the one named by `REFORMER_PYTHON`, else the system's.
fn python() -> String {
    std::env::var("REFORMER_PYTHON").unwrap_or_else(|_| "python3".into())
}

#[test]
fn the_official_python_client_finds_everything_as_it_expects_it() {
    if !is_there(&python(), &["-c", "import openai"]) {
        return skip("the Python package openai (name a Python that has it in REFORMER_PYTHON)");
    }
    let service = service();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/openai_client.py");
    let url = format!("http://{}", service.address);
    let output = Command::new(python()).args([script, &url, "sk-key"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    // Who left in the middle is served no further.
    let left = |service: &Service| {
        use reformer_server::{Ended, Happening};
        let happened = service.happened.lock().unwrap();
        happened.iter().any(|one| matches!(one, Happening::Generated { ended: Ended::Left, .. }))
    };
    until(|| left(&service));
}

#[test]
fn curl_gets_answers_streams_and_refusals() {
    if !is_there("curl", &["--version"]) {
        return skip("curl");
    }
    let service = service();
    let curl = |path: &str, more: &[&str]| -> String {
        let url = format!("http://{}{path}", service.address);
        let key = ["-sS", "--max-time", "60", "-H", "Authorization: Bearer sk-key"];
        let output = Command::new("curl").args(key).args(more).arg(url).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json = ["-H", "Content-Type: application/json", "-d"];
    let hello = r#"{"messages": [{"role": "user", "content": "hi"}], "seed": 1}"#;
    let whole: Value =
        serde_json::from_str(&curl("/v1/chat/completions", &[&json[..], &[hello]].concat())).unwrap();
    assert_eq!(whole["object"], "chat.completion");
    let streaming = hello.replace("\"seed\"", "\"stream\": true, \"seed\"");
    let stream = curl("/v1/chat/completions", &[&["-N"], &json[..], &[&streaming]].concat());
    assert!(stream.starts_with("data: {") && stream.ends_with("data: [DONE]\n\n"), "{stream}");
    // curl's own content type is a form's.
    let refused: Value = serde_json::from_str(&curl("/v1/completions", &["-d", "{}"])).unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("application/json"));
}

#[test]
fn a_person_talks_stops_edits_keeps_and_looks_inside_on_the_page() {
    // Node finds playwright-core by NODE_PATH, where it is not beside this crate.
    let there = is_there("node", &["-e", "require('playwright-core')"])
        && is_there(
            &std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into()),
            &["--version"],
        );
    if !there {
        return skip("the Node package playwright-core (in NODE_PATH), or Chromium (in CHROMIUM)");
    }
    let service = Service::with(|setting| setting.options.inspect = true);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/page.js");
    let url = format!("http://{}/", service.address);
    let output = Command::new("node").args([script, &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
