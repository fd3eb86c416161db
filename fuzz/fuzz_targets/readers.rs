//! No bytes make a corpus reader panic, and what it reads has turns.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use reformer_text::{CorpusFormat, parse_dialogues};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let names = ["a.jsonl", "a.json", "a.txt", "a.csv", "a.zip", "a"];
    let name = Path::new(names[choice as usize % names.len()]);
    // Half of the choices leave the format to detection.
    let format = CorpusFormat::ALL.get(choice as usize / names.len() % (2 * CorpusFormat::ALL.len()));
    match parse_dialogues(name, bytes.to_vec(), format.copied()) {
        Ok(dialogues) => assert!(dialogues.iter().all(|dialogue| !dialogue.turns.is_empty())),
        Err(error) => assert!(error.to_string().contains(names[choice as usize % names.len()]), "{error}"),
    }
});
