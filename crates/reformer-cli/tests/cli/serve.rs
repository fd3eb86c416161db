//! `reformer serve` as a process: it listens, answers, logs, and ends when it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use crate::fixture::{assert_fails, folder, run, tiny};
use crate::tables::{grounded, text, trained};

/// A server that is killed if its test fails.
struct Serving {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Serving {
    /// Starts it on a free port and waits until it is ready.
    fn start(model: &str, args: &[&str], key: Option<&str>) -> Self {
        let program = assert_cmd::cargo::cargo_bin("reformer");
        let mut command = Command::new(program);
        command.args(["--threads", "1", "serve", model, "--port", "0"]).args(args).stderr(Stdio::piped());
        command.env_remove("REFORMER_API_KEY").envs(key.map(|key| ("REFORMER_API_KEY", key)));
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self { child, stderr, address: String::new() };
        let first = serving.line();
        let url = first.split("http://").nth(1).unwrap_or_else(|| panic!("{first}"));
        url.split([' ', '\x1b']).next().unwrap().clone_into(&mut serving.address);
        while !serving.line().contains("ready") {}
        serving
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "the server has gone");
        line
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(&self, path: &str, body: &str) -> String {
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Ends it as systemd does; its exit code and its last words.
    fn end(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut last = String::new();
        self.stderr.read_to_string(&mut last).unwrap();
        (self.child.wait().unwrap().code(), last)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_is_served_under_its_name_logged_and_ended_by_a_signal() {
    let serving = Serving::start(&tiny(), &["--max-tokens", "4"], None);
    let body =
        r#"{"model": "run", "messages": [{"role": "user", "content": "a hotel"}], "seed": 1, "tempo": 3}"#;
    let answer = serving.post("/v1/chat/completions", body);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"finish_reason\":"), "{answer}");
    assert!(answer.contains("x-ignored-fields: tempo"), "{answer}");
    let again = serving.post("/v1/chat/completions", body);
    let said = |answer: &str| answer.split("\"choices\":").nth(1).unwrap().to_owned();
    assert_eq!(said(&answer), said(&again));
    let rebound = serving.ask("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 401") && rebound.contains("evil.example"), "{rebound}");
    let page = serving.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(page.contains("<title>reformer</title>"), "{page}");
    serving.ask("GET /no%0Asuch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (code, last) = serving.end();
    assert_eq!(code, Some(0), "{last}");
    for words in [
        "POST /v1/chat/completions 200",
        "run: ",
        "\"tempo\", which means nothing here",
        "GET /no%0Asuch 404",
    ] {
        assert!(last.contains(words), "{words}: {last}");
    }
}

#[test]
fn a_key_of_the_variable_is_asked_for_and_never_logged() {
    let serving =
        Serving::start(&tiny(), &["--log", "json", "--name", "a/b", "--no-ui"], Some("sk-quite-secret"));
    let models = |key: &str| {
        serving.ask(&format!(
            "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
        ))
    };
    assert!(models("sk-quite-secres").starts_with("HTTP/1.1 401"));
    assert!(models("sk-quite-secret").contains("\"id\":\"a/b\""));
    assert!(
        serving.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 404")
    );
    let (code, last) = serving.end();
    assert_eq!(code, Some(0));
    assert!(last.contains("\"event\":\"answered\"") && last.contains("\"status\":401"), "{last}");
    assert!(!last.contains("secre"), "{last}");
}

#[test]
fn a_served_model_asks_the_tables_and_books_in_the_next_turn_of_a_client_that_sends_words_only() {
    let folder = folder();
    let (tables, ..) = grounded(folder.path());
    let model = trained(folder.path());
    let bookings = folder.path().join("bookings.sqlite");
    let serving =
        Serving::start(text(&model), &["--tables", text(&tables), "--bookings", text(&bookings)], None);
    let ask = |messages: &serde_json::Value| -> serde_json::Value {
        let body = serde_json::json!({"messages": messages, "temperature": 0, "max_tokens": 40}).to_string();
        let answer = serving.post("/v1/chat/completions", &body);
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    };
    let mut messages = serde_json::json!([{"role": "user", "content": "a hotel in the south ?"}]);
    let first = ask(&messages)["choices"][0]["message"].clone();
    let said = first["content"].as_str().unwrap();
    assert!(said.contains("there is the Moon in the south"), "{first}");
    let more = [("assistant", said), ("user", "book it for monday .")];
    let list = messages.as_array_mut().unwrap();
    list.extend(more.map(|(role, content)| serde_json::json!({"role": role, "content": content})));
    let second = ask(&messages)["choices"][0]["message"].clone();
    assert!(second["content"].as_str().unwrap().starts_with("booked"), "{second}");
    assert!(second["lookups"].to_string().contains("Moon"), "{second}");
    assert_eq!(serving.end().0, Some(0));

    // Tables that lie in the run's directory need no flag.
    for (from, to) in [("town.sqlite", "tables.sqlite"), ("town.schema.json", "tables.schema.json")] {
        fs::copy(folder.path().join(from), model.join(to)).unwrap();
    }
    let serving = Serving::start(text(&model), &[], None);
    let body = r#"{"messages": [{"role": "user", "content": "a hotel in the south ?"}], "temperature": 0}"#;
    let answer = serving.post("/v1/chat/completions", body);
    assert!(answer.contains("there is the Moon in the south"), "{answer}");
}

#[test]
fn what_cannot_be_served_is_told_before_a_port_is_open() {
    let folder = folder();
    let (model, none) = (tiny(), folder.path().join("none"));
    let (none, empty) = (none.to_str().unwrap(), folder.path().join("keys"));
    fs::write(&empty, "\n \n").unwrap();
    let serve = |args: &[&str]| run(&[&["serve", "--port", "0"], args].concat());
    assert_fails(&serve(&[none]), 2, &["no model at", none]);
    assert_fails(&serve(&[&model, &model]), 2, &["\"run\"", "--name"]);
    assert_fails(&serve(&[&model, "--name", "a", "--name", "b"]), 2, &["2 names for 1 models"]);
    assert_fails(
        &serve(&[&model, "--host", "0.0.0.0"]),
        2,
        &["--host 0.0.0.0", "--api-key-file", "--insecure"],
    );
    assert_fails(&serve(&[&model, "--host", "example.org"]), 2, &["127.0.0.1"]);
    assert_fails(&serve(&[&model, "--api-key", " "]), 2, &["empty"]);
    assert_fails(&serve(&[&model, "--api-key-file", empty.to_str().unwrap()]), 2, &["keys has no key in it"]);
    assert_fails(&serve(&[&model, "--api-key-file", none]), 2, &["cannot read the keys in", none]);
    assert_fails(
        &serve(&[&model, "--cors-origin", "chat.example/"]),
        2,
        &["\"chat.example/\"", "https://chat.example"],
    );
    assert_fails(&serve(&[&model, "--context", "slide"]), 2, &["--context slide"]);
    assert_fails(&serve(&[&model, "--top-p", "7"]), 2, &["top_p"]);
    assert_fails(&serve(&[&model, "--bookings", none]), 2, &["--bookings needs tables"]);
    assert_fails(&serve(&[&model, "--tables", none]), 1, &["cannot use the tables", none]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_fails(
        &run(&["serve", &model, "--port", &port]),
        1,
        &["cannot listen on 127.0.0.1", &port, "--port"],
    );
}
