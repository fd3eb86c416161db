//! Flat arithmetic on slices, and the two questions an optimizer asks of a gradient.

use crate::Cpu;
use crate::panels::{flat, flat_pair};
use crate::simd::{kernel, rows};

/// `y += x`.
#[track_caller]
pub fn add_assign(cpu: &Cpu, y: &mut [f32], x: &[f32]) {
    check(y, x);
    cpu.threads.for_each(flat_pair(y, x), |(y, x)| rows::add(x, y));
}

/// `y −= x`.
#[track_caller]
pub fn sub_assign(cpu: &Cpu, y: &mut [f32], x: &[f32]) {
    check(y, x);
    cpu.threads.for_each(flat_pair(y, x), |(y, x)| rows::sub(x, y));
}

/// `y ← y·x`.
#[track_caller]
pub fn mul_assign(cpu: &Cpu, y: &mut [f32], x: &[f32]) {
    check(y, x);
    cpu.threads.for_each(flat_pair(y, x), |(y, x)| rows::mul(x, y));
}

/// `y ← factor·y`.
pub fn scale(cpu: &Cpu, y: &mut [f32], factor: f32) {
    cpu.threads.for_each(flat(y), |y| rows::scale(y, factor));
}

/// `y += factor·x`.
#[track_caller]
pub fn axpy(cpu: &Cpu, factor: f32, x: &[f32], y: &mut [f32]) {
    check(y, x);
    cpu.threads.for_each(flat_pair(y, x), |(y, x)| rows::axpy(factor, x, y));
}

#[track_caller]
fn check(y: &[f32], x: &[f32]) {
    assert_eq!(y.len(), x.len(), "elementwise: slices of different lengths");
}

kernel! {
    /// `Σ x²` in double precision, in a fixed order that does not depend on the level either.
    SumOfSquares: pub fn sum_of_squares<'k>(x: &'k [f32]) -> f64 = |_s| {
        // Sixteen sums side by side: plain arithmetic, which the compiler turns into vectors.
        let mut sums = [0.0_f64; 16];
        let mut chunks = x.chunks_exact(16);
        for chunk in &mut chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(chunks.remainder()) {
            *sum += f64::from(x) * f64::from(x);
        }
        sums.iter().sum()
    }
}

kernel! {
    /// Whether no number is infinite or NaN.
    AllFinite: pub fn all_finite<'k>(x: &'k [f32]) -> bool = |_s| {
        const EXPONENT: u32 = 0x7f80_0000;
        x.chunks(4096).all(|chunk| {
            let worst = chunk.iter().map(|x| x.to_bits() & EXPONENT).max();
            worst != Some(EXPONENT)
        })
    }
}
