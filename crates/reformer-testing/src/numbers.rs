//! Random numbers by seed, the same on every machine: matrices, and choices one after another.

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

/// Choices one after another, from a seed that is not 0 (xorshift64*): what a mutation test draws, so that a failure
/// comes again.
#[derive(Debug)]
pub struct Draw(pub u64);

impl Draw {
    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}
