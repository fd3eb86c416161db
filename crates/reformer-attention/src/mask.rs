//! Which positions see which, apart from buckets and chunks: order in time, padding, oneself, given pairs.
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

/// A key that no query may see: padding, or the unfilled rest of a tile.
pub(crate) const HIDDEN: u32 = u32::MAX;
/// The identity of no position.
pub(crate) const NOBODY: u32 = u32::MAX;

/// The rules for one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    /// No position sees a later one below this position; those from it on are visible to all. `None`: not causal.
    pub(crate) causal_below: Option<usize>,
    /// A position sees itself only if nothing else is visible.
    pub(crate) self_if_alone: bool,
    /// Padded queries see nothing.
    pub(crate) mask_queries: bool,
    /// Positions below this count as tokens whatever the mask says.
    pub(crate) unmaskable: usize,
    /// True for tokens, false for padding.
    pub(crate) tokens: Option<&'a [bool]>,
    /// `[len, len]`: true where query row may see key column.
    pub(crate) pairs: Option<&'a [bool]>,
}

impl<'a> Sight<'a> {
    fn is_token(&self, position: usize) -> bool {
        position < self.unmaskable || self.tokens.is_none_or(|tokens| tokens[position])
    }

    /// Whether the query sees anything at all, itself included.
    pub(crate) fn sees(&self, position: usize) -> bool {
        !self.mask_queries || self.tokens.is_none_or(|tokens| tokens[position])
    }

    /// The key's side of the comparison.
    #[inline]
    pub(crate) fn horizon_key(&self, position: usize) -> u32 {
        if !self.is_token(position) {
            return HIDDEN;
        }
        match self.causal_below {
            Some(below) if position < below => position as u32 + 2,
            _ => 1,
        }
    }

    /// The query's side of the comparison.
    #[inline]
    pub(crate) fn horizon_query(&self, position: usize) -> u32 {
        if !self.sees(position) {
            return 0;
        }
        match self.causal_below {
            None => HIDDEN - 1,
            Some(_) => position as u32 + 2 - u32::from(self.self_if_alone),
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
}
