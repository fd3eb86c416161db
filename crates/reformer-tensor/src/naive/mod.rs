//! The twins: each operation as its equation, generic over `f32` and `f64`.
//!
//! Nothing here is fast, parallel or clever, and nothing here runs outside tests and benches. A twin's `f64` run is the
//! truth that a kernel is measured against; its `f32` run sets how much error is allowed. The twins' own backward
//! passes are checked by finite differences in `f64`.
//!
//! # Shapes
//! Matrices are row-major slices with their extents as arguments; a function over rows takes one row.

mod layers;
mod loss;
mod product;

pub use layers::*;
pub use loss::*;
pub use product::*;
