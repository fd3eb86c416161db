//! Mutated checkpoints: whatever bytes and numbers of `config.json` and `model.safetensors` become, loading ends in a
//! model or in an error that names the file, without a panic and within a bound of memory.
//!
//! The mutants are the same in every run: a failure comes again.

use std::fs;
use std::path::Path;

use allocation_counter::measure;
use reformer_model::Model;
use reformer_testing::models::{fields, model};
use reformer_testing::numbers::Draw;

/// Mutants of each file.
const MUTANTS: usize = 300;
/// Bytes that a load may hold at most; the model takes some ten thousand. Rotations, which no file bounds, may take
/// more than a mutated number asks for innocently.
const BOUND: u64 = 256 << 20;

/// What a number becomes.
const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "-1",
    "7",
    "65536",
    "16777216",
    "2147483647",
    "4294967296",
    "1e308",
    "0.99999999",
    "null",
    "99999999999999999999",
];

fn mutant(original: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=draw.below(3) {
        let (at, other) = (draw.below(bytes.len()), draw.below(bytes.len()));
        match draw.below(6) {
            0 => bytes[at] ^= 1 << draw.below(8),
            1 => bytes.truncate(at.max(1)),
            2 => bytes[at] = draw.below(256) as u8,
            3 => bytes.swap(at, other),
            4 => {
                let piece = bytes[at.min(other)..at.max(other).min(at.min(other) + 64)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                // A number of the text, if that is one: the next run of digits.
                if let Some(start) = bytes[at..].iter().take(400).position(u8::is_ascii_digit) {
                    let start = at + start;
                    let len = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(start..start + len, NUMBERS[draw.below(NUMBERS.len())].bytes());
                }
            }
        }
    }
    bytes
}

fn load_mutants(file: &str, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    model(fields()).save(folder.path()).unwrap();
    let path = folder.path().join(file);
    let original = fs::read(&path).unwrap();
    let mut draw = Draw(seed);
    let mut refused = 0;
    for number in 0..MUTANTS {
        fs::write(&path, mutant(&original, &mut draw)).unwrap();
        let mut outcome = Ok(());
        let made = measure(|| outcome = Model::load(folder.path()).map(drop));
        assert!(made.bytes_max < BOUND, "mutant {number} of {file} took {made:?}");
        if let Err(error) = outcome {
            refused += 1;
            let text = error.to_string();
            assert!(names_a_file(&text, folder.path()), "mutant {number} of {file}: {text}");
        }
    }
    assert!(refused > MUTANTS / 3, "{refused} of {MUTANTS} mutants of {file} were refused");
}

fn names_a_file(text: &str, folder: &Path) -> bool {
    let names = ["config.json", "model.safetensors"].map(|name| folder.join(name).display().to_string());
    names.iter().any(|name| text.contains(name))
}

#[test]
fn a_mutated_config_ends_in_a_model_or_an_error_that_names_a_file() {
    load_mutants("config.json", 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn mutated_weights_end_in_a_model_or_an_error_that_names_a_file() {
    load_mutants("model.safetensors", 0xd1b5_4a32_d192_ed03);
}
