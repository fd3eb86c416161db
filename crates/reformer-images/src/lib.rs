//! Images as sequences: grey pixels row by row, one number a pixel.
//!
//! | to… | use |
//! |---|---|
//! | read an IDX file (also gzipped), a PNG, or a folder of PNGs | [`read`] |
//! | turn shades into tokens and back | [`Levels`] |
//! | put images side by side into one PNG | [`Grid`] |
//!
//! Nothing here knows tensors, models or training. What is not a grey image of 8 bits is refused with the reason, never
//! converted behind the reader's back; only what loses nothing is taken as it is meant: grey stored as equal colours,
//! an opaque alpha channel, 1, 2 or 4 bits.
//!
//! ```
//! use reformer_images::Levels;
//!
//! let levels = Levels::new(16).unwrap();
//! assert_eq!([0, 8, 9, 255].map(|shade| levels.level(shade)), [0, 0, 1, 15]);
//! assert_eq!((levels.shade(0), levels.shade(15)), (0, 255));
//! ```
#![forbid(unsafe_code)]

mod error;
mod folder;
mod grid;
mod idx;
mod images;
mod levels;
mod picture;
mod read;

pub use error::ImageError;
pub use grid::{Cell, Grid};
pub use images::{Images, Size};
pub use levels::Levels;
pub use read::read;
