//! IDX, the format of MNIST and its sisters: two zero bytes, a type, a number of dimensions, the dimensions as
//! big-endian `u32`, then the values.
//!
//! ```text
//! 00 00 08 03 | images | height | width | one byte a pixel, line by line
//! ```

use std::path::Path;

use crate::{ImageError, Images, Size};

/// What a type byte says the values are, for the message.
const TYPES: [(u8, &str); 6] = [
    (0x08, "bytes"),
    (0x09, "signed bytes"),
    (0x0b, "16-bit integers"),
    (0x0c, "32-bit integers"),
    (0x0d, "32-bit floats"),
    (0x0e, "64-bit floats"),
];

/// Whether bytes begin as an IDX file does.
pub(crate) fn looks_like(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, kind, dims, ..] if TYPES.iter().any(|(known, _)| known == kind) && *dims > 0)
}

/// The images of a file's bytes.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Images, ImageError> {
    let (kind, dims) = (bytes[2], usize::from(bytes[3]));
    if kind != 0x08 {
        let name = TYPES.iter().find(|(known, _)| *known == kind).map_or("unknown values", |(_, name)| *name);
        let advice = "expected one byte a pixel (type 0x08): write the file with bytes";
        return Err(ImageError::foreign(path, format!("is an IDX file of {name}"), advice));
    }
    if dims != 3 {
        let what = if dims == 1 {
            "is an IDX file of one dimension, as labels have".to_owned()
        } else {
            format!("is an IDX file of {dims} dimensions")
        };
        return Err(ImageError::foreign(path, what, "expected three: images, height, width"));
    }
    let Some((head, values)) = bytes[4..].split_first_chunk::<12>() else {
        let problem = format!("an IDX file cut short: its head takes 16 bytes, it has {}", bytes.len());
        return Err(ImageError::damaged(path, problem));
    };
    let [count, height, width] =
        [0, 4, 8].map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize);
    let size = Size { width, height };
    let said = format!("an IDX file of {count} images of {size} pixels");
    if count == 0 || width == 0 || height == 0 {
        return Err(ImageError::foreign(
            path,
            format!("is {said}"),
            "expected at least one image with pixels",
        ));
    }
    let wanted = count as u128 * width as u128 * height as u128;
    let got = values.len() as u128;
    if got < wanted {
        return Err(ImageError::damaged(
            path,
            format!("{said} cut short: {wanted} bytes expected, {got} there"),
        ));
    }
    if got > wanted {
        let problem = format!("{said} with {} bytes behind its end", got - wanted);
        return Err(ImageError::damaged(path, problem));
    }
    Ok(Images::new(size, values.to_vec()))
}
