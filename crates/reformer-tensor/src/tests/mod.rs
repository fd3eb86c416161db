//! One case table for all kernels: every operation at every SIMD level against its twins, and with several threads
//! against itself.

mod bf16;
mod decoding;
mod gradients;
mod invariance;
mod layers;
mod numbers;
mod packed;
mod products;
mod strange;

use reformer_testing::compare;

use crate::simd::{Level, forced};
use crate::{Address, Matrix, Purpose};

/// Row lengths around every vector width.
const COLUMNS: [usize; 14] = [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 63, 64, 130, 257];

/// Normal numbers of a case: those of `reformer_testing::numbers`, whose matrices are of the crate as others see it.
fn normal(seed: u64, rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Address::new(seed, Purpose::Test).fill_normal(matrix.as_mut_slice());
    matrix
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The largest difference from the truth.
fn error<T: crate::Real>(got: &[T], truth: &[f64]) -> f64 {
    assert_eq!(got.len(), truth.len());
    compare::worst(got.iter().zip(truth).map(|(x, t)| (x.to_f64_lossless() - t).abs()))
}

/// Passes if a kernel's error is at most twice its `f32` twin's, plus one rounding of the largest entry.
#[track_caller]
fn judge(case: &str, got: &[f32], twin: &[f32], truth: &[f64]) {
    judge_sum(case, 0, got, twin, truth);
}

/// The same for sums of `terms` numbers of size one: a single sum may come out near zero, or exact by luck, so one
/// rounding of its usual size, `√terms`, is allowed too.
#[track_caller]
fn judge_sum(case: &str, terms: usize, got: &[f32], twin: &[f32], truth: &[f64]) {
    let usual = (terms as f64).sqrt();
    let largest = truth.iter().fold(usual, |a, b| a.max(b.abs()));
    let allowed = 2.0 * error(twin, truth) + f64::from(f32::EPSILON) * largest + 1e-30;
    let error = error(got, truth);
    assert!(error <= allowed, "{case}: error {error:.2e}, allowed {allowed:.2e}");
}

/// Runs `f` once per SIMD level of this machine, with the level's name.
fn each_level(f: impl Fn(&str)) {
    for level in Level::available() {
        forced::at(level, || f(level.name()));
    }
}
