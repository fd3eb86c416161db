//! How a product is asked for: which operand is given transposed, and whether its destination is replaced.

/// Whether a product replaces its destination or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// `c = a·b`.
    Overwrite,
    /// `c += a·b`.
    Add,
}

/// Which operand is given transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `a·b`.
    Plain,
    /// `a·bᵀ`.
    RightTransposed,
    /// `aᵀ·b`.
    LeftTransposed,
}
