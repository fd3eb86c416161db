//! Softmax, logsumexp and cross-entropy of one row.

use crate::Real;

/// `log Σ exp(x)`, shifted by the maximum; `−∞` for a row of nothing but `−∞`.
pub fn logsumexp<T: Real>(x: &[T]) -> T {
    let max = x.iter().copied().fold(T::neg_infinity(), |a, b| if b > a || b.is_nan() { b } else { a });
    if max == T::neg_infinity() {
        return max;
    }
    max + x.iter().map(|&x| (x - max).exp()).sum::<T>().ln()
}

/// `y = exp(x) / Σ exp(x)`, shifted by the maximum; zeros for a row of nothing but `−∞`.
pub fn softmax<T: Real>(x: &[T]) -> Vec<T> {
    let max = x.iter().copied().fold(T::neg_infinity(), |a, b| if b > a || b.is_nan() { b } else { a });
    if max == T::neg_infinity() {
        return vec![T::zero(); x.len()];
    }
    let e: Vec<T> = x.iter().map(|&x| (x - max).exp()).collect();
    let sum = e.iter().copied().sum::<T>();
    e.into_iter().map(|e| e / sum).collect()
}

/// Gradient of [`softmax`] from its output: `dx = y·(dy − Σ y·dy)`.
pub fn softmax_backward<T: Real>(y: &[T], dy: &[T]) -> Vec<T> {
    let dot = y.iter().zip(dy).map(|(&y, &d)| y * d).sum::<T>();
    y.iter().zip(dy).map(|(&y, &d)| y * (d - dot)).collect()
}

/// `−log softmax(x)[target]`.
pub fn cross_entropy<T: Real>(x: &[T], target: usize) -> T {
    logsumexp(x) - x[target]
}

/// Gradient of [`cross_entropy`]: `softmax(x) − onehot(target)`.
pub fn cross_entropy_backward<T: Real>(x: &[T], target: usize) -> Vec<T> {
    let mut dx = softmax(x);
    dx[target] -= T::one();
    dx
}
