//! Images on the command line: a run on squares, measured and completed, and what each wrong file is told.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{assert_done, assert_fails, folder, run, stderr, stdout, tiny};

const SIDE: usize = 6;

/// An IDX file of squares with stripes.
fn squares(folder: &Path, count: usize) -> PathBuf {
    let head = [count, SIDE, SIDE].into_iter().flat_map(|n| (n as u32).to_be_bytes());
    let pixel = |n: usize| if (n % SIDE + n / (SIDE * SIDE)).is_multiple_of(3) { 255 } else { 8 };
    let bytes: Vec<u8> =
        [0, 0, 8, 3].into_iter().chain(head).chain((0..count * SIDE * SIDE).map(pixel)).collect();
    let path = folder.join("squares-idx3-ubyte");
    fs::write(&path, bytes).unwrap();
    path
}

const RECIPE: &str = r#"
data = "squares-idx3-ubyte"
length = 36
batch = 4
steps = 8
[model]
hidden_size = 16
heads = 2
attn_layers = ["local", "lsh"]
chunk_length = 6
axial_shape = [6, 6]
[tokenizer]
kind = "pixels"
levels = 8
"#;

/// A run on twenty squares in `folder`.
fn trained(folder: &Path) -> String {
    squares(folder, 20);
    let recipe = folder.join("squares.toml");
    fs::write(&recipe, RECIPE).unwrap();
    let out = folder.join("run");
    let output = run(&["train", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_done(&output);
    let told = stderr(&output);
    assert!(told.contains("18 images, 648 tokens") && told.contains("bits per pixel"), "{told}");
    out.to_str().unwrap().to_owned()
}

#[test]
fn a_model_of_images_is_measured_in_bits_per_pixel_and_completes_them_into_one_picture() {
    let folder = folder();
    let model = trained(folder.path());
    let eval = run(&["eval", &model, "--data", "hold-out", "--json"]);
    assert_done(&eval);
    let json: serde_json::Value = serde_json::from_str(&stdout(&eval)).unwrap();
    assert!(json["bits_per_pixel"].as_f64().unwrap() < 3.5 && json["bits_per_byte"].is_null(), "{json}");
    assert_eq!((&json["bytes"], &json["length"]), (&72.into(), &36.into()));
    let data = folder.path().join("squares-idx3-ubyte");
    let table = run(&["eval", &model, "--data", data.to_str().unwrap()]);
    assert_done(&table);
    let table = stdout(&table);
    assert!(table.contains("bits/pixel") && table.lines().all(|line| line.chars().count() <= 89), "{table}");

    let picture = |name: &str, seed: &str| {
        let path = folder.path().join(name);
        let (path, wanted) = (path.to_str().unwrap(), ["--images", "3", "--seed", seed, "--json"]);
        let images = data.to_str().unwrap();
        let output = run(&[&["generate", &model, "--image", images, "-o", path], &wanted[..]].concat());
        assert_done(&output);
        let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        (json, fs::read(path).unwrap())
    };
    let (one, bytes) = picture("a.png", "1");
    assert_eq!((one["images"].as_array().unwrap().len(), &one["pixels_drawn"]), (3, &18.into()));
    // Three by three cells of six pixels, each four wide, between borders of six.
    let side = (3 * (6 * 4 + 6) + 6u32).to_be_bytes();
    assert_eq!(
        (&bytes[..8], &bytes[16..20], &bytes[20..24]),
        (&b"\x89PNG\r\n\x1a\n"[..], &side[..], &side[..])
    );
    assert_eq!(picture("b.png", "1").1, bytes, "the same seed gives the same picture");
    let (two, other) = picture("c.png", "2");
    assert!(one["images"] != two["images"] && other != bytes);
}

#[test]
fn images_that_do_not_fit_the_model_are_told_both_sizes_and_leave_no_picture() {
    let folder = folder();
    let model = trained(folder.path());
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let out = folder.path().join("out.png");
    let complete = |file: &str| run(&["generate", &model, "--image", file, "-o", out.to_str().unwrap()]);
    let flat = put("flat", &[&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2][..], &[0, 0]].concat());
    assert_fails(&complete(&flat), 1, &["flat", "2 × 1 pixels", "6 × 6", "-resize 6x6!"]);
    let text = put("a.txt", b"hello");
    assert_fails(&complete(&text), 1, &["a.txt", "is no image", "expected an IDX file"]);
    let cut = put("cut", &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 6, 1]);
    assert_fails(&complete(&cut), 1, &["cut short", "36 bytes expected, 1 there"]);
    assert_fails(&complete(folder.path().join("gone").to_str().unwrap()), 1, &["cannot read", "gone"]);
    assert_fails(&run(&["eval", &model, "--data", &flat]), 1, &["2 × 1 pixels", "6 × 6"]);
    let data = folder.path().join("squares-idx3-ubyte");
    let data = data.to_str().unwrap();
    assert_fails(&run(&["eval", &model, "--data", data, "--length", "12"]), 2, &["a row is one image"]);
    assert_fails(&run(&["generate", &model, "--image", data]), 2, &["-o FILE.png"]);
    assert!(!out.exists());
    // A folder to write to, which is no file.
    let nowhere = folder.path().join("run");
    let output = run(&["generate", &model, "--image", data, "-o", nowhere.to_str().unwrap()]);
    assert_fails(&output, 1, &["cannot write", "it is a folder"]);
}

#[test]
fn a_model_of_images_takes_no_text_and_one_of_text_no_images() {
    let folder = folder();
    let model = trained(folder.path());
    assert_fails(&run(&["generate", &model, "-p", "a shirt"]), 1, &["pixels", "--image FILE"]);
    assert_fails(&run(&["chat", &model, "-p", "hello"]), 1, &["it learned images"]);
    let data = folder.path().join("squares-idx3-ubyte");
    let data = data.to_str().unwrap();
    let out = folder.path().join("out.png");
    let output = run(&["generate", &tiny(), "--image", data, "-o", out.to_str().unwrap()]);
    assert_fails(&output, 2, &["learned text", "tokenizer.kind = \"pixels\""]);
    // A corpus of text is no place for images.
    assert_fails(&run(&["eval", &tiny(), "--data", data]), 1, &["an IDX file of images", "pixels"]);
}

#[test]
fn what_a_run_held_out_is_measured_by_its_name_for_texts_too() {
    let output = run(&["eval", &tiny(), "--data", "hold-out", "--json"]);
    assert_done(&output);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(json["bits_per_byte"].is_number() && json["tokens"].as_u64().unwrap() < 600, "{json}");
}
