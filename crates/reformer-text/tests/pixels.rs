//! Pixels as tokens: a tokenizer that goes through its files and has no text.

use std::fs;

use reformer_text::{Form, Raster, Tokenizer, Turn};

const RASTER: Raster = Raster { width: 4, height: 3, levels: 16 };

#[test]
fn a_tokenizer_of_pixels_comes_back_from_its_files() {
    let folder = tempfile::tempdir().unwrap();
    Tokenizer::pixels(RASTER).save(folder.path()).unwrap();
    let read = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(read.raster(), Some(RASTER));
    assert_eq!(
        (read.kind(), read.vocab_size(), read.pad_token(), read.end_token()),
        ("pixels", 17, 16, None)
    );
    assert_eq!((read.token_name(16).as_str(), read.token_name(3).as_str()), ("<|image|>", "<3>"));
    assert_eq!((RASTER.pixels(), RASTER.opening()), (12, 16));
    // Saved again it is the same, keys of others included.
    read.save(folder.path()).unwrap();
    assert_eq!(Tokenizer::load(folder.path()).unwrap().raster(), Some(RASTER));
}

#[test]
fn text_for_pixels_is_refused_and_pixels_have_no_text() {
    let tokenizer = Tokenizer::pixels(RASTER);
    assert!(!tokenizer.can_chat());
    assert_eq!(tokenizer.decode(&[0, 3, 16]), "");
    let told = [
        tokenizer.encode("a shirt").unwrap_err(),
        tokenizer.encode_chat(&[Turn::user("a shirt")], Form::Text, true).unwrap_err(),
    ];
    assert!(told.iter().all(|error| error.to_string().contains("--image FILE")), "{told:?}");
    assert_eq!(Tokenizer::bytes().raster(), None);
}

#[test]
fn a_size_that_cannot_be_is_named_with_its_key_and_file() {
    let folder = tempfile::tempdir().unwrap();
    Tokenizer::pixels(RASTER).save(folder.path()).unwrap();
    let path = folder.path().join("tokenizer_config.json");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, key) in [
        ("\"levels\": 16", "\"levels\": 300", "levels is 300, expected 2 to 256"),
        ("\"image_width\": 4", "\"image_width\": 0", "image_width is 0"),
        ("\"image_height\": 3", "\"image_height\": \"3\"", "image_height is \"3\""),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("tokenizer_config.json"), "{error}");
    }
}
