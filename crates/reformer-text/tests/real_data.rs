//! The readers on real corpora. Run by `cargo xtask ci --data`; the data folder is the one named by `REFORMER_DATA`, by
//! default a folder beside the workspace.

use std::path::PathBuf;

use reformer_text::{Form, Role, Split, Summary, Tokenizer, read_dialogues, read_split};

fn data(name: &str) -> PathBuf {
    let folder = std::env::var_os("REFORMER_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    folder.join(name)
}

#[test]
#[ignore = "needs multiwoz/ in the data folder"]
fn the_multiwoz_splits_have_the_dialogues_and_turns_of_their_description() {
    for (name, dialogues, turns) in [
        ("train.jsonl.gz", 8416, 105_353),
        ("valid.jsonl.gz", 1000, 13_742),
        ("test.jsonl.gz", 999, 13_737),
        ("train_cased.jsonl.gz", 2871, 27_792),
        ("valid_cased.jsonl.gz", 999, 14_730),
        ("test_cased.jsonl.gz", 1000, 14_744),
    ] {
        let path = data(&format!("multiwoz/{name}"));
        let corpus = read_dialogues(&path, None).unwrap();
        let summary = Summary::of(&corpus);
        assert_eq!((summary.dialogues, summary.turns), (dialogues, turns), "{name}");
        assert!(corpus.iter().all(|dialogue| dialogue.turns[0].role == Role::User));
        assert!(summary.domains["restaurant"] > 100);
    }
}

#[test]
#[ignore = "needs multiwoz/original/ in the data folder"]
fn the_distributions_zip_reads_with_its_splits() {
    let path = data("multiwoz/original/MultiWOZ_2.1_slice.zip");
    let summary = Summary::of(&read_dialogues(&path, None).unwrap());
    assert_eq!((summary.dialogues, summary.turns), (427, 3968));
    assert_eq!(summary.domains["restaurant"], 427);
    for (split, count) in [(Split::Train, 324), (Split::Valid, 47), (Split::Test, 56)] {
        let dialogues = read_split(&path, None, Some(split)).unwrap();
        assert_eq!(dialogues.len(), count, "{split:?}");
    }
}

#[test]
#[ignore = "needs multiwoz/original/ in the data folder"]
fn the_other_zips_read_without_a_data_json() {
    for (name, dialogues, turns) in [("val.json.zip", 999, 14_730), ("test.json.zip", 1000, 14_744)] {
        let path = data(&format!("multiwoz/original/{name}"));
        let corpus = read_dialogues(&path, None).unwrap();
        let summary = Summary::of(&corpus);
        assert_eq!((summary.dialogues, summary.turns), (dialogues, turns), "{name}");
        // The course's form, letter for letter.
        let text = Form::Course.render(&corpus[0].turns);
        assert!(text.starts_with(" Person 1: I "), "{text}");
        assert!(text.contains(" Person 2: "), "{text}");
    }
}

#[test]
#[ignore = "needs sgd/ and books/ in the data folder"]
fn schema_guided_dialogues_and_books_read() {
    let path = data("sgd/valid.jsonl.gz");
    assert_eq!(read_dialogues(&path, None).unwrap().len(), 2482);
    let path = data("books/tinyshakespeare.txt.gz");
    let book = read_dialogues(&path, None).unwrap();
    assert_eq!((book.len(), book[0].turns.len()), (1, 1));
    assert_eq!(book[0].text_bytes(), 1_115_394);
}

#[test]
#[ignore = "needs multiwoz/ in the data folder"]
fn bytes_of_a_real_split_come_back_from_their_ids() {
    let path = data("multiwoz/test.jsonl.gz");
    let tokenizer = Tokenizer::bytes();
    let (mut tokens, mut bytes) = (0, 0);
    for dialogue in read_dialogues(&path, None).unwrap() {
        let encoded = tokenizer.encode_dialogue(&dialogue, Form::Marks).unwrap();
        let text: String = dialogue.turns.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(tokenizer.decode(&encoded.ids), text);
        tokens += encoded.ids.len();
        bytes += encoded.text_bytes;
    }
    // A byte a token, a mark a turn, an end a dialogue.
    assert_eq!(tokens, bytes + 13_737 + 999);
}
