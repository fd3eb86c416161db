//! Attention as matrices: exact beside LSH with more and more rounds, a query a row, a key a column.

use reformer::tensor::Matrix;

use super::canvas::{Anchor, Canvas, SIDE, TOP};
use super::lesson::percent;

/// Side of a matrix, space between two, matrices side by side.
const SQUARE: f64 = 216.0;
const SPACE: f64 = 30.0;
const ACROSS: usize = 3;

/// One matrix under its name; of LSH ones, the share of the exact weight that they keep.
pub(crate) struct Panel {
    pub(crate) name: String,
    pub(crate) weights: Matrix,
    pub(crate) kept: Option<f64>,
}

/// Draws the panels, the first being the exact one, whose weights show through the others where they see nothing.
pub(crate) fn draw(title: &str, about: &str, panels: &[Panel]) -> String {
    let down = panels.len().div_ceil(ACROSS);
    let mut canvas = Canvas::new(
        2.0 * SIDE + ACROSS as f64 * SQUARE + (ACROSS - 1) as f64 * SPACE,
        TOP + down as f64 * (SQUARE + 48.0) + 14.0,
        title,
        about,
    );
    let exact = &panels[0].weights;
    let len = exact.rows();
    let side = SQUARE / len as f64;
    for (at, panel) in panels.iter().enumerate() {
        let x = SIDE + (at % ACROSS) as f64 * (SQUARE + SPACE);
        let y = TOP + 22.0 + (at / ACROSS) as f64 * (SQUARE + 48.0);
        canvas.words((x, y - 8.0), Anchor::Start, "ink strong", &panel.name);
        if let Some(kept) = panel.kept {
            canvas.words((x + SQUARE, y - 8.0), Anchor::End, "aside", &format!("keeps {}", percent(kept)));
        }
        for i in 0..len {
            for j in 0..=i {
                let (p, truth) = (f64::from(panel.weights.row(i)[j]), f64::from(exact.row(i)[j]));
                let place = (x + j as f64 * side, y + i as f64 * side);
                // The root: small weights are most of what there is to see.
                if p > 0.0 {
                    canvas.shade(place, side, "f0", 0.12 + 0.88 * p.sqrt());
                } else if truth > 0.01 {
                    canvas.shade(place, side, "f1", 0.12 + 0.6 * truth.sqrt());
                }
            }
        }
        let (right, bottom) = (x + SQUARE, y + SQUARE);
        for (from, to) in [
            ((x, y), (right, y)),
            ((right, y), (right, bottom)),
            ((right, bottom), (x, bottom)),
            ((x, bottom), (x, y)),
        ] {
            canvas.line(from, to, "rule thin");
        }
    }
    canvas.svg()
}
