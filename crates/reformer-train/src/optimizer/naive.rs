//! Both optimizers again, one tensor, one thread, generic over the precision. For tests only.

use reformer_tensor::Real;

use crate::recipe::OptimizerRecipe;

/// One AdamW step; `m` and `v` are its state.
#[allow(clippy::too_many_arguments, reason = "the algorithm's own letters")]
pub fn adamw<T: Real>(
    r: &OptimizerRecipe,
    x: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    lr: f64,
    t: u64,
    decay: bool,
) {
    let (b1, b2) = (T::of(r.beta1), T::of(r.beta2));
    let (c1, c2) = (T::of(1.0 - r.beta1.powf(t as f64)), T::of(1.0 - r.beta2.powf(t as f64)));
    let lambda = T::of(if decay { r.weight_decay } else { 0.0 });
    for i in 0..x.len() {
        m[i] = b1 * m[i] + (T::one() - b1) * g[i];
        v[i] = b2 * v[i] + (T::one() - b2) * g[i] * g[i];
        let step = m[i] / c1 / ((v[i] / c2).sqrt() + T::of(r.eps)) + lambda * x[i];
        x[i] -= T::of(lr) * step;
    }
}

/// One Adafactor step of a matrix with `cols` columns; `rows` and `columns` are its state.
#[allow(clippy::too_many_arguments, reason = "the algorithm's own letters")]
pub fn adafactor<T: Real>(
    o: &OptimizerRecipe,
    x: &mut [T],
    g: &[T],
    rows: &mut [T],
    columns: &mut [T],
    lr: f64,
    t: u64,
    decay: bool,
) {
    let (r, c) = (rows.len(), columns.len());
    let beta = T::of(1.0 - (t as f64).powf(-0.8));
    let square = |i: usize, j: usize| g[i * c + j] * g[i * c + j] + T::of(o.eps);
    for (i, row) in rows.iter_mut().enumerate() {
        let mean = (0..c).map(|j| square(i, j)).sum::<T>() / T::of(c as f64);
        *row = beta * *row + (T::one() - beta) * mean;
    }
    for (j, column) in columns.iter_mut().enumerate() {
        let mean = (0..r).map(|i| square(i, j)).sum::<T>() / T::of(r as f64);
        *column = beta * *column + (T::one() - beta) * mean;
    }
    let mean = rows.iter().copied().sum::<T>() / T::of(r as f64);
    let rms = |values: &[T]| (values.iter().map(|&u| u * u).sum::<T>() / T::of(values.len() as f64)).sqrt();
    let update: Vec<T> = (0..r * c).map(|e| g[e] / (rows[e / c] / mean * columns[e % c]).sqrt()).collect();
    let clip = rms(&update).max(T::one());
    let relative = if o.scale_parameter { rms(x).max(T::of(1e-3)) } else { T::one() };
    let lambda = T::of(if decay { o.weight_decay } else { 0.0 });
    for (x, &u) in x.iter_mut().zip(&update) {
        *x = *x - T::of(lr) * relative * u / clip - T::of(lr) * lambda * *x;
    }
}
