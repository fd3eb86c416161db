//! Mutated recipes, training states and moments: whatever their bytes and numbers become, reading ends in a value or
//! in an error that names the file, without a panic and within a bound of memory.
//!
//! The mutants are the same in every run: a failure comes again.

use std::fs;

use allocation_counter::measure;
use reformer_model::Model;
use reformer_testing::models::{fields, model};
use reformer_testing::numbers::Draw;
use reformer_text::Tokenizer;
use reformer_train::checkpoint::{Checkpoints, TrainingState, read_eval, read_moments, read_state};
use reformer_train::optimizer::Optimizer;
use reformer_train::{Budget, Recipe, changes_to_fit, dry_run, planned_config};

/// Mutants of each file.
const MUTANTS: usize = 400;
/// Bytes that reading may hold at most.
const BOUND: u64 = 64 << 20;

const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "-1",
    "7",
    "65536",
    "16777216",
    "2147483647",
    "4294967295",
    "9000000000000000000",
    "1e308",
    "0.99999999",
    "true",
];

fn mutant(original: &str, draw: &mut Draw) -> Vec<u8> {
    let mut bytes = original.as_bytes().to_vec();
    for _ in 0..=draw.below(3) {
        let at = draw.below(bytes.len());
        match draw.below(5) {
            0 => bytes[at] ^= 1 << draw.below(8),
            1 if draw.below(4) == 0 => bytes.truncate(at.max(1)),
            _ => {
                if let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    let start = at + start;
                    let number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
                    let len = bytes[start..].iter().take_while(number).count();
                    bytes.splice(start..start + len, NUMBERS[draw.below(NUMBERS.len())].bytes());
                }
            }
        }
    }
    bytes
}

#[test]
fn a_mutated_recipe_ends_in_a_plan_or_an_error_within_a_bound_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.toml");
    let original = Recipe::demo(&[]).unwrap().to_toml();
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut planned) = (0, 0);
    for number in 0..MUTANTS {
        fs::write(&path, mutant(&original, &mut draw)).unwrap();
        let made = measure(|| match Recipe::load(&path, &[]) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("mutant.toml"), "mutant {number}: {error}");
            }
            Ok(recipe) => {
                if let Ok(config) = planned_config(&recipe) {
                    planned += 1;
                    Budget::of(&recipe, &config);
                    changes_to_fit(&recipe, &config, 1 << 30);
                    let _ = dry_run(&recipe);
                }
            }
        });
        assert!(made.bytes_max < BOUND, "mutant {number} took {made:?}");
    }
    assert!(refused > MUTANTS / 10 && planned > MUTANTS / 20, "{refused} refused, {planned} planned");
}

#[test]
fn a_mutated_training_state_is_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let state = serde_json::json!({
        "step": 12, "tokens": 3456, "seconds": 7.5, "recipe": Recipe::demo(&[]).unwrap().to_toml(),
        "corpora": {
            "train": { "dialogues": 60, "tokens": 3000, "checksum": 123 },
            "valid": { "dialogues": 6, "tokens": 300, "checksum": 456 },
        },
        "simd": "portable",
    });
    let mut draw = Draw(0xd1b5_4a32_d192_ed03);
    for number in 0..MUTANTS {
        let text = mutant(&state.to_string(), &mut draw);
        fs::write(folder.path().join("training_state.json"), &text).unwrap();
        fs::write(folder.path().join("eval.json"), &text).unwrap();
        let made = measure(|| {
            if let Err(error) = read_state(folder.path()) {
                assert!(error.to_string().contains("training_state.json"), "mutant {number}: {error}");
            }
            assert_eq!(read_eval(folder.path()), None, "a state is no evaluation");
        });
        assert!(made.bytes_max < BOUND, "mutant {number} took {made:?}");
    }
}

#[test]
fn mutated_moments_are_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, model) = (Recipe::demo(&[]).unwrap(), model(fields()));
    let fresh = |model: &Model| Optimizer::new(&recipe.optimizer, model.parameters());
    let state = TrainingState {
        step: 1,
        tokens: 1,
        seconds: 0.0,
        recipe: recipe.to_toml(),
        corpora: None,
        simd: None,
    };
    let checkpoints = Checkpoints::of(folder.path());
    checkpoints.prepare().unwrap();
    let saved = checkpoints.save(&state, &model, &Tokenizer::bytes(), &mut fresh(&model), 1).unwrap();
    let path = saved.join("training_state.safetensors");
    let original = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
    let mut draw = Draw(0x2545_f491_4f6c_dd1d);
    let mut refused = 0;
    for number in 0..MUTANTS {
        let mut bytes = original.clone();
        for _ in 0..=draw.below(3) {
            // Most of the file is numbers, which may be any; the header is what can be wrong.
            let end = if draw.below(4) == 0 { bytes.len() } else { header.min(bytes.len()) };
            let at = draw.below(end);
            match draw.below(4) {
                0 => bytes[at] ^= 1 << draw.below(8),
                1 if draw.below(8) == 0 => bytes.truncate(at.max(1)),
                2 => bytes[at] = draw.below(256) as u8,
                _ => {
                    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(at..at + digits, NUMBERS[draw.below(NUMBERS.len())].bytes());
                }
            }
        }
        fs::write(&path, &bytes).unwrap();
        let mut optimizer = fresh(&model);
        let made = measure(|| {
            if let Err(error) = read_moments(&saved, &mut optimizer) {
                refused += 1;
                let words = error.to_string();
                assert!(words.contains("training_state.safetensors"), "mutant {number}: {words}");
            }
        });
        assert!(made.bytes_max < BOUND, "mutant {number} took {made:?}");
    }
    assert!(refused > MUTANTS / 3, "{refused} refused");
}
