//! Damaged corpora, conversations and tokenizers: mutants of a file of every format, by a fixed seed, for a limited
//! time.
//!
//! Whatever the bytes, a reader returns dialogues with turns in them or an error that names the file, takes memory in
//! proportion to the file, and does not panic.

use std::path::Path;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use reformer_text::{CorpusFormat, Tokenizer, demo, parse_dialogues, parse_messages};

/// Mutants of every seed.
const ROUNDS: usize = 250;
/// The test ends early on a machine that is slow; what it saw by then must hold.
const TIME: Duration = Duration::from_secs(20);
/// Bytes that reading may take for every byte of the file, and beside that: a decoder's tables and windows. A packed
/// mutant of these sizes unpacks to little.
const PER_BYTE: u64 = 200;
const BESIDE: u64 = 16 << 20;

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("data.json", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let turns = br#"{"id":"S1","domains":["taxi"],"turns":[{"speaker":"user","text":"a \ud83d\ude00 taxi"},{"speaker":"system","text":"at 5","weight":0}]}
{"id":2,"domains":null,"turns":[{"speaker":"user","text":"b"}]}
"#;
    let woz = br#"{"S.json":{"goal":{"taxi":{"info":{}}},"log":[{"text":"hi","metadata":{}},{"text":"hello"}]},"T":{"log":[{"text":"x"}]}}"#;
    let wide: Vec<u8> =
        "\u{feff}user: hi\nbarista: é🦀\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let plain: [(&'static str, &[u8]); 9] = [
        ("a.jsonl", turns),
        ("a.json", woz),
        ("a.json", br#"[{"dialogue_id":"1","services":["hotel"],"turns":[{"speaker":"USER","utterance":"hi"},{"speaker":"SYSTEM","utterance":"hello"}]}]"#),
        ("a.jsonl", br#"{"messages":[{"role":"system","content":"be"},{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":null}]}"#),
        ("a.json", br#"[{"id":"1","conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}],"system":"c"},
 {"conversations":[{"from":"human","value":"d"}]}]"#),
        ("a.json", br#"[{"instruction":"say","input":"x","output":"ok","history":[["a","b"]]}]"#),
        ("a", br#"{"prompt":[{"role":"user","content":"a"}],"completion":"b"}"#),
        ("a.csv", b"dialogue_id,speaker,text,more\n1,user,\"a, \"\"b\"\"\nc\",x\n1,system,d,y\n2,user,e,z\n"),
        ("a.txt", "User: hi\r\nBarista: h\u{e9}llo\nA: red\n\n\u{feff}user: bye\nhttp://x.y\nBarista: ciao\n".as_bytes()),
    ];
    let mut seeds: Vec<(&'static str, Vec<u8>)> =
        plain.into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect();
    seeds.push(("a.jsonl", b"{\"text\":\"one\"}\n{\"text\":\"two\"}\n".to_vec()));
    seeds.push(("a.txt", wide));
    seeds.push(("a.jsonl.gz", [packed(turns), packed(turns), vec![0; 64]].concat()));
    seeds.push(("a.jsonl.zst", zstd::encode_all(&turns[..], 1).unwrap()));
    seeds.push(("a.zip", zipped(woz)));
    seeds
}

/// What parsers stumble over.
const STRANGE: [&[u8]; 16] = [
    b"\xff",
    b"\0",
    b"\\ud800",
    b"\\",
    b"\"",
    b"{",
    b"[[[[[[[[",
    b"}",
    b"NaN",
    b"1e999",
    b"null",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r",
    b"\x1f\x8b",
    b"18446744073709551616",
];

fn mutant(draws: &mut ChaCha8Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let mut below = |end: usize| draws.next_u32() as usize % end.max(1);
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        let to = (at + below(40)).min(bytes.len());
        match below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let twice = bytes[at..to].to_vec();
                bytes.splice(at..at, twice);
            }
            3 => drop(bytes.splice(at..at, STRANGE[below(STRANGE.len())].iter().copied())),
            4 => bytes.truncate(at),
            5 => {
                let from = below(other.len());
                bytes.splice(at..to, other[from..].iter().copied().take(60));
            }
            _ if !bytes.is_empty() => bytes[at] = below(256) as u8,
            _ => {}
        }
    }
    bytes
}

#[test]
fn a_damaged_corpus_is_read_or_refused_by_its_name_within_its_memory() {
    let started = Instant::now();
    let mut draws = ChaCha8Rng::from_seed([7; 32]);
    let seeds = seeds();
    for round in 0..ROUNDS {
        for (at, (name, seed)) in seeds.iter().enumerate() {
            if started.elapsed() > TIME {
                return;
            }
            let other = &seeds[draws.next_u32() as usize % seeds.len()].1;
            let bytes = mutant(&mut draws, seed, other);
            let formats = CorpusFormat::ALL;
            // Every third is read as a format that it may not be.
            let format = (round % 3 == 2).then(|| formats[(round + at) % formats.len()]);
            let allowed = bytes.len() as u64 * PER_BYTE + BESIDE;
            let taken = allocation_counter::measure(|| {
                match parse_dialogues(Path::new(name), bytes.clone(), format) {
                    Ok(dialogues) => {
                        assert!(
                            !dialogues.is_empty()
                                && dialogues.iter().all(|dialogue| !dialogue.turns.is_empty())
                        );
                    }
                    Err(error) => assert!(error.to_string().contains(name), "{name}: {error}"),
                }
            });
            assert!(taken.bytes_max < allowed, "{name}: {} bytes for {}", taken.bytes_max, bytes.len());
        }
    }
}

#[test]
fn a_damaged_conversation_is_read_or_refused_within_its_memory() {
    let started = Instant::now();
    let mut draws = ChaCha8Rng::from_seed([9; 32]);
    let line =
        r#"{"role":"user","content":[{"type":"text","text":"a 🦀"}]},{"role":"assistant","content":null},"#;
    let seed = format!(r#"{{"messages":[{}{{"role":"developer","content":"b"}}]}}"#, line.repeat(40));
    for _ in 0..ROUNDS * 4 {
        if started.elapsed() > TIME {
            return;
        }
        let bytes = mutant(&mut draws, seed.as_bytes(), b"\"tool_calls\":[{}],[[[[");
        let text = String::from_utf8_lossy(&bytes);
        let allowed = text.len() as u64 * PER_BYTE;
        let taken = allocation_counter::measure(|| {
            if let Err(reason) = parse_messages(&text) {
                assert!(!reason.is_empty());
            }
        });
        assert!(taken.bytes_max < allowed, "{} bytes for {}", taken.bytes_max, text.len());
    }
}

#[test]
fn a_damaged_tokenizer_is_opened_or_refused_by_its_name_within_its_memory() {
    let started = Instant::now();
    let mut draws = ChaCha8Rng::from_seed([11; 32]);
    let texts: Vec<String> = demo::dialogues(1, 20)
        .into_iter()
        .flat_map(|dialogue| dialogue.turns)
        .map(|turn| turn.text)
        .collect();
    let folder = tempfile::tempdir().unwrap();
    Tokenizer::train_bpe(&texts, 320).unwrap().save(folder.path()).unwrap();
    let files: Vec<(std::path::PathBuf, Vec<u8>)> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    assert!(files.len() >= 2, "tokenizer.json and tokenizer_config.json");
    for round in 0..ROUNDS * 2 {
        if started.elapsed() > TIME {
            return;
        }
        let (path, original) = &files[round % files.len()];
        let bytes = mutant(&mut draws, original, br#""added_tokens":[],"id":4294967295,"type":"Sequence""#);
        std::fs::write(path, &bytes).unwrap();
        let taken = allocation_counter::measure(|| match Tokenizer::load(folder.path()) {
            // What opens must work: encode and decode without a panic.
            Ok(tokenizer) => {
                if let Ok(ids) = tokenizer.encode("a cheap hotel, please 🦀") {
                    tokenizer.decode(&ids);
                }
            }
            Err(error) => {
                let words = error.to_string();
                let named = files.iter().any(|(path, _)| words.contains(&path.display().to_string()));
                assert!(named, "names no file: {words}");
            }
        });
        assert!(taken.bytes_max < bytes.len() as u64 * PER_BYTE + BESIDE, "{} bytes", taken.bytes_max);
        std::fs::write(path, original).unwrap();
    }
}
