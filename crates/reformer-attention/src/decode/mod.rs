//! Decoding: one position at a time, against what is remembered of those before it.
//!
//! ```text
//! full    every position so far
//! local   those of its own chunk of positions and the chunks before
//! lsh     same bucket only:  in each round the latest (before + 1)·m positions of its bucket
//!         otherwise:         in each round the chunks around its rank in the sorted list, modulo its end
//!                            (Hugging Face)
//! o = Σ_j w_j exp(q·k_j − z) v_j      w_j = rounds in which j is a candidate, or 1 where duplicates are corrected
//! ```
//! What is remembered: keys and values in pages ([`KeyValues`]), and per head of an LSH layer a table from bucket to
//! the positions that fell into it ([`BucketTable`]). A step costs O(rounds · reach), however long the sequence is;
//! only full attention, and Hugging Face's ranks (a count per bucket), cost more.
//!
//! **Which keys a step sees, and why.** In training a causal query at rank r of the sorted list sees what stands
//! before it in its chunk and all of the chunk before, as far as it is of its bucket: the latest
//! `before·m + (r mod m)` earlier members, between `before·m` and `(before + 1)·m − 1` as chunk borders fall. Where
//! the borders fall hangs on the sizes of all smaller buckets, which change with every length, so no step can
//! reproduce them; the latest `(before + 1)·m`, itself among them, is the largest reach that training has, at the
//! same cost. The two are equal, to rounding, where no bucket holds more than a chunk or the exact path is taken. The
//! order in time, the key's norm, "self only if alone" and the duplicate correction are the forward pass's.
//!
//! One softmax over all rounds' candidates is what combining rounds by their logsumexp comes to.

pub(crate) mod bucket_table;
pub(crate) mod key_values;
pub(crate) mod step;

pub use bucket_table::BucketTable;
pub use key_values::{KeyValues, PAGE};
pub use step::{Scratch, Step};
