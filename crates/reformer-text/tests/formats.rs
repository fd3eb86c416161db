//! Every form that people have their dialogues in, read to the same values; and every other file, refused by its name.

use std::path::Path;

use reformer_text::{CorpusFormat, Dialogue, Reading, Role, TextError, Turn, read_corpus};

fn reading(name: &str, content: impl AsRef<[u8]>) -> Result<Reading, TextError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    read_corpus(&path, None)
}

fn read(name: &str, content: impl AsRef<[u8]>) -> Vec<Dialogue> {
    reading(name, content).unwrap_or_else(|error| panic!("{name}: {error}")).dialogues
}

fn refused(name: &str, content: impl AsRef<[u8]>, words: &[&str]) {
    let error = reading(name, content).expect_err(name).to_string();
    for word in words.iter().copied().chain([name]) {
        assert!(error.contains(word), "{name}: {word:?} is not in: {error}");
    }
}

fn hello() -> Vec<Turn> {
    vec![Turn::user("hi"), Turn::assistant("hello")]
}

#[test]
fn every_form_of_dialogues_is_read_whatever_the_file_is_called() {
    let cases: [(&str, &str, CorpusFormat); 23] = [
        (
            "a.jsonl",
            r#"{"turns":[{"speaker":"USER","text":"hi"},{"speaker":"SYSTEM","text":"hello"}]}"#,
            CorpusFormat::Jsonl,
        ),
        (
            "a.txt",
            r#"{"messages":[{"role":"User","content":"hi"},{"role":"Assistant","content":"hello"}]}"#,
            CorpusFormat::Messages,
        ),
        (
            "a.json",
            "[{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},\n{\"role\":\"assistant\",\"content\":\"hello\"}]}]",
            CorpusFormat::Messages,
        ),
        (
            "a.json",
            "{\n \"messages\": [\n  {\"role\": \"user\", \"content\": \"hi\"},\n  {\"role\": \"assistant\", \"content\": \"hello\"}\n ]\n}\n",
            CorpusFormat::Messages,
        ),
        (
            "a.json",
            r#"[{"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"hello"}]}]"#,
            CorpusFormat::ShareGpt,
        ),
        (
            "a.jsonl",
            r#"{"conversation":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}"#,
            CorpusFormat::ShareGpt,
        ),
        ("a.json", r#"[{"instruction":"hi","input":"","output":"hello"}]"#, CorpusFormat::Alpaca),
        (
            "a.jsonl",
            r#"{"instruction":"hi","context":null,"response":"hello","category":"x"}"#,
            CorpusFormat::Alpaca,
        ),
        ("a.jsonl", r#"{"prompt":"hi","completion":"hello"}"#, CorpusFormat::Completion),
        ("a.jsonl", r#"{"question":"hi","answer":"hello"}"#, CorpusFormat::Completion),
        (
            "a.jsonl",
            r#"{"prompt":[{"role":"user","content":"hi"}],"completion":[{"role":"assistant","content":"hello"}]}"#,
            CorpusFormat::Completion,
        ),
        (
            "a.json",
            r#"[{"dialogue_id":"1","services":["hotel"],"turns":[{"speaker":"USER","turn_id":"0","utterance":"hi"},{"speaker":"SYSTEM","turn_id":"1","utterance":"hello"}]}]"#,
            CorpusFormat::Sgd,
        ),
        (
            "a.json",
            r#"{"S.json":{"goal":{},"log":[{"text":"hi"},{"text":"hello"}]}}"#,
            CorpusFormat::MultiWoz,
        ),
        ("a.csv", "id,user,assistant,stars\n1,hi,hello,5\n", CorpusFormat::Csv),
        ("a.csv", "Prompt;Completion\r\nhi;hello\r\n", CorpusFormat::Csv),
        ("a.tsv", "question\tanswer\nhi\thello\n", CorpusFormat::Csv),
        ("a.txt", "user\tassistant\nhi\thello\n", CorpusFormat::Csv),
        ("a.csv", "dialogue_id,speaker,text\n1,user,hi\n1,system,hello\n", CorpusFormat::Csv),
        ("a.txt", "User: hi\nBarista: hello\n", CorpusFormat::Text),
        ("a.txt", "Alice: hi\nBob: hello\n", CorpusFormat::Text),
        ("a.txt", "Customer: hi\rAgent: hello\r", CorpusFormat::Text),
        ("a", "a: hi\nb: hello", CorpusFormat::Text),
        ("a.md", "Person 1: hi\nPerson 2: hello", CorpusFormat::Text),
    ];
    for (name, content, format) in cases {
        let reading = reading(name, content).unwrap_or_else(|error| panic!("{content}: {error}"));
        assert_eq!(reading.files[0].1, format, "{content}");
        assert_eq!(reading.dialogues.len(), 1, "{content}");
        assert_eq!(reading.dialogues[0].turns, hello(), "{content}");
    }
}

#[test]
fn an_instruction_stands_with_its_input_after_its_system_and_history() {
    let line = r#"{"instruction":"Translate","input":"Guten Tag","output":"Good day","system":"Be brief","history":[["a","b"]]}"#;
    let expected = [
        Turn::system("Be brief"),
        Turn::user("a"),
        Turn::assistant("b"),
        Turn::user("Translate\nGuten Tag"),
        Turn::assistant("Good day"),
    ];
    assert_eq!(read("a.jsonl", line)[0].turns, expected);
    let table = "system,instruction,input,output\nBe brief,Translate,\"Guten\nTag\",Good day\n";
    let turns = &read("a.csv", table)[0].turns;
    assert_eq!((turns.len(), turns[1].text.as_str()), (3, "Translate\nGuten\nTag"));
}

#[test]
fn texts_are_documents_one_a_record_a_row_or_a_file() {
    for (name, content) in [
        ("a.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}"),
        ("a.json", "[{\"id\":7,\"content\":\"one\"},{\"id\":8,\"content\":\"two\"}]"),
        ("a.csv", "id,text\n1,one\n2,two\n"),
    ] {
        let reading = reading(name, content).unwrap();
        assert!(reading.is_plain_text(), "{name}");
        assert_eq!(reading.dialogues[1].turns, [Turn::assistant("two")]);
    }
    let shakespeare =
        "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n";
    let play = reading("a.txt", shakespeare).unwrap();
    assert!(play.is_plain_text() && play.notes.is_empty(), "{:?}", play.notes);
    assert_eq!(play.dialogues[0].turns[0].text, shakespeare);
    assert!(reading("a.txt", "Note: this is\na letter: to you.\n").unwrap().is_plain_text());
}

#[test]
fn who_speaks_in_a_script_is_decided_once() {
    let quiz = "user: which?\nA: red\nB: blue\nnote: take your time\nassistant: A: red\nsee http://x.y\n\nuser: bye\n";
    let dialogues = read("a.txt", quiz);
    assert_eq!(dialogues.len(), 2);
    let expected = [
        Turn::user("which?\nA: red\nB: blue\nnote: take your time"),
        Turn::assistant("A: red\nsee http://x.y"),
    ];
    assert_eq!(dialogues[0].turns, expected);
    let bar = "User: one latte\nBarista: milk?\nUser: yes\nManager: closing soon\nBarista: here\n\nUser: thanks\nBarista: bye\n";
    let reading = reading("a.txt", bar).unwrap();
    let roles: Vec<Role> = reading.dialogues[0].turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    assert!(
        reading.notes.iter().any(|note| note.contains("\"barista\" is the assistant")),
        "{:?}",
        reading.notes
    );
}

#[test]
fn ids_may_be_numbers_or_nothing_and_every_one_is_its_own() {
    let turns = r#""turns":[{"speaker":"user","text":"hi"}]"#;
    assert_eq!(read("a.jsonl", format!("{{\"id\":17,\"domains\":null,{turns}}}"))[0].id, "17");
    let null = read("a.jsonl", format!("{{\"id\":null,\"domains\":\"taxi\",\"score\":1e999,{turns}}}"));
    assert_eq!((null[0].id.as_str(), null[0].domains.len()), ("a-1", 1));
    refused(
        "d.jsonl",
        format!("{{\"id\":\"x\",{turns}}}\n{{\"id\":\"x\",{turns}}}"),
        &["line 2", "\"x\"", "on line 1"],
    );
    refused(
        "d.json",
        r#"{"A":{"log":[{"text":"a"}]},"A":{"log":[{"text":"b"}]}}"#,
        &["dialogue A", "a second one"],
    );
}

#[test]
fn a_weight_of_zero_is_obeyed_and_a_call_of_a_tool_is_no_empty_reply() {
    let line = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0},{"role":"assistant","content":"c","weight":1}]}"#;
    let learned: Vec<bool> = read("a.jsonl", line)[0].turns.iter().map(|turn| turn.learned).collect();
    assert_eq!(learned, [true, false, true]);
    refused("w.jsonl", line.replace("\"weight\":0", "\"weight\":0.5"), &["line 1", "0.5", "expected 0 or 1"]);
    let call = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}]}"#;
    match reading("t.jsonl", call) {
        Ok(reading) => assert_ne!(reading.dialogues[0].turns[1], Turn::assistant("")),
        Err(error) => assert!(error.to_string().contains("message 2"), "{error}"),
    }
}

#[test]
fn marks_of_byte_order_go_wherever_a_file_began() {
    let line = r#"{"turns":[{"speaker":"user","text":"hi"}]}"#;
    for joined in [format!("\u{feff}{line}\n\u{feff}{line}\n"), format!("\u{feff}{line}\u{feff}{line}")] {
        assert_eq!(read("a.jsonl", joined).len(), 2);
    }
    let script = "\u{feff}user: hi\nassistant: hello\n\n\u{feff}user: bye\n";
    assert_eq!(read("a.txt", script)[1].turns, [Turn::user("bye")]);
    let wide: Vec<u8> =
        "\u{feff}user: hi\nassistant: hello\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let reading = reading("a.txt", wide).unwrap();
    assert_eq!(reading.dialogues[0].turns, hello());
    assert!(reading.notes[0].contains("UTF-16"), "{:?}", reading.notes);
}

#[test]
fn halves_of_surrogate_pairs_are_replaced_and_counted() {
    let line = r#"{"turns":[{"speaker":"user","text":"hi \ud83d there \ud83d\ude00"}]}"#;
    let reading = reading("a.jsonl", line).unwrap();
    assert_eq!(reading.dialogues[0].turns[0].text, "hi \u{fffd} there 😀");
    assert!(reading.notes[0].contains("1 halves"), "{:?}", reading.notes);
}

#[test]
fn gzip_may_be_in_members_in_itself_and_filled_up_with_zeros() {
    use std::io::Write;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let line = b"{\"turns\":[{\"speaker\":\"user\",\"text\":\"hi\"}]}\n";
    let member = gzip(line);
    assert_eq!(read("a.gz", [&member[..], &member, &[0; 512]].concat()).len(), 2);
    assert_eq!(read("a.jsonl.gz.gz", gzip(&member)).len(), 1);
    refused("t.gz", [&member[..], b"junk"].concat(), &["4 bytes behind its end"]);
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    refused("a.tar.gz", gzip(&tar), &["a tar archive", "tar -xf a.tar.gz"]);
}

#[test]
fn files_of_other_kinds_are_refused_by_their_names() {
    refused("a.xz", b"\xfd7zXZ\0\0", &["xz", "xz -dk a.xz"]);
    refused("a.bz2", b"BZh91AY&SY\0", &["bzip2"]);
    refused("a.parquet", b"PAR1\0\x01", &["Parquet", "read_parquet(\"a.parquet\")"]);
    refused(
        "a.jsonl",
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        &["Git LFS pointer", "git lfs pull"],
    );
    refused("a.html", "\n<!DOCTYPE html><html><body>404</body></html>", &["an HTML page", "download"]);
    refused("a.txt", "<HTML>", &["an HTML page"]);
    refused("a.db", b"SQLite format 3\0", &["SQLite"]);
    refused("a.txt", "a\0b", &["zero byte at 1"]);
    refused("a.jsonl", "{\"id\":\"1\",\"score\":NaN,\"turns\":[]}", &["line 1", "NaN", "allow_nan"]);
    refused("a.jsonl", "{\"turns\":[]},\n", &["line 1", "a comma behind the object"]);
    refused("a.txt", "{\"a\": 1}\n{\"a\": 2}\n", &["the keys a", "--format text"]);
    refused("a.tsv", "hi\thello\n", &["no known column", "\"hi\\thello\"", "user and assistant"]);
    refused("a.csv", "user,assistant\nhi,hello\nhi\n", &["line 3", "fields"]);
    refused("a.csv", "user,assistant\n", &["no row"]);
}

#[test]
fn a_format_that_is_asked_for_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "{\"a\": 1}\n").unwrap();
    let text = read_corpus(&path, Some(CorpusFormat::Text)).unwrap();
    assert!(text.is_plain_text());
    assert_eq!(text.files[0].0, Path::new(&path));
}
