//! One PNG as grey pixels, and pixels as a PNG.

use std::io::Cursor;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use crate::{ImageError, Images, Size};

/// Bytes that a picture may unpack to: 256 million pixels of a sequence are more than any model reads.
const LIMIT: usize = 1 << 30;

/// Whether bytes begin as a PNG does.
pub(crate) fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// The one image of a file's bytes.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Images, ImageError> {
    let damaged = |error: DecodingError| match error {
        DecodingError::LimitsExceeded => ImageError::foreign(
            path,
            "is too large a picture",
            format!("expected at most {LIMIT} bytes unpacked"),
        ),
        other => ImageError::damaged(path, format!("a damaged or truncated PNG ({other})")),
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: LIMIT });
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(damaged)?;
    if reader.info().animation_control.is_some() {
        let advice = "give its frames as pictures of their own";
        return Err(ImageError::foreign(path, "is an animation", advice));
    }
    let size = Size { width: reader.info().width as usize, height: reader.info().height as usize };
    let (colour, depth) = reader.output_color_type();
    if depth == BitDepth::Sixteen {
        return Err(ImageError::foreign(
            path,
            "has 16 bits a pixel",
            format!("pixels are 8 bits here: round them, with `magick {0} -depth 8 {0}`", path.display()),
        ));
    }
    let room = reader.output_buffer_size().filter(|room| *room <= LIMIT);
    let mut samples = vec![0; room.ok_or_else(|| damaged(DecodingError::LimitsExceeded))?];
    let frame = reader.next_frame(&mut samples).map_err(damaged)?;
    samples.truncate(frame.buffer_size());
    let shades = match colour {
        ColorType::Grayscale => Some(samples),
        ColorType::GrayscaleAlpha => {
            grey(&samples, |[shade, alpha]: [u8; 2]| (alpha == 255).then_some(shade))
        }
        ColorType::Rgb | ColorType::Indexed => {
            grey(&samples, |[r, g, b]: [u8; 3]| (r == g && g == b).then_some(r))
        }
        ColorType::Rgba => {
            grey(&samples, |[r, g, b, alpha]: [u8; 4]| (r == g && g == b && alpha == 255).then_some(r))
        }
    };
    let shades = shades.ok_or_else(|| {
        ImageError::foreign(
            path,
            "is in colour or transparent",
            format!(
                "images are read as shades of grey: convert it, with `magick {0} -background white -alpha remove \
                 -colorspace Gray {0}`",
                path.display()
            ),
        )
    })?;
    Ok(Images::new(size, shades))
}

/// One shade of every pixel of `N` samples, if each has one.
fn grey<const N: usize>(samples: &[u8], shade: impl Fn([u8; N]) -> Option<u8>) -> Option<Vec<u8>> {
    samples.as_chunks::<N>().0.iter().map(|pixel| shade(*pixel)).collect()
}

/// A PNG of red, green and blue bytes, `[height · width · 3]`.
pub(crate) fn encode(size: Size, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.width as u32, size.height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a grid has pixels, and memory takes every byte");
    writer.write_image_data(samples).expect("there is a sample for every pixel");
    writer.finish().expect("the image is whole");
    bytes
}
