//! An owned row-major matrix.

use crate::{Buffer, Real, View, ViewMut};

/// A contiguous row-major matrix in aligned memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix<T: Real = f32> {
    rows: usize,
    cols: usize,
    data: Buffer<T>,
}

impl<T: Real> Matrix<T> {
    /// All zero.
    #[track_caller]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        let len = rows
            .checked_mul(cols)
            .unwrap_or_else(|| panic!("a matrix of {rows} x {cols} does not fit the address space"));
        Self { rows, cols, data: Buffer::zeroed(len) }
    }

    /// From row-major values.
    ///
    /// # Panics
    /// If there are not `rows · cols` of them.
    #[track_caller]
    pub fn from_vec(rows: usize, cols: usize, values: Vec<T>) -> Self {
        Self::from_slice(rows, cols, &values)
    }

    /// A copy of row-major values.
    ///
    /// # Panics
    /// If there are not `rows · cols` of them.
    #[track_caller]
    pub fn from_slice(rows: usize, cols: usize, values: &[T]) -> Self {
        let needed = rows.saturating_mul(cols);
        assert_eq!(values.len(), needed, "a {rows} x {cols} matrix needs {needed} values");
        Self { rows, cols, data: Buffer::from_slice(values) }
    }

    /// The matrix whose entry `(i, j)` is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> T) -> Self {
        let mut matrix = Self::zeros(rows, cols);
        for i in 0..rows {
            for (j, x) in matrix.row_mut(i).iter_mut().enumerate() {
                *x = f(i, j);
            }
        }
        matrix
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`.
    #[inline]
    #[track_caller]
    pub fn row(&self, i: usize) -> &[T] {
        &self.data[i * self.cols..][..self.cols]
    }

    /// Row `i`, to write.
    #[inline]
    #[track_caller]
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        &mut self.data[i * self.cols..][..self.cols]
    }

    /// All entries, row by row.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }

    /// All entries, row by row, to write.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The whole matrix as a view.
    #[inline]
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.data, self.rows, self.cols)
    }

    /// The whole matrix as a view to write.
    #[inline]
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.data, self.rows, self.cols)
    }

    /// The buffer behind it.
    pub fn into_buffer(self) -> Buffer<T> {
        self.data
    }

    /// Every entry rounded to another precision.
    pub fn cast<U: Real>(&self) -> Matrix<U> {
        Matrix {
            rows: self.rows,
            cols: self.cols,
            data: self.data.iter().map(|x| U::of(x.to_f64_lossless())).collect(),
        }
    }
}
