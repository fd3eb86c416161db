//! How a list of positions is cut, and what that says of who can be seen.
//!
//! The cut itself is [`reformer_lsh::Chunks`]; here stands what attention adds to it: which positions the list holds,
//! which of them count as visible, and the padding of a chunk to whole panels.

use reformer_lsh::{Buckets, Chunks, Wrap};

use crate::heads::Head;
use crate::tile::QUERIES;
use crate::visibility::duplicates::Meeting;
use crate::visibility::mask::Clip;

/// A list in chunks: LSH (sorted by bucket, one list a round) and local (positions as they stand, one round).
pub(crate) struct ChunkedList<'a> {
    pub(crate) chunks: Chunks,
    /// What positions are sorted by; `None` where rank = position.
    pub(crate) buckets: Option<&'a Buckets>,
    /// Visible only in the same bucket.
    pub(crate) same_bucket: bool,
    pub(crate) meeting: Meeting,
}

impl ChunkedList<'_> {
    /// Slots of a chunk: its length in whole panels, since products read whole panels. The rest is hidden.
    pub(crate) fn stride(&self) -> usize {
        self.chunks.chunk_length().next_multiple_of(QUERIES)
    }

    /// What need not be read. Sorted by bucket and then by position, a causal query of its bucket sees nothing after
    /// its own rank and nothing before its bucket's first; on a circle a run may go on behind the end, and another
    /// round's chunk may follow.
    pub(crate) fn clip(&self, head: &Head<'_>) -> Clip {
        let causal = head.mask.is_causal_over(self.chunks.len());
        let gated = self.same_bucket && self.buckets.is_some();
        let bounded = self.chunks.wrap() == Wrap::Bounded;
        Clip {
            runs: gated && bounded,
            past: causal && (gated || self.buckets.is_none()) && (bounded || self.chunks.after() == 0),
        }
    }
}
