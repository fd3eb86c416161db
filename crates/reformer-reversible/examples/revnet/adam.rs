//! Adam (Kingma and Ba 2015), one tensor at a time.

use reformer_tensor::Matrix;

/// The two moments of one tensor.
#[derive(Debug, Clone)]
pub(crate) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Adam {
    pub(crate) fn new(parameter: &Matrix) -> Self {
        let zeros = vec![0.0; parameter.as_slice().len()];
        Self { mean: zeros.clone(), square: zeros }
    }

    /// `w −= rate·m̂/(√v̂ + ε)` at step 1, 2, …
    pub(crate) fn step(&mut self, step: i32, rate: f32, parameter: &mut Matrix, gradient: &Matrix) {
        let (b1, b2, eps) = (0.9f32, 0.99f32, 1e-8);
        let (c1, c2) = (1.0 - b1.powi(step), 1.0 - b2.powi(step));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        let pairs = parameter.as_mut_slice().iter_mut().zip(gradient.as_slice());
        for ((m, v), (w, g)) in moments.zip(pairs) {
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *w -= rate * (*m / c1) / ((*v / c2).sqrt() + eps);
        }
    }
}
