//! Products of matrices.

use crate::Real;

/// `c[i, j] = Σ_p a[i, p] b[p, j]`; `a: [m, k]`, `b: [k, n]`.
pub fn matmul<T: Real>(m: usize, n: usize, k: usize, a: &[T], b: &[T]) -> Vec<T> {
    entries(m, n, |i, j| (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum())
}

/// `c[i, j] = Σ_p a[i, p] b[j, p]`; `a: [m, k]`, `b: [n, k]`.
pub fn matmul_nt<T: Real>(m: usize, n: usize, k: usize, a: &[T], b: &[T]) -> Vec<T> {
    entries(m, n, |i, j| (0..k).map(|p| a[i * k + p] * b[j * k + p]).sum())
}

/// `c[i, j] = Σ_p a[p, i] b[p, j]`; `a: [k, m]`, `b: [k, n]`.
pub fn matmul_tn<T: Real>(m: usize, n: usize, k: usize, a: &[T], b: &[T]) -> Vec<T> {
    entries(m, n, |i, j| (0..k).map(|p| a[p * m + i] * b[p * n + j]).sum())
}

fn entries<T>(m: usize, n: usize, f: impl Fn(usize, usize) -> T) -> Vec<T> {
    (0..m * n).map(|at| f(at / n, at % n)).collect()
}
