//! Flat arithmetic on slices.

use crate::Cpu;

/// `y += x`.
#[track_caller]
pub fn add_assign(cpu: &Cpu, y: &mut [f32], x: &[f32]) {
    axpy(cpu, 1.0, x, y);
}

/// `y −= x`.
#[track_caller]
pub fn sub_assign(cpu: &Cpu, y: &mut [f32], x: &[f32]) {
    axpy(cpu, -1.0, x, y);
}

/// `y ← factor·y`.
pub fn scale(cpu: &Cpu, y: &mut [f32], factor: f32) {
    let _ = cpu;
    y.iter_mut().for_each(|y| *y *= factor);
}

/// `y += factor·x`.
#[track_caller]
pub fn axpy(cpu: &Cpu, factor: f32, x: &[f32], y: &mut [f32]) {
    let _ = cpu;
    assert_eq!(x.len(), y.len());
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

/// `Σ x²`, in a fixed order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}

/// Whether no number is infinite or NaN.
pub fn all_finite(x: &[f32]) -> bool {
    x.iter().all(|x| x.is_finite())
}
