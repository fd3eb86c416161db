//! Small dense kernels on contiguous blocks.

use crate::naive;

fn put(c: &mut [f32], product: Vec<f32>) {
    c[..product.len()].copy_from_slice(&product);
}

fn add(c: &mut [f32], product: Vec<f32>) {
    for (c, p) in c.iter_mut().zip(product) {
        *c += p;
    }
}

/// `c = a·b`; `a: [m, k]`, `b: [k, n]`.
pub fn nn(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    put(c, naive::matmul(m, n, k, a, b));
}

/// `c += a·b`; `a: [m, k]`, `b: [k, n]`.
pub fn nn_add(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    add(c, naive::matmul(m, n, k, a, b));
}

/// `c = a·bᵀ`; `a: [m, k]`, `b: [n, k]`.
pub fn nt(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    put(c, naive::matmul_nt(m, n, k, a, b));
}

/// `c += a·bᵀ`; `a: [m, k]`, `b: [n, k]`.
pub fn nt_add(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    add(c, naive::matmul_nt(m, n, k, a, b));
}

/// `c = aᵀ·b`; `a: [k, m]`, `b: [k, n]`.
pub fn tn(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    put(c, naive::matmul_tn(m, n, k, a, b));
}

/// `c += aᵀ·b`; `a: [k, m]`, `b: [k, n]`.
pub fn tn_add(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    add(c, naive::matmul_tn(m, n, k, a, b));
}

/// `max x`; `−∞` of nothing.
pub fn row_max(x: &[f32]) -> f32 {
    x.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// `x ← exp(x − max)`; returns `Σ exp(x − max)`.
pub fn row_exp_sum(x: &mut [f32], max: f32) -> f32 {
    x.iter_mut()
        .map(|x| {
            *x = (*x - max).exp();
            *x
        })
        .sum()
}

/// `x ← factor·x`.
pub fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

/// `Σ x·y`.
#[track_caller]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `y += factor·x`.
#[track_caller]
pub fn axpy(factor: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}
