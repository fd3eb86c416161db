//! The buffers that flow through a reversible sequence.

use reformer_tensor::{Matrix, Real};

/// A stream of activations (or of their gradients): whatever an engine computes on, as long as it can be added up.
pub trait Activations {
    /// Zeros of the same shape.
    fn zeros_like(&self) -> Self;
    /// `self += other`.
    fn add(&mut self, other: &Self);
    /// `self -= other`.
    fn sub(&mut self, other: &Self);
    /// Sets everything to zero.
    fn clear(&mut self);
    /// Bytes held.
    fn bytes(&self) -> usize;
}

impl<T: Real> Activations for Matrix<T> {
    fn zeros_like(&self) -> Self {
        Self::zeros(self.rows(), self.cols())
    }

    fn add(&mut self, other: &Self) {
        assert_same_shape(self, other);
        self.as_mut_slice().iter_mut().zip(other.as_slice()).for_each(|(a, &b)| *a += b);
    }

    fn sub(&mut self, other: &Self) {
        assert_same_shape(self, other);
        self.as_mut_slice().iter_mut().zip(other.as_slice()).for_each(|(a, &b)| *a -= b);
    }

    fn clear(&mut self) {
        self.as_mut_slice().fill(T::zero());
    }

    fn bytes(&self) -> usize {
        size_of_val(self.as_slice())
    }
}

#[track_caller]
fn assert_same_shape<T: Real>(a: &Matrix<T>, b: &Matrix<T>) {
    assert_eq!((a.rows(), a.cols()), (b.rows(), b.cols()), "activations of one shape");
}

/// The two residual streams, or their two gradients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams<A> {
    /// x1 before a block, y1 after it.
    pub first: A,
    /// x2 before a block, y2 after it.
    pub second: A,
}

impl<A: Activations> Streams<A> {
    /// Zeros of the same shapes.
    pub fn zeros_like(&self) -> Self {
        Self { first: self.first.zeros_like(), second: self.second.zeros_like() }
    }

    /// Bytes held by both.
    pub fn bytes(&self) -> usize {
        self.first.bytes() + self.second.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_add_subtract_and_clear() {
        let mut a = Matrix::<f64>::from_vec(1, 3, vec![1.0, 2.0, 3.0]);
        let b = Matrix::from_vec(1, 3, vec![0.5, -2.0, 4.0]);
        a.add(&b);
        assert_eq!(a.as_slice(), [1.5, 0.0, 7.0]);
        a.sub(&b);
        assert_eq!((a.as_slice(), a.bytes()), (&[1.0, 2.0, 3.0][..], 24));
        a.clear();
        assert_eq!(a, a.zeros_like());
    }

    #[test]
    #[should_panic(expected = "activations of one shape")]
    fn adding_other_shapes_panics() {
        Matrix::<f32>::zeros(2, 3).add(&Matrix::zeros(3, 2));
    }
}
