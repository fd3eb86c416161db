//! Random matrices by seed: the same numbers on every machine.

use reformer_tensor::{Address, Matrix, Purpose, Real};

/// Standard normal numbers `[rows, cols]`; another seed, other numbers.
pub fn normal(seed: u64, rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Address::new(seed, Purpose::Test).fill_normal(matrix.as_mut_slice());
    matrix
}

/// The same numbers times `scale`, in `f32` or `f64`.
pub fn scaled_normal<T: Real>(seed: u64, rows: usize, cols: usize, scale: f64) -> Matrix<T> {
    let drawn = normal(seed, rows, cols);
    Matrix::from_fn(rows, cols, |i, j| T::of(f64::from(drawn.row(i)[j]) * scale))
}

/// Small whole numbers: every sum of products is exact, so ties are ties in any order of summation.
pub fn whole_numbers(seed: u64, rows: usize, cols: usize) -> Matrix {
    let mut matrix = normal(seed, rows, cols);
    matrix.as_mut_slice().iter_mut().for_each(|x| *x = x.round());
    matrix
}
