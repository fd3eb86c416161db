//! Bias rows: `y = x + bias`, and `dbias = Σ_rows dy`.

use crate::panels::{Partials, rows_per_panel};
use crate::simd::kernel;
use crate::simd::rows::{self, update_with};
use crate::{Cpu, View, ViewMut};

/// `x[i, :] += bias`.
#[track_caller]
pub fn add_rows(cpu: &Cpu, x: ViewMut<'_>, bias: &[f32]) {
    assert_eq!(x.cols(), bias.len(), "bias: columns against biases");
    let panels = x.row_panels(rows_per_panel(bias.len()));
    cpu.threads.for_each(panels, |panel| add_panel(panel, bias));
}

/// `dbias += Σ_i dy[i, :]`, in a fixed order.
#[track_caller]
pub fn grad(cpu: &Cpu, dy: View<'_>, dbias: &mut [f32]) {
    assert_eq!(dy.cols(), dbias.len(), "bias: columns against biases");
    let mut partials = Partials::new(cpu, dy.rows(), dy.cols(), dy.cols());
    let items: Vec<_> = dy.row_panels(partials.rows()).into_iter().zip(partials.each()).collect();
    cpu.threads.for_each(items, |(dy, sum)| sum_panel(dy, sum));
    for sum in partials.each() {
        rows::add(sum, dbias);
    }
}

kernel! {
    AddPanel: fn add_panel<'k>(x: ViewMut<'k>, bias: &'k [f32]) = |s| {
        let mut x = x;
        for i in 0..x.rows() {
            update_with(s, x.row_mut(i), bias, |x, b| s.add(x, b));
        }
    }
}

kernel! {
    SumPanel: fn sum_panel<'k>(dy: View<'k>, sum: &'k mut [f32]) = |s| {
        let sum = &mut sum[..dy.cols()];
        sum.fill(0.0);
        for row in dy.rows_iter() {
            update_with(s, sum, row, |sum, d| s.add(sum, d));
        }
    }
}
