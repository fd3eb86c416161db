//! Grey images of one size.

use std::fmt;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels of a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

impl Size {
    /// Pixels of an image.
    pub fn pixels(self) -> usize {
        self.width * self.height
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.width, self.height)
    }
}

/// At least one image, each of [`Images::size`], a byte a pixel: 0 black, 255 white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    size: Size,
    /// `[images · height · width]`
    shades: Vec<u8>,
}

impl Images {
    /// Images of `size` one after another; the reader has checked that there are whole ones and at least one.
    pub(crate) fn new(size: Size, shades: Vec<u8>) -> Self {
        debug_assert!(!shades.is_empty() && shades.len().is_multiple_of(size.pixels()));
        Self { size, shades }
    }

    /// The size of every image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shades.len() / self.size.pixels()
    }

    /// Never: an empty file is an error of the reader.
    pub fn is_empty(&self) -> bool {
        self.shades.is_empty()
    }

    /// The shades of an image, line by line.
    ///
    /// # Panics
    /// If there is no image of this number.
    pub fn image(&self, index: usize) -> &[u8] {
        let pixels = self.size.pixels();
        &self.shades[index * pixels..(index + 1) * pixels]
    }

    /// The images in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.shades.chunks_exact(self.size.pixels())
    }

    /// All but the last `count` images, and those; none if one part would be empty.
    pub fn split_last(mut self, count: usize) -> Option<(Self, Self)> {
        if count == 0 || count >= self.len() {
            return None;
        }
        let last = self.shades.split_off((self.len() - count) * self.size.pixels());
        let size = self.size;
        Some((self, Self { size, shades: last }))
    }
}
