//! The numerics floor of reformer: matrices, products, SIMD, layers' arithmetic, addressed randomness.
