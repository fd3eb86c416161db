//! `reformer explain`: every unit, at once and for programs, on the user's own input, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixture::{assert_done, assert_fails, folder, recipe, run, stdout, tiny};

const UNITS: [&str; 6] = ["knn", "hashing", "lsh-attention", "reversible", "complexity", "chatbot"];

/// The lesson as JSON.
fn lesson(args: &[&str]) -> Value {
    let output = run(&[&["explain"], args, &["--json"]].concat());
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 1);
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// A number of a step.
fn number<'a>(lesson: &'a Value, name: &str) -> &'a Value {
    let steps = lesson["steps"].as_array().unwrap();
    let found = steps.iter().find_map(|step| step["numbers"].get(name));
    found.unwrap_or_else(|| panic!("no {name} in {lesson}"))
}

/// A NumPy file of version 1.0.
fn npy(folder: &Path, kind: &str, shape: &str, bytes: &[u8]) -> PathBuf {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((padded.len() as u16).to_le_bytes());
    file.extend(padded.as_bytes());
    file.extend(bytes);
    let path = folder.join("x.npy");
    fs::write(&path, file).unwrap();
    path
}

/// `rows` vectors of four numbers, no two alike.
fn vectors(rows: usize) -> Vec<u8> {
    (0..4 * rows).flat_map(|i| ((i * 37 % 101) as f32 - 50.0).to_le_bytes()).collect()
}

#[test]
fn every_unit_is_shown_whole_where_nobody_types_and_fits_80_columns() {
    for unit in UNITS {
        let output = run(&["explain", unit]);
        assert_done(&output);
        let text = stdout(&output);
        assert!(text.starts_with(&format!("{unit} 1/")), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{unit}: {line}");
        }
    }
}

#[test]
fn a_program_gets_the_numbers_of_the_course() {
    let knn = lesson(&["knn"]);
    assert_eq!(*number(&knn, "neighbours"), serde_json::json!([2, 0, 4]));
    assert_eq!(*number(&knn, "planes"), 10, "625 buckets");
    let recall = number(&knn, "recall").as_array().unwrap();
    assert!(recall[4].as_f64() > recall[0].as_f64(), "more universes find more: {recall:?}");
    let reversible = lesson(&["reversible"]);
    assert_eq!(*number(&reversible, "output"), serde_json::json!([65.0, 681.0]));
    assert_eq!(number(&reversible, "reading_gib").as_f64().unwrap().round(), 50.0);
    assert!(number(&reversible, "reversible_gib").as_f64().unwrap() < 16.0, "a million tokens in 16 GB");
    let chatbot = lesson(&["chatbot"]);
    assert_eq!(*number(&chatbot, "two_layers"), 58_072_296);
    assert_eq!(*number(&chatbot, "six_layers"), 70_673_640);
}

#[test]
fn more_rounds_keep_more_of_exact_attention_and_looking_back_misses_less() {
    let lesson = lesson(&["lsh-attention"]);
    let kept: Vec<f64> =
        number(&lesson, "kept").as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(kept.is_sorted() && kept[0] > 0.0 && kept[3] > kept[0] && kept[3] <= 1.0 + 1e-6, "{kept:?}");
    let missed = |name| number(&lesson, name).as_u64().unwrap();
    assert!(missed("missed_with") < missed("missed_alone"));
}

#[test]
fn noise_replayed_is_inverted_and_noise_drawn_anew_is_not() {
    let lesson = lesson(&["reversible"]);
    let last = |name| number(&lesson, name).as_array().unwrap().last().unwrap().as_f64().unwrap();
    assert!(last("replayed") < 1e-3 && last("fresh") > 0.1, "{} {}", last("replayed"), last("fresh"));
}

#[test]
fn pictures_are_written_into_the_directory_and_named_in_the_text() {
    let folder = folder();
    let out = folder.path().join("new/pictures");
    for (unit, pictures) in [
        ("hashing", &["planes.svg", "directions.svg", "agreement.svg"][..]),
        ("lsh-attention", &["five_rows.svg", "look_back.svg", "rounds.svg"]),
        ("reversible", &["memory.svg", "noise.svg"]),
    ] {
        let output = run(&["explain", unit, "-o", out.to_str().unwrap()]);
        assert_done(&output);
        for picture in pictures {
            let svg = fs::read_to_string(out.join(picture)).unwrap();
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"),
                "{picture}"
            );
            assert!(stdout(&output).contains(picture));
        }
    }
}

#[test]
fn a_sentence_and_vectors_of_the_user_s_own_are_explained() {
    let text = lesson(&["lsh-attention", "--text", "one two <b> & two one two one \u{7} three one two"]);
    assert_eq!(number(&text, "tokens").as_array().unwrap().len(), 12);
    let folder = folder();
    let single = npy(folder.path(), "<f4", "(40, 4)", &vectors(40));
    let counts = lesson(&["hashing", "--vectors", single.to_str().unwrap()]);
    let counted: u64 =
        number(&counts, "counts").as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(counted, 40);
    let double: Vec<u8> = (0..160).flat_map(|i| f64::from(i * 37 % 101).to_le_bytes()).collect();
    let double = npy(folder.path(), "<f8", "(40, 4)", &double);
    assert_eq!(
        number(&lesson(&["knn", "--vectors", double.to_str().unwrap()]), "recall").as_array().unwrap().len(),
        5
    );
}

#[test]
fn a_trained_model_s_own_layer_blocks_and_talk_are_explained() {
    let model = tiny();
    let text = "north star is cheap. shall i book the north star?";
    let attention = lesson(&["lsh-attention", "--model", &model, "--text", text]);
    assert_eq!(
        number(&attention, "tokens").as_array().unwrap().len(),
        48,
        "bytes, cut to what a picture holds"
    );
    let errors = lesson(&["reversible", "--model", &model]);
    assert!(number(&errors, "errors").as_array().unwrap().iter().all(|e| e.as_f64().unwrap() < 1e-3));
    let talk = lesson(&["chatbot", "--model", &model, "--text", "hi"]);
    assert_eq!(number(&talk, "dialogues")[0][0]["content"], "hi");
}

#[test]
fn what_a_unit_has_no_use_for_is_refused() {
    let fails = |args: &[&str], words: &[&str]| assert_fails(&run(&[&["explain"], args].concat()), 2, words);
    fails(&["knn", "--text", "a"], &["--text", "lsh-attention, chatbot"]);
    fails(&["complexity", "--model", "x"], &["--model", "lsh-attention, reversible, chatbot"]);
    fails(&["chatbot", "--vectors", "x.npy"], &["--vectors", "knn, hashing"]);
    fails(&["lsh-attention", "--text", " \n"], &["--text is empty"]);
    fails(&["lsh-attention", "--text", "three words only"], &["3 tokens", "at least 6"]);
    fails(&["attention"], &["lsh-attention"]);
}

#[test]
fn vectors_that_are_none_are_refused_with_the_file_and_the_place() {
    let folder = folder();
    let fails = |path: &Path, words: &[&str]| {
        let output = run(&["explain", "hashing", "--vectors", path.to_str().unwrap()]);
        assert_fails(&output, 1, &[&[path.to_str().unwrap()], words].concat());
    };
    fails(&folder.path().join("absent.npy"), &["cannot read"]);
    let text = folder.path().join("text.npy");
    fs::write(&text, "1 2 3").unwrap();
    fails(&text, &["no NumPy file"]);
    let mut holed = vectors(4);
    holed[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    fails(&npy(folder.path(), "<f4", "(4, 4)", &holed), &["NaN in row 1, column 1"]);
    fails(&npy(folder.path(), "<f4", "(16,)", &vectors(4)), &["[16]", "[rows, dim]"]);
    fails(&npy(folder.path(), "<f4", "(1, 16)", &vectors(4)), &["1 vectors of 16"]);
    fails(&npy(folder.path(), "<i4", "(4, 4)", &vectors(4)), &["i4", "f32 or f64"]);
    fails(&npy(folder.path(), "<f4", "(400, 4)", &vectors(4)), &["ends before"]);
}

#[test]
fn a_model_without_lsh_layers_and_a_place_for_pictures_that_is_a_file_are_refused() {
    let folder = folder();
    let recipe =
        recipe(folder.path(), &[(r#"["local", "lsh"]"#, r#"["local"]"#), ("steps = 12", "steps = 1")]);
    let model = folder.path().join("run");
    assert_done(&run(&["train", recipe.to_str().unwrap(), "--out", model.to_str().unwrap()]));
    let output = run(&["explain", "lsh-attention", "--model", model.to_str().unwrap()]);
    assert_fails(&output, 2, &["no LSH layer", "Local"]);
    let output = run(&["explain", "hashing", "-o", recipe.to_str().unwrap()]);
    assert_fails(&output, 1, &["cannot make the directory", "tiny.toml"]);
}

#[test]
fn the_pictures_of_the_documents_are_readable_without_a_browser() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/course");
    let mut seen = 0;
    for picture in fs::read_dir(pictures).unwrap() {
        let path = picture.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "svg") {
            let svg = fs::read_to_string(&path).unwrap();
            assert!(!svg.contains("var("), "{}: strict renderers draw CSS variables black", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 11, "only {seen} pictures");
}
