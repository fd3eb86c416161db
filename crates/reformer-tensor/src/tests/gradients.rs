//! The twins' backward passes against finite differences in double precision.

use crate::activation::Activation;
use crate::naive;
use crate::tests::{normal, wide};

/// Checks `gradient` of `f` at `x` by central differences.
#[track_caller]
fn check(case: &str, x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(x.len(), gradient.len());
    for i in 0..x.len() {
        let mut at = x.to_vec();
        at[i] = x[i] + STEP;
        let above = f(&at);
        at[i] = x[i] - STEP;
        let slope = (above - f(&at)) / (2.0 * STEP);
        let error = (slope - gradient[i]).abs();
        assert!(
            error < 1e-8 * (1.0 + slope.abs()),
            "{case}[{i}]: {} by the twin, {slope} by differences",
            gradient[i]
        );
    }
}

fn vector(seed: u64, n: usize) -> Vec<f64> {
    wide(normal(seed, 1, n).as_slice())
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[test]
fn layer_norm_backward_is_the_gradient() {
    let n = 9;
    let [x, gamma, beta, dy] = [1, 2, 3, 4].map(|seed| vector(seed, n));
    let (dx, dgamma, dbeta) = naive::layer_norm_backward(&x, &gamma, 1e-3, &dy);
    check("dx", &x, &dx, |x| dot(&dy, &naive::layer_norm(x, &gamma, &beta, 1e-3)));
    check("dgamma", &gamma, &dgamma, |gamma| dot(&dy, &naive::layer_norm(&x, gamma, &beta, 1e-3)));
    check("dbeta", &beta, &dbeta, |beta| dot(&dy, &naive::layer_norm(&x, &gamma, beta, 1e-3)));
}

#[test]
fn activation_derivatives_are_the_gradients() {
    for kind in Activation::ALL {
        let x: Vec<f64> = (-40..40).map(|i| 0.1 * f64::from(i) + 0.03).collect();
        let gradient: Vec<f64> = x.iter().map(|&x| naive::activation_derivative(kind, x)).collect();
        check(&format!("{kind:?}"), &x, &gradient, |x| x.iter().map(|&x| naive::activation(kind, x)).sum());
    }
}

#[test]
fn softmax_backward_is_the_gradient() {
    let (x, dy) = (vector(1, 11), vector(2, 11));
    let dx = naive::softmax_backward(&naive::softmax(&x), &dy);
    check("softmax", &x, &dx, |x| dot(&dy, &naive::softmax(x)));
}

#[test]
fn cross_entropy_backward_is_the_gradient() {
    let x = vector(1, 11);
    for target in [0, 4, 10] {
        let dx = naive::cross_entropy_backward(&x, target);
        check("cross-entropy", &x, &dx, |x| naive::cross_entropy(x, target));
    }
}

#[test]
fn the_gradient_of_logsumexp_is_softmax() {
    let x = vector(1, 11);
    check("logsumexp", &x, &naive::softmax(&x), naive::logsumexp);
}

#[test]
fn bias_and_table_gradients_are_sums() {
    let (rows, cols) = (4, 3);
    let (b, dy) = (vector(1, cols), vector(2, rows * cols));
    check("bias", &b, &naive::column_sums(&dy, cols), |b| {
        let mut y = vec![0.0; rows * cols];
        y.chunks_mut(cols).for_each(|row| naive::add_bias(row, b));
        dot(&dy, &y)
    });
    let (table, ids) = (vector(3, 5 * cols), [1, 4, 1, 0]);
    let mut dtable = vec![0.0; table.len()];
    naive::scatter_add(&ids, &dy, cols, &mut dtable);
    check("table", &table, &dtable, |table| dot(&dy, &naive::gather(table, cols, &ids)));
}

#[test]
fn the_gradients_of_a_product_are_products() {
    let (m, n, k) = (3, 4, 5);
    let (a, b, dc) = (vector(1, m * k), vector(2, n * k), vector(3, m * n));
    let loss = |a: &[f64], b: &[f64]| dot(&dc, &naive::matmul_nt(m, n, k, a, b));
    check("da = dc·b", &a, &naive::matmul(m, k, n, &dc, &b), |a| loss(a, &b));
    check("db = dcᵀ·a", &b, &naive::matmul_tn(n, k, m, &dc, &a), |b| loss(&a, b));
}
