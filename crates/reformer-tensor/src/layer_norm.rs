//! Layer normalisation over rows.
//!
//! ```text
//! mean = Σ x/n     σ = √(Σ (x − mean)²/n + eps)     x̂ = (x − mean)/σ     y = x̂·gamma + beta
//! ```
//!
//! Backward, with `g = dy·gamma`: `σ` and `mean` depend on every entry of the row, and
//! `∂x̂_j/∂x_i = (δ_ij − 1/n − x̂_i x̂_j/n)/σ`, hence
//!
//! ```text
//! dx = (g − mean(g) − x̂·mean(g·x̂))/σ     dgamma = Σ_rows dy·x̂     dbeta = Σ_rows dy
//! ```
//!
//! Nothing is kept from the forward pass: a row's statistics cost less than fetching them. The variance is summed in a
//! second pass over the row, which is in the first cache by then; `Σx² − n·mean²` would cancel.
//!
//! # Shapes
//! - `x`, `y`, `dy`, `dx`: `[rows, n]`   - `gamma`, `beta`, `dgamma`, `dbeta`: `[n]`

use crate::panels::{Partials, rows_per_panel};
use crate::simd::rows::{fold, fold_pair, update, update_with};
use crate::simd::{Simd, kernel};
use crate::{Cpu, View, ViewMut};

/// `y = (x − mean)/√(variance + eps)·gamma + beta`.
#[track_caller]
pub fn forward(cpu: &Cpu, x: View<'_>, gamma: &[f32], beta: &[f32], eps: f32, y: ViewMut<'_>) {
    check(x, gamma, y.as_view(), "y");
    assert_eq!(beta.len(), x.cols(), "layer norm: beta against columns");
    let rows = rows_per_panel(x.cols());
    let items: Vec<_> = x.row_panels(rows).into_iter().zip(y.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(x, y)| forward_panel(x, gamma, beta, eps, y));
}

/// `dx +=`, `dgamma +=`, `dbeta +=`, the sums over rows in a fixed order.
#[track_caller]
#[expect(clippy::too_many_arguments, reason = "operands of one equation")]
pub fn backward(
    cpu: &Cpu,
    x: View<'_>,
    gamma: &[f32],
    eps: f32,
    dy: View<'_>,
    dx: ViewMut<'_>,
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    check(x, gamma, dy, "dy");
    check(x, gamma, dx.as_view(), "dx");
    let n = x.cols();
    assert_eq!((dgamma.len(), dbeta.len()), (n, n), "layer norm: dgamma, dbeta against columns");
    // One row of scratch for x̂ beside each panel's two sums.
    let mut partials = Partials::new(cpu, x.rows(), n, 3 * n);
    let rows = partials.rows();
    let items: Vec<_> = x
        .row_panels(rows)
        .into_iter()
        .zip(dy.row_panels(rows))
        .zip(dx.row_panels(rows))
        .zip(partials.each())
        .collect();
    cpu.threads.for_each(items, |(((x, dy), dx), sums)| {
        let (sums, normal) = sums.split_at_mut(2 * n);
        backward_panel(x, gamma, eps, dy, dx, sums, &mut normal[..n]);
    });
    for sums in partials.each() {
        crate::simd::rows::add(&sums[..n], dgamma);
        crate::simd::rows::add(&sums[n..2 * n], dbeta);
    }
}

#[track_caller]
fn check(x: View<'_>, gamma: &[f32], other: View<'_>, name: &str) {
    assert!(
        (x.rows(), x.cols()) == (other.rows(), other.cols()) && gamma.len() == x.cols(),
        "layer norm: x is {} x {}, {name} {} x {}, gamma {}",
        x.rows(),
        x.cols(),
        other.rows(),
        other.cols(),
        gamma.len()
    );
}

/// Writes `x − mean` and returns `1/σ`.
#[inline(always)]
fn centre<S: Simd>(s: S, x: &[f32], eps: f32, out: &mut [f32]) -> f32 {
    let n = x.len() as f32;
    let mean = s.sum(fold(s, x, (0.0, 0.0), |acc, x| s.add(acc, x), |a, b| s.add(a, b))) / n;
    let shift = s.splat(mean);
    update_with(s, out, x, |_, x| s.sub(x, shift));
    let squares = fold(s, out, (0.0, 0.0), |acc, x| s.mul_add(x, x, acc), |a, b| s.add(a, b));
    1.0 / (s.sum(squares) / n + eps).sqrt()
}

kernel! {
    ForwardPanel: fn forward_panel<'k>(x: View<'k>, gamma: &'k [f32], beta: &'k [f32], eps: f32, y: ViewMut<'k>) = |s| {
        let mut y = y;
        for i in 0..x.rows() {
            let y = y.row_mut(i);
            let inverse = centre(s, x.row(i), eps, y);
            let inverse = s.splat(inverse);
            update_with(s, y, gamma, |y, gamma| s.mul(s.mul(y, inverse), gamma));
            update_with(s, y, beta, |y, beta| s.add(y, beta));
        }
    }
}

kernel! {
    BackwardPanel: fn backward_panel<'k>(
        x: View<'k>, gamma: &'k [f32], eps: f32, dy: View<'k>, dx: ViewMut<'k>,
        sums: &'k mut [f32], normal: &'k mut [f32]
    ) = |s| {
        let mut dx = dx;
        let n = x.cols();
        let (dgamma, dbeta) = sums.split_at_mut(n);
        dgamma.fill(0.0);
        dbeta.fill(0.0);
        for i in 0..x.rows() {
            let inverse = centre(s, x.row(i), eps, normal);
            let scale = s.splat(inverse);
            update(s, normal, |x| s.mul(x, scale));
            let (dx, dy) = (dx.row_mut(i), dy.row(i));
            let mean = s.sum(fold_pair(s, dy, gamma, |acc, dy, gamma| s.mul_add(dy, gamma, acc))) / n as f32;
            // g·x̂ in one go: dgamma takes dy·x̂ on the way.
            update_with(s, dbeta, dy, |sum, dy| s.add(sum, dy));
            let mut along = s.zero();
            let whole = n - n % S::LANES;
            for j in (0..whole).step_by(S::LANES) {
                let product = s.mul(s.load(&dy[j..]), s.load(&normal[j..]));
                let sum = s.add(s.load(&dgamma[j..]), product);
                s.store(&mut dgamma[j..], sum);
                along = s.mul_add(product, s.load(&gamma[j..]), along);
            }
            if whole < n {
                let zero = s.zero();
                let product = s.mul(s.load_part(&dy[whole..], zero), s.load_part(&normal[whole..], zero));
                let sum = s.add(s.load_part(&dgamma[whole..], zero), product);
                s.store_part(&mut dgamma[whole..], sum);
                along = s.mul_add(product, s.load_part(&gamma[whole..], zero), along);
            }
            let along = s.splat(s.sum(along) / n as f32);
            let mean = s.splat(mean);
            // normal ← mean(g) + x̂·mean(g·x̂), then dx += (dy·gamma − normal)/σ.
            update(s, normal, |x| s.mul_add(x, along, mean));
            for j in (0..whole).step_by(S::LANES) {
                let g = s.mul(s.load(&dy[j..]), s.load(&gamma[j..]));
                let d = s.mul_add(s.sub(g, s.load(&normal[j..])), scale, s.load(&dx[j..]));
                s.store(&mut dx[j..], d);
            }
            if whole < n {
                let zero = s.zero();
                let g = s.mul(s.load_part(&dy[whole..], zero), s.load_part(&gamma[whole..], zero));
                let centred = s.sub(g, s.load_part(&normal[whole..], zero));
                let d = s.mul_add(centred, scale, s.load_part(&dx[whole..], zero));
                s.store_part(&mut dx[whole..], d);
            }
        }
    }
}
