//! Contracts of the corpus readers: every format, packed and not, and a clear error for everything else.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use reformer_text::{
    CorpusFormat, Dialogue, Role, Split, TextError, Turn, demo, parse_dialogues, read_corpora, read_corpus,
    read_dialogues, read_split, write_dialogues,
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Reads a file of that name and content, detecting its format.
fn read(name: &str, content: impl AsRef<[u8]>) -> Result<Vec<Dialogue>, TextError> {
    read_dialogues(&Folder::new().file(name, content), None)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const LINE: &str = r#"{"id":"S1","domains":["taxi"],"turns":[{"speaker":"user","text":"a taxi"},{"speaker":"system","text":"at 5"}],"state":{}}"#;
const MESSAGES: &str = r#"{"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":[{"type":"text","text":"a "},{"type":"text","text":"taxi"}]},{"role":"assistant","content":null}]}"#;
const WOZ: &str = r#"{
 "SNG1.json": {"goal": {"taxi": {"info": {}}, "hotel": {}, "message": ["x"], "topic": {"taxi": true}},
   "log": [{"text": "a taxi", "metadata": {}}, {"text": "at 5", "metadata": {"taxi": {}}}]},
 "MUL2.json": {"goal": {}, "log": [{"text": "hi"}]},
 "MUL3": {"log": [{"text": "bye"}]}
}"#;

const SGD: &str = r#"[{"dialogue_id":"1_0","services":["Restaurants_1"],"turns":[
  {"speaker":"USER","utterance":"a taxi","frames":[]},{"speaker":"SYSTEM","utterance":"at 5"}]}]"#;

fn taxi() -> Vec<Turn> {
    vec![Turn::user("a taxi"), Turn::assistant("at 5")]
}

#[test]
fn json_lines_read_plain_and_packed_whatever_their_name() {
    let content = format!("\n{LINE}\n\n{}\n", LINE.replace("S1", "S2"));
    let zst = zstd::encode_all(content.as_bytes(), 1).unwrap();
    let gz = gzip(content.as_bytes());
    for (name, bytes) in [
        ("c.jsonl", content.clone().into_bytes()),
        ("c.json", content.clone().into_bytes()),
        ("c.jsonl.gz", gz.clone()),
        ("c.jsonl", gz.clone()),
        ("c", gz),
        ("c.jsonl.zst", zst),
        ("c.zip", zip(&[("inner/c.jsonl", &content)])),
    ] {
        let dialogues = read(name, bytes).unwrap();
        assert_eq!(dialogues.len(), 2, "{name}");
        assert_eq!(dialogues[0].id, "S1");
        assert_eq!(dialogues[0].domains, ["taxi"]);
        assert_eq!(dialogues[0].turns, taxi(), "{name}");
    }
}

#[test]
fn a_line_without_an_id_is_named_after_file_and_line() {
    let line = r#"{"turns":[{"speaker":"customer","text":"x"}]}"#;
    let dialogues = read("train.jsonl", format!("\n{line}")).unwrap();
    assert_eq!(dialogues[0].id, "train-2");
}

#[test]
fn messages_read_with_parts_nulls_and_developers() {
    let dialogues = read("chat.jsonl", MESSAGES).unwrap();
    let expected = [Turn::system("be brief"), Turn::user("a taxi"), Turn::assistant("")];
    assert_eq!(dialogues[0].turns, expected);
}

#[test]
fn multiwoz_reads_from_json_with_the_user_first_and_domains_of_the_goal() {
    let dialogues = read("data.json", WOZ).unwrap();
    assert_eq!(dialogues.len(), 3);
    assert_eq!((dialogues[0].id.as_str(), &dialogues[0].turns), ("SNG1.json", &taxi()));
    assert_eq!(dialogues[0].domains, ["taxi"]);
    assert!(dialogues[2].domains.is_empty());
    // Without a telling name the content decides.
    assert_eq!(read("corpus", WOZ).unwrap(), dialogues);
}

#[test]
fn the_list_files_choose_the_split_in_a_zip_and_beside_a_file() {
    let folder = Folder::new();
    let entries = [
        ("MultiWOZ/ontology.json", "{}"),
        ("MultiWOZ/data.json", WOZ),
        ("MultiWOZ/valListFile.txt", "MUL2.json\r\n"),
        ("MultiWOZ/testListFile.json", "MUL3.json\n"),
        ("__MACOSX/MultiWOZ/data.json", "junk"),
    ];
    let archive = folder.file("woz.zip", zip(&entries));
    let data = folder.file("data.json", WOZ);
    folder.file("valListFile.txt", "MUL2\n");
    folder.file("testListFile.txt", "MUL3\n");
    for path in [archive, data] {
        for (split, id) in [(Split::Train, "SNG1.json"), (Split::Valid, "MUL2.json"), (Split::Test, "MUL3")] {
            let dialogues = read_split(&path, None, Some(split)).unwrap();
            assert_eq!(dialogues.len(), 1, "{split:?}");
            assert_eq!(dialogues[0].id, id);
        }
        assert_eq!(read_dialogues(&path, None).unwrap().len(), 3);
    }
    let alone = Folder::new();
    let path = alone.file("data.json", WOZ);
    let error = read_split(&path, None, Some(Split::Test)).unwrap_err();
    assert!(error.to_string().contains("testListFile.txt"), "{error}");
}

#[test]
fn a_script_is_dialogues_and_anything_else_is_a_document() {
    let script = "Person 1: a taxi\nperson 2: at 5\nor 6\n\n\nuser: hi\n";
    let dialogues = read("chat.txt", script).unwrap();
    assert_eq!(dialogues.len(), 2);
    assert_eq!(dialogues[0].turns, [Turn::user("a taxi"), Turn::assistant("at 5\nor 6")]);
    assert_eq!(dialogues[1].id, "chat.txt-2");
    let two_sides = read("chat.txt", "user: a\nsystem: b").unwrap();
    assert_eq!(two_sides[0].turns[1].role, Role::Assistant);
    let instruction = read("chat.txt", "system: a\nuser: b\nassistant: c").unwrap();
    assert_eq!(instruction[0].turns[0].role, Role::System);
    let book = "Chapter 1: It was.\n\n  The end.\n";
    let document = read("book.txt", book).unwrap();
    assert_eq!(document[0].turns, [Turn::assistant(book)]);
    assert_eq!(read("book", "\u{feff}No name").unwrap()[0].turns[0].text, "No name");
}

#[test]
fn what_is_written_reads_back_the_same() {
    let folder = Folder::new();
    let looked_up = demo::dialogues(5, 20);
    let path = folder.0.path().join("messages.jsonl");
    write_dialogues(&path, &looked_up, CorpusFormat::Messages).unwrap();
    let turns = |dialogues: &[Dialogue]| -> Vec<Vec<Turn>> {
        dialogues.iter().map(|dialogue| dialogue.turns.clone()).collect()
    };
    assert_eq!(turns(&read_dialogues(&path, None).unwrap()), turns(&looked_up));
    // The other forms have no place for lookups.
    let mut dialogues = looked_up;
    dialogues.iter_mut().flat_map(|dialogue| &mut dialogue.turns).for_each(|turn| turn.lookups.clear());
    dialogues[0].turns.insert(0, Turn::system("\"quoted\" \\ é 🦀\u{2028}"));
    dialogues[1].domains.clear();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let path = folder.0.path().join(name);
        write_dialogues(&path, &dialogues, CorpusFormat::Jsonl).unwrap();
        assert_eq!(read_dialogues(&path, None).unwrap(), dialogues, "{name}");
        let first = std::fs::read(&path).unwrap();
        write_dialogues(&path, &dialogues, CorpusFormat::Jsonl).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "{name}");
    }
    for format in [CorpusFormat::Messages, CorpusFormat::Text] {
        let path = folder.0.path().join("b");
        write_dialogues(&path, &dialogues, format).unwrap();
        let mut expected = turns(&dialogues);
        if format == CorpusFormat::Text {
            // White space is one space there.
            expected[0][0].text = "\"quoted\" \\ é 🦀".to_owned();
        }
        assert_eq!(turns(&read_dialogues(&path, None).unwrap()), expected, "{format:?}");
    }
    let path = folder.0.path().join("c.json");
    assert!(write_dialogues(&path, &dialogues, CorpusFormat::MultiWoz).is_err());
    let nowhere = folder.0.path().join("no/where.jsonl");
    let error = write_dialogues(&nowhere, &dialogues, CorpusFormat::Jsonl).unwrap_err();
    assert!(error.to_string().contains("cannot create"), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_of_the_writer() {
    for format in [CorpusFormat::Jsonl, CorpusFormat::Text] {
        let error = write_dialogues(Path::new("/dev/full"), &demo::dialogues(1, 1), format).unwrap_err();
        assert!(error.to_string().contains("cannot write /dev/full"), "{error}");
    }
}

/// Name of the file, its content, the format asked for, and what the message must say.
type Fault<'a> = (&'a str, Vec<u8>, Option<CorpusFormat>, &'a [&'a str]);

#[test]
fn every_malformed_input_is_an_error_that_says_where_and_what() {
    let mut cut = gzip(format!("{LINE}\n").repeat(500).as_bytes());
    cut.truncate(cut.len() / 2);
    let mut cut_zst = zstd::encode_all(LINE.repeat(50).as_bytes(), 1).unwrap();
    cut_zst.truncate(cut_zst.len() - 5);
    let mut cut_zip = zip(&[("data.json", WOZ)]);
    cut_zip.truncate(cut_zip.len() - 30);
    let broken_line = format!("{LINE}\n{{\"turns\": [\n");
    let text = |text: &str| text.as_bytes().to_vec();
    let woz = Some(CorpusFormat::MultiWoz);
    let cases: Vec<Fault> = vec![
        ("e.jsonl", vec![], None, &["e.jsonl is empty", "expected"]),
        ("e.json", text(" \n "), None, &["is empty"]),
        ("e.jsonl.gz", gzip(b""), None, &["is empty"]),
        (
            "u.jsonl",
            [text(LINE), text("\n{\""), vec![0xe9, b'"']].concat(),
            None,
            &["u.jsonl, line 2", "invalid UTF-8 at byte 124", "0xe9", "iconv"],
        ),
        (
            "b.jsonl",
            text(&broken_line),
            None,
            &["b.jsonl, line 2", "EOF while parsing", "column", "expected a JSON object"],
        ),
        ("b.jsonl", text("hello"), None, &["line 1", "expected value"]),
        ("m.jsonl", text("{\"turns\":[{\"speaker\":\"user\"}]}"), None, &["line 1", "missing field `text`"]),
        ("m.jsonl", text("{\"id\":\"x\"}"), None, &["line 1", "a JSON object with the keys id", "messages"]),
        ("m.jsonl", text("{\"id\":\"x\"}"), Some(CorpusFormat::Jsonl), &["line 1", "missing field `turns`"]),
        ("m.jsonl", text("{\"turns\":[]}"), None, &["no turns"]),
        (
            "m.jsonl",
            text("{\"turns\":[{\"speaker\":\"cat\",\"text\":\"\"}]}"),
            None,
            &["turn 1", "\"cat\"", "\"user\""],
        ),
        ("m.jsonl", text("{\"turns\":\"none\"}"), None, &["line 1", "expected a sequence"]),
        ("c.jsonl", text("{\"messages\":[]}"), None, &["no messages"]),
        (
            "c.jsonl",
            text("{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}"),
            None,
            &["message 1", "\"tool\""],
        ),
        (
            "c.jsonl",
            text("{\"messages\":[{\"role\":\"user\",\"content\":7}]}"),
            None,
            &["content must be a string"],
        ),
        (
            "c.jsonl",
            text("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}"),
            None,
            &["image_url"],
        ),
        ("c.jsonl", text(MESSAGES), Some(CorpusFormat::Jsonl), &["missing field `turns`"]),
        (
            "data.json",
            text("{\n\"S1\": {\"goal\": {},\n \"log\": [{\"txt\": \"\"}]}}"),
            None,
            &["line 3", "dialogue S1", "missing field `text`"],
        ),
        ("data.json", text("{\"S1\": {\"log\": []}}"), None, &["dialogue S1", "log is empty"]),
        ("data.json", text("{}"), None, &["without dialogues"]),
        ("l.jsonl", text("[1, 2]"), None, &["line 1", "integer `1`"]),
        ("l.jsonl", text("[[1]]"), None, &["line 1", "a JSON list"]),
        ("data.json", text("[1, 2]"), None, &["line 1", "an object with a dialogue under every id"]),
        ("data.json", text("{\"S1\": {\"log\": [{\"text\": \"a\"}"), None, &["EOF"]),
        ("lines.jsonl", text(LINE), woz, &["choose the format jsonl"]),
        ("t.jsonl.gz", cut, None, &["t.jsonl.gz", "truncated gzip"]),
        ("t.jsonl.zst", cut_zst, None, &["truncated zstd"]),
        ("t.zip", cut_zip, None, &["truncated zip"]),
        ("n.zip", zip(&[("a.txt", "a"), ("b.txt", "b")]), None, &["no data.json", "a.txt, b.txt"]),
        ("n.zip", zip(&[]), None, &["no data.json", "nothing"]),
        ("n.zip", zip(&[("x/data.json", "{")]), None, &["n.zip/x/data.json, line 1", "EOF"]),
    ];
    for (name, content, format, parts) in cases {
        let folder = Folder::new();
        let path = folder.file(name, &content);
        let error = read_dialogues(&path, format).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{name}: {part:?} is not in: {error}");
        }
    }
}

#[test]
fn a_folder_is_read_file_by_file_and_one_of_parts_is_refused() {
    let folder = Folder::new();
    let read = || read_corpus(folder.0.path(), None);
    let error = read().unwrap_err().to_string();
    assert!(error.contains("without a corpus") && error.contains("jsonl"), "{error}");
    std::fs::create_dir(folder.0.path().join("train")).unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("perhaps") && error.contains("train"), "{error}");
    folder.file("dialogues_002.json", SGD.replace("1_0", "2_0"));
    folder.file("dialogues_001.json.gz", gzip(SGD.as_bytes()));
    for name in ["schema.json", "README.md", "notes.pdf", ".hidden.json"] {
        folder.file(name, "[{}]");
    }
    let reading = read().unwrap();
    let ids: Vec<&str> = reading.dialogues.iter().map(|dialogue| dialogue.id.as_str()).collect();
    assert_eq!(ids, ["1_0", "2_0"]);
    assert_eq!(reading.files[1].1, CorpusFormat::Sgd);
    assert!(
        reading.notes.iter().any(|note| note.contains("README.md, notes.pdf, schema.json")),
        "{:?}",
        reading.notes
    );
    folder.file("text.txt", "Once upon a time.");
    let error = read().unwrap_err().to_string();
    assert!(error.contains("text.txt is plain text") && error.contains("dialogues_001"), "{error}");

    let parts = Folder::new();
    parts.file("train.jsonl", LINE);
    assert_eq!(read_dialogues(parts.0.path(), None).unwrap().len(), 1);
    parts.file("test.jsonl", LINE);
    let error = read_dialogues(parts.0.path(), None).unwrap_err().to_string();
    assert!(
        error.contains("test and train") && error.contains("perhaps") && error.contains("train.jsonl"),
        "{error}"
    );

    let woz = Folder::new();
    woz.file("data.json", WOZ);
    woz.file("hotel_db.json", "[]");
    assert_eq!(read_dialogues(woz.0.path(), None).unwrap().len(), 3);
    let error = read_dialogues(&woz.0.path().join("gone"), None).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("gone"), "{error}");
    let error = "woz".parse::<CorpusFormat>().unwrap_err().to_string();
    assert!(error.contains("multiwoz, sgd, jsonl"), "{error}");
}

#[test]
fn several_files_are_one_corpus_in_their_order() {
    let folder = Folder::new();
    let [a, b] =
        [("b.jsonl", "B"), ("a.jsonl", "A")].map(|(name, id)| folder.file(name, LINE.replace("S1", id)));
    let reading = read_corpora(&[a, b], None).unwrap();
    assert_eq!(reading.dialogues.iter().map(|d| d.id.as_str()).collect::<String>(), "BA");
    assert!(!reading.is_plain_text());
}

#[test]
#[cfg(unix)]
fn devices_and_pipes_are_no_corpus() {
    let error = read_dialogues(Path::new("/dev/zero"), None).unwrap_err().to_string();
    assert!(error.contains("/dev/zero") && error.contains("a device"), "{error}");
    let folder = Folder::new();
    let pipe = folder.0.path().join("p.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = read_dialogues(&pipe, None).unwrap_err().to_string();
    assert!(error.contains("p.jsonl") && error.contains("a pipe"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_reader_panic(
        name in prop::sample::select(vec!["a.jsonl", "a.json", "a.txt", "a.zip", "a"]),
        start in prop::sample::select(vec![&b""[..], b"{\"turns\":[", b"{\"messages\":[{", b"{\"a\":{\"log\":[", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"user: "]),
        rest in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = [start, &rest].concat();
        if let Ok(dialogues) = parse_dialogues(Path::new(name), bytes, None) {
            prop_assert!(!dialogues.is_empty());
            prop_assert!(dialogues.iter().all(|dialogue| !dialogue.turns.is_empty()));
        }
    }

    #[test]
    fn a_flipped_byte_in_a_zip_is_an_error_or_the_same_text(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = zip(&[("data.json", WOZ)]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(dialogues) = parse_dialogues(Path::new("a.zip"), bytes, None) {
            let whole = parse_dialogues(Path::new("data.json"), WOZ.into(), None).unwrap();
            prop_assert_eq!(dialogues, whole);
        }
    }
}
