//! What can be wrong with a call: shapes, settings, values.

/// Result of this crate.
pub type Result<T> = core::result::Result<T, AttentionError>;

/// Why attention could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttentionError {
    /// A matrix does not fit the layout.
    #[error(
        "{what} is {got_rows} x {got_cols}, expected {rows} x {cols} (batch·len x heads·head_dim); reshape it or correct \
         the layout"
    )]
    Shape {
        /// Which matrix.
        what: &'static str,
        /// Rows it has.
        got_rows: usize,
        /// Columns it has.
        got_cols: usize,
        /// Rows it must have.
        rows: usize,
        /// Columns it must have.
        cols: usize,
    },
    /// A slice does not fit the layout.
    #[error("{what} has {got} entries, expected {expected}")]
    Count {
        /// Which slice.
        what: &'static str,
        /// Entries it has.
        got: usize,
        /// Entries it must have.
        expected: usize,
    },
    /// The buckets of one head do not belong to this sequence.
    #[error(
        "buckets of head {head} cover {got} positions, expected {expected}; hash the same (unpadded or padded) sequence"
    )]
    BucketLength {
        /// Which of `batch·heads`.
        head: usize,
        /// Positions they cover.
        got: usize,
        /// Positions of the sequence.
        expected: usize,
    },
    /// Heads disagree about the number of rounds or buckets.
    #[error(
        "buckets of head {head} have {got} {what}, those of head 0 have {expected}; hash all heads alike"
    )]
    BucketKind {
        /// Which of `batch·heads`.
        head: usize,
        /// "rounds" or "buckets".
        what: &'static str,
        /// What this head has.
        got: usize,
        /// What head 0 has.
        expected: usize,
    },
    /// A setting outside its range.
    #[error("{key} is {got}, expected {expected}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        got: String,
        /// Its range.
        expected: &'static str,
    },
    /// Separate keys without a key matrix, or shared keys with one.
    #[error("{0}")]
    Keys(&'static str),
    /// A step reaches back to positions whose pages were given back.
    #[error("position {position} is needed, but only those from {kept} on are kept; keep more of them")]
    Forgotten {
        /// The earliest position needed.
        position: usize,
        /// The earliest position kept.
        kept: usize,
    },
    /// NaN or infinity in an operand. What the call has written is unspecified.
    #[error("{what} holds {value} at row {row}, column {col}; look for the step before that produced it")]
    NonFinite {
        /// Which matrix.
        what: &'static str,
        /// The value.
        value: f32,
        /// Its row.
        row: usize,
        /// Its column.
        col: usize,
    },
}
