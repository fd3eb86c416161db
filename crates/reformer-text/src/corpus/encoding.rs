//! From bytes to text: UTF-8 and UTF-16, byte order marks, halves of surrogate pairs; other encodings by name.

use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use crate::TextError;

/// A text, and what was replaced in it.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// It was UTF-16.
    pub(super) wide: bool,
    /// Halves of surrogate pairs that became U+FFFD.
    pub(super) surrogates: usize,
}

const MARK: char = '\u{feff}';

/// Decodes by the byte order mark, UTF-8 without one. The mark goes, also where a file began before it was joined to
/// another: at the beginning of a line, and between two JSON objects.
pub(super) fn decode(path: &Path, bytes: Vec<u8>) -> Result<Decoded, TextError> {
    let mut decoded = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Err(other(path, "UTF-32", "iconv -f UTF-32 -t UTF-8"));
        }
        [0xff, 0xfe, rest @ ..] => wide(path, rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(path, rest, u16::from_be_bytes)?,
        _ => Decoded { text: utf8(path, bytes)?, ..Decoded::default() },
    };
    let inside = |text: &str| text.contains("\n\u{feff}") || text.contains("}\u{feff}{");
    if inside(&decoded.text) {
        decoded.text = decoded.text.replace("\n\u{feff}", "\n").replace("}\u{feff}{", "}\n{");
    }
    Ok(decoded)
}

/// Checks UTF-8 and takes a byte order mark off.
pub(crate) fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, TextError> {
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with(MARK) {
                text.remove(0);
            }
            Ok(text)
        }
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let line = bytes[..offset].split(|&b| b == b'\n').count();
            let advice = advice(path, bytes, offset);
            Err(TextError::Utf8 { path: path.to_owned(), line, offset, byte: bytes[offset], advice })
        }
    }
}

fn wide(path: &Path, bytes: &[u8], of: fn([u8; 2]) -> u16) -> Result<Decoded, TextError> {
    if !bytes.len().is_multiple_of(2) {
        return Err(TextError::Foreign {
            path: path.to_owned(),
            what: "UTF-16 with half a character at its end".to_owned(),
            advice: "the file is cut off: copy it again".to_owned(),
        });
    }
    let mut decoded = Decoded { wide: true, ..Decoded::default() };
    let units = bytes.chunks_exact(2).map(|pair| of([pair[0], pair[1]]));
    decoded.text.extend(char::decode_utf16(units).map(|unit| {
        unit.unwrap_or_else(|_| {
            decoded.surrogates += 1;
            char::REPLACEMENT_CHARACTER
        })
    }));
    Ok(decoded)
}

fn other(path: &Path, name: &str, command: &str) -> TextError {
    TextError::Foreign {
        path: path.to_owned(),
        what: format!("text in {name}"),
        advice: format!("convert it to UTF-8, with `{command} {}`", shown(path)),
    }
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What to do about bytes that are not UTF-8.
fn advice(path: &Path, bytes: &[u8], offset: usize) -> String {
    let name = shown(path);
    // Characters of several bytes before the fault: the file is UTF-8 and something went wrong with it.
    if bytes[..offset].iter().filter(|byte| **byte >= 0xc2).count() >= 3 {
        return format!(
            "the text before it is UTF-8, so the file is damaged there: copy it again, or leave such bytes out with \
             `iconv -c -f UTF-8 -t UTF-8 {name}`"
        );
    }
    // UTF-16 without a mark has a zero in every second byte of Latin text.
    let head = &bytes[..bytes.len().min(1 << 16)];
    let zeros: usize = head.iter().map(|&byte| usize::from(byte == 0)).sum();
    if zeros * 8 > head.len() {
        return "it holds zero bytes: text in UTF-16 without a byte order mark, or no text at all".to_owned();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let several = !guess.is_single_byte();
    let guess = guess.name();
    if several {
        return format!(
            "it looks like {guess}; convert it to UTF-8, with `iconv -f {guess} -t UTF-8 {name}`"
        );
    }
    // Single-byte encodings differ in a few letters only and are easily taken for each other.
    format!(
        "it is in another encoding, perhaps {guess}: look at what `iconv -f {guess} -t UTF-8 {name}` gives before you use it"
    )
}

/// Escapes of one half of a surrogate pair (`\ud83d` without `\ude00` behind it) become `\ufffd`, which is what every
/// program shows for them; how many there were. A JSON parser refuses them.
pub(super) fn mend_surrogates(text: &mut String) -> usize {
    let bytes = text.as_bytes();
    let unit = |at: usize| -> Option<u16> {
        let escape = bytes.get(at..at + 6)?;
        let digits = std::str::from_utf8(&escape[2..]).ok().filter(|_| escape.starts_with(b"\\u"))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                lone.push(at);
                at += 6;
            }
            // An escaped backslash must not begin the next escape.
            _ => at += 2,
        }
        if at >= bytes.len() {
            break;
        }
    }
    for &at in &lone {
        text.replace_range(at..at + 6, "\\ufffd");
    }
    lone.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_surrogate_pairs_are_replaced_and_whole_ones_stay() {
        let mut text = r#"{"a":"\ud83d x \ud83d\ude00 \\ud83d \ude00\ud83d"}"#.to_owned();
        assert_eq!(mend_surrogates(&mut text), 3);
        assert_eq!(text, r#"{"a":"\ufffd x \ud83d\ude00 \\ud83d \ufffd\ufffd"}"#);
        let mut end = r"\".to_owned();
        assert_eq!(mend_surrogates(&mut end), 0);
    }

    #[test]
    fn the_advice_names_the_encoding_that_the_bytes_are_in() {
        let path = Path::new("a.txt");
        let refused = |bytes: &[u8]| decode(path, bytes.to_vec()).unwrap_err().to_string();
        // こんにちは世界 in Shift_JIS.
        let japanese = b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd\x90\xa2\x8a\x45".repeat(4);
        let error = refused(&japanese);
        assert!(error.contains("iconv -f Shift_JIS") && !error.contains("1252"), "{error}");
        assert!(refused(b"caf\xe9 au lait").contains("windows-1252"));
        let error = refused(&["é".repeat(40).as_bytes(), b"\xff"].concat());
        assert!(error.contains("damaged there"), "{error}");
        let error = refused(b"\xff\xfe\0\0a\0\0\0");
        assert!(error.contains("UTF-32"), "{error}");
    }

    #[test]
    fn utf_16_of_both_orders_is_read() {
        let units: Vec<u16> = "\u{feff}é🦀".encode_utf16().chain([0xd800]).collect();
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = units.iter().flat_map(|unit| order(*unit)).collect();
            let decoded = decode(Path::new("a"), bytes).unwrap();
            assert_eq!((decoded.text.as_str(), decoded.wide, decoded.surrogates), ("é🦀\u{fffd}", true, 1));
        }
    }
}
