//! The few styles that terminals are written to in.

/// Style of emphasis.
pub(crate) const BOLD: &str = "\x1b[1m";
/// Style of asides.
pub(crate) const DIM: &str = "\x1b[2m";
/// Back to normal.
pub(crate) const PLAIN: &str = "\x1b[0m";

/// Style of what a model says, to tell it from what was typed.
pub(crate) const REPLY: &str = "\x1b[36m";
