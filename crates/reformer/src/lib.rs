//! Reformer in Rust: LSH attention and reversible layers for very long sequences.
