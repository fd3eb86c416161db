//! A stream's gradient, `[tokens, hidden]`, in `f32` or, at half the memory, in `bf16`.
//!
//! Everything that touches it works on a piece of the tokens, so a `bf16` stream is widened and rounded a piece at a
//! time:
//!
//! ```text
//! read(tokens)         a view, or a widened copy of the piece
//! update(tokens, f)    f changes the piece in f32; rounded once when it goes back
//! ```
//!
//! A gradient is rounded once for every sublayer that adds to it: a relative error of at most 2⁻⁸ each, of either sign.
//! Activations are never kept in 16 bits: the reverse pass restores them by subtraction, and what rounding takes away
//! does not come back.

use std::ops::Range;

use reformer_reversible::Activations;
use reformer_tensor::{Buffer, Cpu, LeasedMatrix, Matrix, Precision, View, ViewMut, elementwise, narrow};

/// Numbers that one thread converts at a time.
const PANEL_ELEMENTS: usize = 16 * 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub enum GradientStream {
    /// As computed.
    F32(Matrix),
    /// Rounded.
    Bf16(Narrow),
}

/// A matrix of `bf16` numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Narrow {
    rows: usize,
    cols: usize,
    bits: Buffer<u16>,
}

/// Some tokens of a stream, to read.
pub(crate) enum Piece<'a> {
    View(View<'a>),
    Widened(LeasedMatrix),
}

impl Piece<'_> {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::View(view) => *view,
            Self::Widened(copy) => copy.view(),
        }
    }
}

impl From<Matrix> for GradientStream {
    fn from(matrix: Matrix) -> Self {
        Self::F32(matrix)
    }
}

impl GradientStream {
    /// Zeros.
    pub fn zeros(precision: Precision, rows: usize, cols: usize) -> Self {
        match precision {
            Precision::F32 => Self::F32(Matrix::zeros(rows, cols)),
            Precision::Bf16 => Self::Bf16(Narrow { rows, cols, bits: Buffer::zeroed(rows * cols) }),
        }
    }

    /// The numbers in `f32`.
    pub fn into_matrix(self) -> Matrix {
        match self {
            Self::F32(matrix) => matrix,
            Self::Bf16(narrow) => {
                let mut wide = Matrix::zeros(narrow.rows, narrow.cols);
                narrow::widen(&narrow.bits, wide.as_mut_slice());
                wide
            }
        }
    }

    /// The tokens of a range.
    // A borrowed view in f32: the default must not pay for what only bf16 needs.
    pub(crate) fn read(&self, cpu: &Cpu, tokens: Range<usize>) -> Piece<'_> {
        match self {
            Self::F32(matrix) => Piece::View(matrix.view().rows_range(tokens)),
            Self::Bf16(narrow) => Piece::Widened(narrow.widened(cpu, tokens)),
        }
    }

    /// Changes the tokens of a range.
    pub(crate) fn update(&mut self, cpu: &Cpu, tokens: Range<usize>, change: impl FnOnce(ViewMut<'_>)) {
        match self {
            Self::F32(matrix) => change(matrix.view_mut().rows_range_mut(tokens)),
            Self::Bf16(narrow) => {
                // In f32 until everything of this piece is added, so a sublayer costs one rounding, however many
                // terms it has.
                let mut piece = narrow.widened(cpu, tokens.clone());
                change(piece.view_mut());
                let to = &mut narrow.bits[tokens.start * narrow.cols..tokens.end * narrow.cols];
                let panels =
                    piece.as_slice().chunks(PANEL_ELEMENTS).zip(to.chunks_mut(PANEL_ELEMENTS)).collect();
                cpu.threads.for_each(panels, |(from, to): (&[f32], &mut [u16])| narrow::narrow(from, to));
            }
        }
    }

    /// Overwrites one token.
    pub(crate) fn set_row(&mut self, token: usize, row: &[f32]) {
        match self {
            Self::F32(matrix) => matrix.row_mut(token).copy_from_slice(row),
            Self::Bf16(narrow) => {
                narrow::narrow(row, &mut narrow.bits[token * narrow.cols..][..narrow.cols]);
            }
        }
    }

    /// `self + other` in `f32`.
    // By value: a sum of two f32 streams takes the first one's memory.
    pub(crate) fn sum(self, cpu: &Cpu, other: Self) -> Matrix {
        match (self, other) {
            (Self::F32(mut first), Self::F32(second)) => {
                elementwise::add_assign(cpu, first.as_mut_slice(), second.as_slice());
                first
            }
            (first, second) => {
                let (rows, cols) = first.shape();
                let mut sum = Matrix::zeros(rows, cols);
                // Piece by piece, or two widened copies of whole streams would be held at the moment of the peak.
                for start in (0..rows).step_by(PANEL_ELEMENTS) {
                    let tokens = start..rows.min(start + PANEL_ELEMENTS);
                    let (a, b) = (first.read(cpu, tokens.clone()), second.read(cpu, tokens.clone()));
                    let mut view = sum.view_mut();
                    let mut to = view.rows_range_mut(tokens);
                    to.copy_from(a.view());
                    elementwise::add_assign(cpu, to.as_mut_slice(), b.view().as_slice());
                }
                sum
            }
        }
    }

    fn shape(&self) -> (usize, usize) {
        match self {
            Self::F32(matrix) => (matrix.rows(), matrix.cols()),
            Self::Bf16(narrow) => (narrow.rows, narrow.cols),
        }
    }

    /// Every number changed by the one in the same place.
    fn combine(&mut self, other: &Self, f: impl Fn(f32, f32) -> f32) {
        assert_eq!(self.shape(), other.shape(), "gradients of one shape");
        // One thread and a row at a time: no pass of a model comes here.
        let cpu = Cpu::single();
        let rows = self.shape().0;
        for token in 0..rows {
            let other = other.read(&cpu, token..token + 1);
            self.update(&cpu, token..token + 1, |mut row| {
                row.row_mut(0).iter_mut().zip(other.view().row(0)).for_each(|(a, &b)| *a = f(*a, b));
            });
        }
    }
}

impl Narrow {
    fn widened(&self, cpu: &Cpu, tokens: Range<usize>) -> LeasedMatrix {
        let mut piece = cpu.workspace.take_matrix(tokens.len(), self.cols);
        let from = &self.bits[tokens.start * self.cols..tokens.end * self.cols];
        let panels =
            from.chunks(PANEL_ELEMENTS).zip(piece.as_mut_slice().chunks_mut(PANEL_ELEMENTS)).collect();
        cpu.threads.for_each(panels, |(from, to): (&[u16], &mut [f32])| narrow::widen(from, to));
        piece
    }
}

impl Activations for GradientStream {
    fn zeros_like(&self) -> Self {
        let (rows, cols) = self.shape();
        let precision = if matches!(self, Self::F32(_)) { Precision::F32 } else { Precision::Bf16 };
        Self::zeros(precision, rows, cols)
    }

    fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a + b);
    }

    fn sub(&mut self, other: &Self) {
        self.combine(other, |a, b| a - b);
    }

    fn clear(&mut self) {
        match self {
            Self::F32(matrix) => matrix.as_mut_slice().fill(0.0),
            Self::Bf16(narrow) => narrow.bits.fill(0),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(matrix) => size_of_val(matrix.as_slice()),
            Self::Bf16(narrow) => size_of_val(&narrow.bits[..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_add_subtract_update_and_clear() {
        let cpu = Cpu::single();
        for precision in [Precision::F32, Precision::Bf16] {
            let mut a = GradientStream::zeros(precision, 3, 2);
            a.set_row(1, &[1.0, -2.0]);
            a.update(&cpu, 1..3, |mut piece| piece.row_mut(1)[0] = 4.0);
            let mut b = a.clone();
            b.add(&a);
            b.sub(&a);
            assert_eq!(b, a);
            let sum = a.clone().sum(&cpu, b.clone());
            assert_eq!(sum.as_slice(), [0.0, 0.0, 2.0, -4.0, 8.0, 0.0]);
            b.clear();
            assert_eq!(b, a.zeros_like());
        }
        assert_eq!(GradientStream::zeros(Precision::Bf16, 3, 2).bytes(), 12);
    }
}
