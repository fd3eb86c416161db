//! From a path to images, whatever kind it is of: known by content, not by name.

use std::io::Read;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{ImageError, Images, folder, idx, picture};

/// Bytes of a file at most, packed or not.
const LIMIT: u64 = 1 << 32;

/// The images of an IDX file (also gzipped), of a PNG, or of the PNGs in a folder.
pub fn read(path: &Path) -> Result<Images, ImageError> {
    if path.is_dir() {
        return folder::read(path);
    }
    let mut bytes = bytes(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bytes = gunzip(path, &bytes)?;
    }
    if idx::looks_like(&bytes) {
        return idx::parse(path, &bytes);
    }
    if picture::looks_like(&bytes) {
        return picture::parse(path, &bytes);
    }
    let kinds: [(&[u8], &str); 5] = [
        (b"\xff\xd8\xff", "is a JPEG"),
        (b"GIF8", "is a GIF"),
        (b"BM", "is a bitmap"),
        (b"P5", "is a PGM"),
        (b"PK\x03", "is a zip"),
    ];
    let what =
        kinds.iter().find(|(magic, _)| bytes.starts_with(magic)).map_or("is no image", |(_, what)| what);
    let advice = "expected an IDX file (as MNIST has them, also .gz), a grey PNG, or a folder of PNGs";
    Err(ImageError::foreign(path, what, advice))
}

/// A file's bytes, as they are.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, ImageError> {
    let bytes = reformer_files::read(path, LIMIT).map_err(|error| ImageError::io("read", path, error))?;
    if bytes.is_empty() {
        return Err(ImageError::foreign(path, "is empty", "expected an image, or images"));
    }
    Ok(bytes)
}

fn gunzip(path: &Path, packed: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    match MultiGzDecoder::new(packed).take(LIMIT + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > LIMIT => {
            let what = format!("unpacks to more than {LIMIT} bytes");
            Err(ImageError::foreign(path, what, "give fewer images at once"))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(ImageError::damaged(
            path,
            format!("damaged or truncated gzip data after {} unpacked bytes ({error})", bytes.len()),
        )),
    }
}
