//! Files that are no corpus, known by how they begin, and what to do about each.

use std::path::Path;

use crate::TextError;

/// What to do with images.
const IMAGES: &str = "give a file of text; a model of images is trained with tokenizer.kind = \"pixels\"";

/// First bytes, what such a file is, what to do.
const KINDS: [(&[u8], &str, &str); 16] = [
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it, with `xz -dk FILE`"),
    (b"BZh", "compressed with bzip2", "unpack it, with `bzip2 -dk FILE`"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it, with `lz4 -d FILE`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, with `7z x FILE`, and name the file to read"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it, and name the file to read"),
    (
        b"PAR1",
        "a Parquet table",
        "write it as JSON lines, in Python `pandas.read_parquet(\"FILE\").to_json(\"data.jsonl\", orient=\"records\", lines=True)`",
    ),
    (
        b"ARROW1",
        "an Arrow table",
        "write it as JSON lines, in Python `datasets.Dataset.from_file(\"FILE\").to_json(\"data.jsonl\")`",
    ),
    (b"SQLite format 3\0", "an SQLite database", "write its texts to a file of JSON lines or CSV"),
    (b"%PDF-", "a PDF", "take its text out, with `pdftotext FILE`"),
    (b"\x89PNG", "an image", IMAGES),
    (b"\0\0\x08\x03", "an IDX file of images", IMAGES),
    (b"\xff\xd8\xff", "an image", "give a file of text"),
    (b"\x7fELF", "a program", "give a file of text"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "save it as text or CSV"),
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, not the file that it stands for",
        "fetch the file, with `git lfs pull`",
    ),
    (b"\x93NUMPY", "a NumPy array", "give a file of text"),
];

/// Refuses what is no text, by its bytes.
pub(super) fn refuse(path: &Path, bytes: &[u8]) -> Result<(), TextError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let refused = |what: &str, advice: &str| {
        let (what, advice) = (what.to_owned(), advice.replace("FILE", &name));
        Err(TextError::Foreign { path: path.to_owned(), what, advice })
    };
    // `BZh` may begin a text.
    let bzip2 = |magic: &[u8]| magic != b"BZh" || bytes.get(4..10) == Some(b"1AY&SY");
    if let Some((_, what, advice)) = KINDS.iter().find(|(magic, ..)| bytes.starts_with(magic) && bzip2(magic))
    {
        return refused(what, advice);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return refused(
            "a tar archive",
            "unpack it, with `tar -xf FILE`, and name the file or the folder to read",
        );
    }
    Ok(())
}

/// Refuses a page of the web, which is a text, but not the one that somebody wanted to learn from.
pub(super) fn refuse_page(path: &Path, text: &str) -> Result<(), TextError> {
    let head = text.trim_ascii_start().as_bytes();
    let begins =
        |tag: &str| head.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes()));
    if !begins("<!doctype html") && !begins("<html") {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Err(TextError::Foreign {
        path: path.to_owned(),
        what: "an HTML page".to_owned(),
        advice: format!(
            "if it should be a corpus, the download gave an error page: download it again; else take its text out, \
             with `html2text {name}`"
        ),
    })
}

/// Refuses a text with zero bytes, which no text has.
pub(super) fn refuse_zeros(path: &Path, text: &str) -> Result<(), TextError> {
    match text.bytes().position(|byte| byte == 0) {
        None => Ok(()),
        Some(at) => Err(TextError::Foreign {
            path: path.to_owned(),
            what: format!("no text: it has a zero byte at {at}"),
            advice: "give a file of text; UTF-16 needs its byte order mark".to_owned(),
        }),
    }
}
