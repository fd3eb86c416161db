//! Images side by side in one picture.
//!
//! ```text
//! ┌────┬────┬────┐   a row a list of cells, each pixel `zoom` by `zoom`,
//! │    │    │    │   a white border around every cell;
//! ├────┼────┼────┤   what is not known of a cell is blue, which no shade of grey is
//! ```

use crate::{Size, picture};

/// Pixels of the picture for one of an image, and of the border.
const ZOOM: usize = 4;
const BORDER: usize = 6;
/// What is not known, and the paper.
const UNKNOWN: [u8; 3] = [191, 212, 242];
const PAPER: [u8; 3] = [255, 255, 255];

/// The first shades of an image, line by line; the rest is not known.
pub type Cell = Vec<u8>;

/// Rows of cells, all for images of one size.
#[derive(Debug, Clone)]
pub struct Grid {
    size: Size,
    rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// A grid for images of `size`.
    pub fn new(size: Size) -> Self {
        Self { size, rows: Vec::new() }
    }

    /// Adds a row; a cell may hold fewer shades than an image has, and no more.
    ///
    /// # Panics
    /// If a cell holds more.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert!(row.iter().all(|cell| cell.len() <= self.size.pixels()), "a cell is one image");
        self.rows.push(row);
    }

    /// Width and height of the picture.
    pub fn picture_size(&self) -> Size {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let extent = |cells: usize, side: usize| BORDER + cells * (side * ZOOM + BORDER);
        Size { width: extent(columns, self.size.width), height: extent(self.rows.len(), self.size.height) }
    }

    /// The picture as a PNG file.
    pub fn png(&self) -> Vec<u8> {
        let picture = self.picture_size();
        let mut samples: Vec<u8> = PAPER.into_iter().cycle().take(picture.pixels() * 3).collect();
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let left = BORDER + column * (self.size.width * ZOOM + BORDER);
                let top = BORDER + row * (self.size.height * ZOOM + BORDER);
                for y in 0..self.size.height * ZOOM {
                    for x in 0..self.size.width * ZOOM {
                        let pixel = y / ZOOM * self.size.width + x / ZOOM;
                        let colour = cell.get(pixel).map_or(UNKNOWN, |shade| [*shade; 3]);
                        let at = ((top + y) * picture.width + left + x) * 3;
                        samples[at..at + 3].copy_from_slice(&colour);
                    }
                }
            }
        }
        picture::encode(picture, &samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stands_in_its_place_and_what_is_not_known_of_it_is_blue() {
        let mut grid = Grid::new(Size { width: 2, height: 2 });
        grid.push(vec![vec![0, 255, 9, 9], vec![7, 7]]);
        let (size, png) = (grid.picture_size(), grid.png());
        assert_eq!((size.width, size.height), (2 * 8 + 18, 8 + 12));
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut samples).unwrap();
        let pixel = |x: usize, y: usize| &samples[(y * size.width + x) * 3..][..3];
        assert_eq!(pixel(0, 0), PAPER);
        assert_eq!((pixel(6, 6), pixel(13, 6), pixel(6, 13)), (&[0; 3][..], &[255; 3][..], &[9; 3][..]));
        assert_eq!((pixel(20, 6), pixel(20, 13)), (&[7; 3][..], &UNKNOWN[..]));
    }
}
