//! The binary `reformer`.
fn main() {}
