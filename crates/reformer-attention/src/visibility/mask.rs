//! May this query see this key: order in time, padding, oneself, given pairs. And what of that bounds a loop.
//!
//! Everything is decided by original position, as two unsigned numbers compared once per pair, so that a row of a tile
//! is masked by vector instructions:
//!
//! ```text
//! key j is visible to query i   ⇔   horizon_key(j) ≤ horizon_query(i)  and  j ≠ id_query(i)
//!
//! horizon_key(j)   = MAX   padding          horizon_query(i) = 0        sees nothing
//!                  = 1     visible to all                    = MAX − 1  not causal
//!                  = j + 2 causal                            = i + 1    causal, self only if alone
//!                                                            = i + 2    causal
//! id_query(i)      = i if self only if alone, else NOBODY
//! ```
//!
//! The same rules, asked of whole tiles: [`SequenceMask::is_causal_over`] says that nothing after a query can be
//! seen, [`Clip`] what follows from it (and from the order of a sorted list) for the slots that a tile of queries has
//! to read.

use core::ops::Range;

use super::{Causal, Visibility};

/// A key that no query may see: padding, or the unfilled rest of a tile.
pub(crate) const HIDDEN: u32 = u32::MAX;
/// The identity of no position.
pub(crate) const NOBODY: u32 = u32::MAX;
/// Gate of an empty slot. Equal to no query's gate, since no round has 2³² − 1 buckets.
pub(crate) const CLOSED: u32 = u32::MAX;

/// The rules for one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SequenceMask<'a> {
    pub(crate) rules: Visibility,
    /// A position sees itself only if nothing else is visible.
    pub(crate) self_if_alone: bool,
    /// True for tokens, false for padding.
    pub(crate) tokens: Option<&'a [bool]>,
    /// `[len, len]`: true where query row may see key column.
    pub(crate) pairs: Option<&'a [bool]>,
}

impl<'a> SequenceMask<'a> {
    fn is_token(&self, position: usize) -> bool {
        position < self.rules.unmaskable || self.tokens.is_none_or(|tokens| tokens[position])
    }

    /// Whether the query sees anything at all, itself included.
    pub(crate) fn sees(&self, position: usize) -> bool {
        !self.rules.mask_queries || self.tokens.is_none_or(|tokens| tokens[position])
    }

    /// The key's side of the comparison.
    #[inline]
    pub(crate) fn horizon_key(&self, position: usize) -> u32 {
        if !self.is_token(position) {
            return HIDDEN;
        }
        match self.rules.causal {
            // Two more than the position: 0 and 1 are taken by "sees nothing" and "visible to all".
            Causal::Yes => position as u32 + 2,
            Causal::Below(end) if position < end => position as u32 + 2,
            Causal::Below(_) | Causal::No => 1,
        }
    }

    /// The query's side of the comparison.
    #[inline]
    pub(crate) fn horizon_query(&self, position: usize) -> u32 {
        if !self.sees(position) {
            return 0;
        }
        match self.rules.causal {
            Causal::No => HIDDEN - 1,
            // One less where oneself is excluded anyway: then a causal mask needs no look at the identities.
            Causal::Yes | Causal::Below(_) => position as u32 + 2 - u32::from(self.self_if_alone),
        }
    }

    /// The identity that the query may not see.
    #[inline]
    pub(crate) fn id_query(&self, position: usize) -> u32 {
        if self.self_if_alone { position as u32 } else { NOBODY }
    }

    /// The row of the pair mask.
    pub(crate) fn pairs_of(&self, position: usize, len: usize) -> Option<&'a [bool]> {
        self.pairs.map(|pairs| &pairs[position * len..(position + 1) * len])
    }

    /// Whether none of `len` positions sees a later one, so that whole tiles in the future need not be read.
    pub(crate) fn is_causal_over(&self, len: usize) -> bool {
        match self.rules.causal {
            Causal::No => false,
            Causal::Yes => true,
            Causal::Below(end) => end >= len,
        }
    }

    /// How many of the positions below `end` a tile whose last query stands at `last` may see.
    pub(crate) fn bound(&self, len: usize, last: usize, end: usize) -> usize {
        if self.is_causal_over(len) { end.min(last + 1) } else { end }
    }
}

/// Which bounds of a tile's keys follow from the order of the list that it is cut from.
///
/// A list sorted by bucket and, within a bucket, by position has the visible keys of a causal query in one piece:
/// from the beginning of its bucket's run to itself. What lies outside is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clip {
    /// Nothing outside the run of the queries' buckets.
    pub(crate) runs: bool,
    /// Nothing after the last query.
    pub(crate) past: bool,
}

impl Clip {
    /// The slots in `reach` that any of the queries in the slots `queries` may see; `gates` are the slots' buckets.
    pub(crate) fn seen(self, gates: &[u32], queries: &Range<usize>, reach: &Range<usize>) -> Range<usize> {
        let (mut first, mut end) = (reach.start, reach.end);
        if self.runs {
            // A tile's queries may be of several buckets: from the run of the first to that of the last.
            let (gate, last) = (gates[queries.start], gates[queries.end - 1]);
            let run = gates[reach.start..queries.start].iter().rev().take_while(|&&g| g == gate);
            first = queries.start - run.count();
            let run = gates[queries.end..reach.end].iter().take_while(|&&g| g == last);
            end = queries.end + if self.past { 0 } else { run.count() };
        }
        if self.past {
            end = queries.end;
        }
        first..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(causal: Causal, self_if_alone: bool, tokens: Option<&[bool]>) -> SequenceMask<'_> {
        let rules = Visibility { causal, mask_queries: true, unmaskable: 0 };
        SequenceMask { rules, self_if_alone, tokens, pairs: None }
    }

    fn visible(mask: &SequenceMask<'_>, query: usize, key: usize) -> bool {
        mask.horizon_key(key) <= mask.horizon_query(query) && key as u32 != mask.id_query(query)
    }

    #[test]
    fn the_two_horizons_say_who_sees_whom() {
        let padded: &[bool] = &[true, true, true, false];
        // (causal, self only if alone, padding) → for each query the keys 0..4 that it sees
        for (causal, alone, tokens, expected) in [
            (Causal::Yes, false, None, ["1000", "1100", "1110", "1111"]),
            (Causal::Yes, true, None, ["0000", "1000", "1100", "1110"]),
            (Causal::No, false, None, ["1111", "1111", "1111", "1111"]),
            (Causal::No, true, None, ["0111", "1011", "1101", "1110"]),
            (Causal::Below(2), false, None, ["1011", "1111", "1111", "1111"]),
            (Causal::Yes, false, Some(padded), ["1000", "1100", "1110", "0000"]),
            (Causal::No, true, Some(padded), ["0110", "1010", "1100", "0000"]),
        ] {
            let mask = mask(causal, alone, tokens);
            for (query, expected) in expected.iter().enumerate() {
                let seen: String =
                    (0..4).map(|key| if visible(&mask, query, key) { '1' } else { '0' }).collect();
                assert_eq!(&seen, expected, "{causal:?}, alone {alone}, query {query}");
            }
        }
    }

    #[test]
    fn memory_behind_the_causal_part_is_not_cut_off() {
        assert!(mask(Causal::Yes, false, None).is_causal_over(9));
        assert!(mask(Causal::Below(9), false, None).is_causal_over(9));
        assert!(!mask(Causal::Below(8), false, None).is_causal_over(9));
        assert!(!mask(Causal::No, false, None).is_causal_over(9));
        assert_eq!(mask(Causal::Yes, false, None).bound(9, 4, 8), 5);
        assert_eq!(mask(Causal::Below(8), false, None).bound(9, 4, 8), 8);
    }

    #[test]
    fn a_tile_reads_its_buckets_run_and_no_more() {
        // Slots:          0  1  2  3  4  5  6  7  8  9    chunk before: 0..4, own: 4..8, after: 8..10
        let gates: &[u32] = &[1, 1, 2, 2, 2, 2, 3, 3, 3, 4];
        let clip = |runs, past| Clip { runs, past };
        let table = [
            // Both queries of bucket 2: its run begins in the chunk before.
            (clip(true, true), 4..6, 0..10, 2..6),
            (clip(true, false), 4..6, 0..10, 2..6),
            // Queries of buckets 2 and 3: from the run of the first to that of the last, over the chunk's border.
            (clip(true, true), 5..7, 0..10, 2..7),
            (clip(true, false), 5..7, 0..10, 2..9),
            // A reach that begins inside the run.
            (clip(true, false), 4..6, 4..10, 4..6),
            (clip(false, true), 4..6, 0..10, 0..6),
            (clip(false, false), 4..6, 0..10, 0..10),
            // The last slot of all.
            (clip(true, true), 9..10, 0..10, 9..10),
        ];
        for (clip, queries, reach, expected) in table {
            assert_eq!(clip.seen(gates, &queries, &reach), expected, "{clip:?} {queries:?} in {reach:?}");
        }
    }
}
