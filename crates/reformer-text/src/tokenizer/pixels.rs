//! Pixels as tokens: a level of grey each, and one token that stands before every image.
//!
//! ```text
//! 0 .. levels − 1     levels of grey, black first          levels     <|image|>, which is padding too
//! ```
//!
//! There is no text here: such a tokenizer encodes none and decodes to none.

use serde_json::{Map, Value};

/// The name of the token before an image.
pub(super) const IMAGE: &str = "<|image|>";

/// What the images of a model are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raster {
    /// Pixels of a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Levels of grey, 2 to 256.
    pub levels: usize,
}

impl Raster {
    /// Pixels, and so tokens, of an image.
    pub fn pixels(self) -> usize {
        self.width * self.height
    }

    /// The token before an image.
    pub fn opening(self) -> u32 {
        self.levels as u32
    }

    /// The levels and the token before an image.
    pub(super) fn vocab_size(self) -> usize {
        self.levels + 1
    }

    /// From `tokenizer_config.json`; what is wrong, if it is none.
    pub(super) fn of_config(config: &Map<String, Value>) -> Result<Self, String> {
        let number = |key: &str, low: u64, high: u64| {
            let got = config.get(key).unwrap_or(&Value::Null);
            let legal = got.as_u64().filter(|number| (low..=high).contains(number));
            let number = legal.ok_or_else(|| format!("{key} is {got}, expected {low} to {high}"))?;
            Ok::<_, String>(number as usize)
        };
        // As many pixels as a sequence may have tokens.
        let side = 1 << 20;
        Ok(Self {
            width: number("image_width", 1, side)?,
            height: number("image_height", 1, side)?,
            levels: number("levels", 2, 256)?,
        })
    }

    pub(super) fn write_config(self, config: &mut Map<String, Value>) {
        for (key, value) in
            [("image_width", self.width), ("image_height", self.height), ("levels", self.levels)]
        {
            config.insert(key.to_owned(), value.into());
        }
    }
}
