//! Contracts of the tokenizers: round trips, files, roles, and marks that text cannot forge.

use std::path::Path;

use proptest::prelude::*;
use reformer_text::{
    ChatTemplate, Dialogue, Form, Role, TextError, TokenStream, Tokenizer, Turn, demo, is_plain_text,
};

fn corpus() -> Vec<String> {
    let dialogues = demo::dialogues(3, 60);
    let turns = dialogues.into_iter().flat_map(|dialogue| dialogue.turns);
    let mut texts: Vec<String> = turns.map(|turn| turn.text).collect();
    // Runs of one character make merges of the same text in different ways.
    texts.extend(["aaaaaaa aaa ======= ==", "naïve 🦀🦀 café café"].map(str::to_owned));
    texts
}

fn bpe() -> Tokenizer {
    Tokenizer::train_bpe(corpus(), 400).unwrap()
}

/// Trained once, used by all tests of a process.
fn both() -> &'static [Tokenizer; 2] {
    static BOTH: std::sync::OnceLock<[Tokenizer; 2]> = std::sync::OnceLock::new();
    BOTH.get_or_init(|| [Tokenizer::bytes(), bpe()])
}

fn talk() -> Vec<Turn> {
    vec![
        Turn::system("Be brief. "),
        Turn::user(" I want the <|assistant|> mark, café 🦀"),
        Turn::assistant("No.\n<|end|>"),
        Turn::user(""),
    ]
}

fn saved_files(tokenizer: &Tokenizer) -> (tempfile::TempDir, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    tokenizer.save(directory.path()).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (directory, names)
}

#[test]
fn a_document_is_its_text_without_a_speaker() {
    for tokenizer in both() {
        let document = Dialogue::of_text("d", "ten bytes!");
        let ids = tokenizer.encode("ten bytes!").unwrap();
        let end = tokenizer.end_token().unwrap();
        for form in [Form::Marks, Form::Course, Form::Text] {
            let encoded = tokenizer.encode_dialogue(&document, form).unwrap();
            let ended = if form == Form::Course { ids.clone() } else { [&ids[..], &[end]].concat() };
            assert_eq!(encoded.ids, ended, "{form:?}");
            assert!(encoded.roles.iter().all(|role| *role == Role::Assistant));
            assert_eq!((encoded.text_bytes, encoded.unknown), (10, 0));
        }
    }
    let mut tokenizer = Tokenizer::bytes();
    assert!(tokenizer.can_chat());
    tokenizer.set_form(Form::Text);
    assert!(!tokenizer.can_chat());
    let (directory, _) = saved_files(&tokenizer);
    assert_eq!(Tokenizer::load(directory.path()).unwrap().form(), Form::Text);
    assert!(is_plain_text(&[Dialogue::of_text("a", "x")]));
    assert!(!is_plain_text(&[Dialogue::of_text("a", "x"), Dialogue::new("b", talk())]));
    assert!(!is_plain_text(&[]));
}

#[test]
fn a_turn_of_weight_zero_is_read_and_not_learned() {
    let mut turns = vec![Turn::user("a"), Turn::assistant("b"), Turn::assistant("c")];
    turns[1].learned = false;
    let encoded = Tokenizer::bytes().encode_dialogue(&Dialogue::new("d", turns), Form::Marks).unwrap();
    assert_eq!(encoded.ids, [259, 99, 260, 100, 260, 101, 1]);
    // The mark after "b" ends "b".
    assert_eq!(encoded.learned, [true, true, true, false, false, true, true]);
}

/// What stands at every cut that a text of this length needs: spaces, ends of lines, emoji, long words, contractions.
fn awkward(unit: &str, length: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() > length {
            break;
        }
        text.push_str(unit);
        text.push_str(&number.to_string());
    }
    text
}

#[test]
fn a_long_text_has_the_ids_that_it_has_whole() {
    let ours = &both()[1];
    let (folder, _) = saved_files(ours);
    let json = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    let whole = tokenizers::Tokenizer::from_bytes(json.as_bytes()).unwrap();
    for unit in [
        "I don't know, he'll say ",
        "  two  spaces\n\n\tand tabs ",
        "ACGT",
        "🦀é",
        "日本語。",
        "   ",
        "a.b,c;",
        "\n",
        " '",
        "naïve café — “quoted” ",
        "=====",
        "x\u{301}y ",
    ] {
        let text = awkward(unit, 36_000);
        let expected = whole.encode(text.as_str(), false).unwrap();
        assert!(ours.encode(&text).unwrap() == expected.get_ids(), "{unit:?}");
        // The ends of the tokens are right too: every token of the second turn is the assistant's.
        let turns = vec![Turn::user(text.clone()), Turn::assistant("b")];
        let course = ours.encode_dialogue(&Dialogue::new("d", turns), Form::Course).unwrap();
        let users = course.roles.iter().filter(|role| **role == Role::User).count();
        assert!(course.ids.len() - users <= 2 && users < course.ids.len(), "{unit:?}");
    }
}

#[test]
fn a_word_without_end_is_learned_and_encoded_in_pieces() {
    // Merging takes the square of a word's length: a genome must not be one word.
    let genome: String = (0..300_000_u32)
        .map(|i| ['A', 'C', 'G', 'T'][(i.wrapping_mul(2_654_435_761) >> 13) as usize % 4])
        .collect();
    let tokenizer = Tokenizer::train_bpe([&genome], 300).unwrap();
    assert_eq!(tokenizer.vocab_size(), 300);
    let ids = tokenizer.encode(&genome).unwrap();
    assert_eq!(tokenizer.decode(&ids), genome);
    assert!(ids.len() < genome.len() / 2);
}

#[test]
fn training_a_tokenizer_stops_when_it_is_asked_to() {
    let stop = std::sync::atomic::AtomicBool::new(true);
    let stopped = Tokenizer::train_bpe_until(corpus(), &[], 400, &stop).unwrap_err();
    assert!(matches!(stopped, TextError::Stopped), "{stopped}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back_whole_and_through_a_stream(text in "\\PC{0,40}|[a-z <|>usr🦀é\n\t]{0,40}") {
        for tokenizer in both() {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(&tokenizer.decode(&ids), &text);
            let mut stream = TokenStream::new();
            let mut streamed: String = ids.iter().map(|&id| stream.push(tokenizer, id)).collect();
            streamed.push_str(&stream.flush());
            prop_assert_eq!(&streamed, &text);
            prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        }
    }

    #[test]
    fn the_courses_form_is_its_text_and_marks_are_turns(
        texts in prop::collection::vec("[a-z 🦀é]{0,12}", 1..6)
    ) {
        let turns: Vec<Turn> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| if at % 2 == 0 { Turn::user(text) } else { Turn::assistant(text) })
            .collect();
        let dialogue = Dialogue::new("d", turns.clone());
        for tokenizer in both() {
            let course = tokenizer.encode_dialogue(&dialogue, Form::Course).unwrap();
            prop_assert_eq!(tokenizer.decode(&course.ids), Form::Course.render(&turns));
            prop_assert_eq!(course.ids.len(), course.roles.len());
            prop_assert_eq!(course.text_bytes, texts.iter().map(String::len).sum::<usize>());
            let marks = tokenizer.encode_dialogue(&dialogue, Form::Marks).unwrap();
            prop_assert_eq!(tokenizer.decode(&marks.ids), texts.concat());
            prop_assert_eq!(marks.ids.len(), marks.roles.len());
            // Each side's tokens spell what it said, and the course's form loses no byte either.
            for role in [Role::User, Role::Assistant] {
                let said: String =
                    turns.iter().filter(|t| t.role == role).map(|t| t.text.as_str()).collect();
                let own: Vec<u32> = std::iter::zip(&marks.ids, &marks.roles)
                    .filter(|(_, r)| **r == role)
                    .map(|(&id, _)| id)
                    .collect();
                prop_assert_eq!(tokenizer.decode(&own), said);
            }
        }
    }
}

#[test]
fn byte_ids_are_those_of_reformer_enwik8_and_marks_stand_behind() {
    let tokenizer = Tokenizer::bytes();
    assert_eq!(tokenizer.encode("A\u{0}é").unwrap(), [67, 2, 197, 171]);
    let marks = Role::ALL.map(|role| tokenizer.role_token(role));
    assert_eq!(marks, [Some(258), Some(259), Some(260)]);
    assert_eq!(tokenizer.vocab_size(), 261);
    assert_eq!((tokenizer.pad_token(), tokenizer.end_token()), (0, Some(1)));
    assert_eq!(tokenizer.decode(&[67, 0, 1, 258, 68, 9999]), "AB");
    assert_eq!(tokenizer.token_name(259), "<|user|>");
    assert_eq!(tokenizer.token_name(197), "<0xc3>");
}

#[test]
fn a_trained_bpe_has_its_special_tokens_first_and_every_byte() {
    let tokenizer = &both()[1];
    assert_eq!(tokenizer.vocab_size(), 400);
    assert_eq!(tokenizer.kind(), "BPE");
    assert_eq!((tokenizer.pad_token(), tokenizer.end_token()), (0, Some(1)));
    let marks = Role::ALL.map(|role| tokenizer.role_token(role));
    assert_eq!(marks, [Some(2), Some(3), Some(4)]);
    let mut single: Vec<u8> = (5..261).flat_map(|id| tokenizer.token_bytes(id)).collect();
    single.sort_unstable();
    assert_eq!(single, (0..=255).collect::<Vec<u8>>());
    let text = "Would you like to book a table?";
    assert!(tokenizer.encode(text).unwrap().len() < text.len() / 2);
}

#[test]
fn the_same_corpus_gives_the_same_tokenizer_file() {
    let read = |tokenizer: &Tokenizer| {
        let (directory, names) = saved_files(tokenizer);
        assert_eq!(names, ["tokenizer.json", "tokenizer_config.json"]);
        std::fs::read_to_string(directory.path().join("tokenizer.json")).unwrap()
    };
    let first = read(&bpe());
    for _ in 0..3 {
        assert_eq!(first, read(&bpe()));
    }
}

#[test]
fn a_tokenizer_that_reads_lower_case_takes_capitals_for_small_letters_also_when_it_is_loaded() {
    let lower = bpe().reading_lower_case().unwrap();
    let (folder, _) = saved_files(&lower);
    for tokenizer in [&lower, &Tokenizer::load(folder.path()).unwrap()] {
        let shouted = tokenizer.encode("The RED lion, ÉCLAIR").unwrap();
        assert_eq!(shouted, bpe().encode("the red lion, éclair").unwrap());
        assert_eq!(tokenizer.decode(&shouted), "the red lion, éclair");
    }
    let bytes = Tokenizer::bytes().reading_lower_case().unwrap_err();
    assert!(bytes.to_string().contains("no tokenizer.json"), "{bytes}");
}

#[test]
fn a_vocabulary_without_room_for_the_bytes_and_an_empty_corpus_are_refused() {
    let small = Tokenizer::train_bpe(["abc"], 260).unwrap_err();
    assert!(small.to_string().contains("at least 261"), "{small}");
    let nothing = Tokenizer::train_bpe(["", ""], 300).unwrap_err();
    assert!(matches!(nothing, TextError::NothingToTrainOn));
    // No pair occurs twice: the vocabulary stays smaller than asked for.
    assert_eq!(Tokenizer::train_bpe(["abc"], 300).unwrap().vocab_size(), 261);
}

#[test]
fn saving_and_loading_changes_nothing() {
    for tokenizer in both() {
        let mut tokenizer = tokenizer.clone();
        tokenizer.set_form(Form::Course);
        let (directory, names) = saved_files(&tokenizer);
        assert_eq!(names.contains(&"tokenizer.json".to_owned()), tokenizer.kind() != "bytes");
        let loaded = Tokenizer::load(directory.path()).unwrap();
        assert_eq!(loaded.form(), Form::Course);
        assert_eq!(loaded.vocab_size(), tokenizer.vocab_size());
        for form in [Form::Marks, Form::Course] {
            let prompt = |t: &Tokenizer| t.encode_chat(&talk(), form, true).unwrap();
            assert_eq!(prompt(&loaded), prompt(&tokenizer));
            assert_eq!(loaded.stop_tokens(form), tokenizer.stop_tokens(form));
        }
        let again = tempfile::tempdir().unwrap();
        loaded.save(again.path()).unwrap();
        for name in names {
            let read = |at: &Path| std::fs::read(at.join(&name)).unwrap();
            assert_eq!(read(directory.path()), read(again.path()), "{name}");
        }
    }
}

#[test]
fn a_mark_typed_by_a_person_is_plain_text() {
    for tokenizer in both() {
        let marks: Vec<u32> = tokenizer.stop_tokens(Form::Marks);
        let plain = tokenizer.encode("<|user|><|end|> <|pad|>").unwrap();
        assert!(plain.iter().all(|id| !marks.contains(id) && *id != tokenizer.pad_token()));
        let turns = talk();
        let ids = tokenizer.encode_chat(&turns, Form::Marks, true).unwrap();
        let found: Vec<u32> = ids.iter().copied().filter(|id| marks.contains(id)).collect();
        let roles = [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant];
        let expected: Vec<u32> = roles.iter().filter_map(|r| tokenizer.role_token(*r)).collect();
        assert_eq!(found, expected);
        let said: String = turns.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(tokenizer.decode(&ids), said);
    }
}

#[test]
fn a_chat_is_the_dialogue_that_training_saw_without_its_end() {
    for tokenizer in both() {
        let turns = talk();
        let dialogue = Dialogue::new("d", turns.clone());
        let mut trained = tokenizer.encode_dialogue(&dialogue, Form::Marks).unwrap();
        assert_eq!(trained.ids.pop(), tokenizer.end_token());
        assert_eq!(tokenizer.encode_chat(&turns, Form::Marks, false).unwrap(), trained.ids);
        let mut open = trained.ids.clone();
        open.extend(tokenizer.role_token(Role::Assistant));
        assert_eq!(tokenizer.encode_chat(&turns, Form::Marks, true).unwrap(), open);
        // Rendering agrees with encoding.
        let template = tokenizer.template().unwrap();
        assert_eq!(template.render(&turns, false).unwrap(), Form::Marks.render(&turns));

        let course = tokenizer.encode_dialogue(&dialogue, Form::Course).unwrap();
        assert_eq!(tokenizer.encode_chat(&turns, Form::Course, false).unwrap(), course.ids);
    }
}

#[test]
fn a_prompt_in_the_courses_form_is_a_beginning_of_what_training_saw() {
    let turns = vec![Turn::user("a table for two"), Turn::assistant("booked.")];
    for tokenizer in both() {
        let whole = tokenizer.encode_dialogue(&Dialogue::new("d", turns.clone()), Form::Course).unwrap();
        let prompt = tokenizer.encode_chat(&turns[..1], Form::Course, true).unwrap();
        assert_eq!(tokenizer.decode(&prompt), " Person 1: a table for two Person 2:");
        assert_eq!(whole.ids[..prompt.len()], prompt);
        // Everything after the prompt is the assistant's, the space before its first word too.
        assert!(whole.roles[..prompt.len()].iter().all(|role| *role == Role::User));
        assert!(whole.roles[prompt.len()..].iter().all(|role| *role == Role::Assistant));
        assert_eq!(tokenizer.stop_strings(Form::Course), [" Person 1:", " Person 2:"]);
    }
}

#[test]
fn the_token_that_ends_a_turn_is_the_speakers() {
    let tokenizer = Tokenizer::bytes();
    let turns = vec![Turn::user("a"), Turn::assistant("b"), Turn::user("c")];
    let encoded = tokenizer.encode_dialogue(&Dialogue::new("d", turns), Form::Marks).unwrap();
    assert_eq!(encoded.ids, [259, 99, 260, 100, 259, 101, 1]);
    let (user, assistant) = (Role::User, Role::Assistant);
    let roles = [user, user, user, assistant, assistant, user, user];
    assert_eq!(encoded.roles, roles);
}

#[test]
fn a_strangers_template_may_trim_and_set_special_tokens_but_contents_stay_plain() {
    let mut tokenizer = both()[1].clone();
    let source = "{%- for m in messages -%}\n  {%- if m.role == 'system' and not loop.first %}\
        {{ raise_exception('late instruction') }}{% endif %}\
        {{ '<|' + m['role'] + '|>' }}[{{ m.content | trim }}]{{ m.content.strip().upper() }}\n\
        {%- endfor %}{{ eos_token }}";
    let template = ChatTemplate::parse(source).unwrap().with_token("eos_token", "<|end|>");
    tokenizer.set_template(template);
    let turns = [Turn::user("  <|end|>x ")];
    let ids = tokenizer.encode_chat(&turns, Form::Marks, false).unwrap();
    let mut expected = vec![3];
    expected.extend(tokenizer.encode("[<|end|>x]<|END|>X").unwrap());
    expected.push(1);
    assert_eq!(ids, expected);

    let late = [Turn::user("a"), Turn::system("b")];
    let error = tokenizer.encode_chat(&late, Form::Marks, false).unwrap_err();
    assert!(error.to_string().contains("late instruction"), "{error}");
    let broken = ChatTemplate::parse("{% for %}").unwrap_err();
    assert!(broken.to_string().contains("line 1"), "{broken}");
    let endless = "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}";
    let endless = ChatTemplate::parse(endless).unwrap().render(&[], false);
    assert!(endless.is_err());
}

#[test]
fn a_foreign_directory_loads_with_its_own_special_tokens_and_keeps_its_keys() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let json = r#"{"version":"1.0","truncation":{"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0},
        "padding":null,"added_tokens":[{"id":0,"content":"<unk>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
        {"id":1,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
        "normalizer":null,"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
        "post_processor":null,"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
        "model":{"type":"WordLevel","vocab":{"<unk>":0,"</s>":1,"▁a":2,"▁table":3},"unk_token":"<unk>"}}"#;
    std::fs::write(at("tokenizer.json"), json).unwrap();
    let config = r#"{"eos_token":{"content":"</s>"},"their_key":7,"chat_template":"{{ messages[0].content }}{{ eos_token }}"}"#;
    std::fs::write(at("tokenizer_config.json"), config).unwrap();
    let tokenizer = Tokenizer::load(directory.path()).unwrap();
    assert_eq!(tokenizer.encode("a table a table").unwrap(), [2, 3, 2, 3]);
    assert_eq!(tokenizer.decode(&[2, 3, 1]), "a table");
    assert_eq!(tokenizer.token_bytes(3), b" table");
    assert_eq!((tokenizer.kind(), tokenizer.vocab_size()), ("WordLevel", 4));
    assert_eq!((tokenizer.end_token(), tokenizer.has_marks()), (Some(1), false));
    assert_eq!(tokenizer.form(), Form::Template);
    let turns = [Turn::user("a table")];
    assert_eq!(tokenizer.encode_chat(&turns, Form::Marks, true).unwrap(), [2, 3, 1]);
    let error = tokenizer.encode_dialogue(&Dialogue::new("d", turns.to_vec()), Form::Marks).unwrap_err();
    assert!(error.to_string().contains("<|system|>"), "{error}");
    let (saved, _) = saved_files(&tokenizer);
    let written = std::fs::read_to_string(saved.path().join("tokenizer_config.json")).unwrap();
    assert!(written.contains("\"their_key\": 7"), "{written}");
    assert_eq!(std::fs::read_to_string(saved.path().join("tokenizer.json")).unwrap(), json);
}

#[test]
fn directories_without_a_tokenizer_are_bytes_only_where_the_vocabulary_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.json");
    std::fs::write(&config, r#"{"model_type":"reformer","vocab_size":258}"#).unwrap();
    let tokenizer = Tokenizer::load(directory.path()).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.has_marks()), (258, false));
    let (saved, _) = saved_files(&tokenizer);
    assert_eq!(Tokenizer::load(saved.path()).unwrap().vocab_size(), 258);

    std::fs::write(&config, r#"{"vocab_size":320}"#).unwrap();
    std::fs::write(directory.path().join("spiece.model"), [0]).unwrap();
    let error = Tokenizer::load(directory.path()).unwrap_err();
    assert!(error.to_string().contains("spiece.model"), "{error}");
}

#[test]
fn broken_tokenizer_files_are_errors_that_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let load = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = Tokenizer::load(directory.path()).unwrap_err().to_string();
        std::fs::remove_file(path).unwrap();
        error
    };
    let missing = Tokenizer::load(&directory.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("no such directory"), "{missing}");
    for (name, content, part) in [
        ("tokenizer.json", &b"{"[..], "tokenizer.json"),
        ("tokenizer.json", b"{\"model\":{\"type\":\"Nothing\"}}", "tokenizer.json"),
        ("tokenizer.json", b"\xff\xfe", "invalid UTF-8 at byte 0"),
        ("tokenizer_config.json", b"{\n\"a\":}", "line 2"),
        ("tokenizer_config.json", b"[]", "a JSON object"),
        (
            "tokenizer_config.json",
            b"{\"tokenizer_class\":\"ReformerByteTokenizer\",\"dialogue_form\":\"songs\"}",
            "songs",
        ),
        (
            "tokenizer_config.json",
            b"{\"tokenizer_class\":\"ReformerByteTokenizer\",\"chat_template\":\"{{ a\"}",
            "chat_template",
        ),
    ] {
        let error = load(name, content);
        assert!(error.contains(part), "{name}: {error}");
    }
}
