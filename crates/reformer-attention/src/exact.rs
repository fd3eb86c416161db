//! Every pair, in blocks: full attention, and LSH attention with chunks of unlimited length.
//!
//! ```text
//! for each block of keys, for each block of queries that may see it:
//!     o, z ← folded with Σ_j w_ij exp(s_ij) v_j
//! ```
//! The `len × len` matrix never exists; blocks that lie wholly in the future are skipped. With buckets a pair is visible
//! if it shares a bucket in any round, which is LSH attention whose chunks are as long as the sequence: the rounds'
//! duplicates add up to one pair under `log N_ij`, and to `N_ij` pairs without it.

use core::ops::Range;

use reformer_lsh::Buckets;
use reformer_tensor::Workspace;

use crate::row::Meeting;
use crate::tile::{Band, CodeCount, Known, QUERIES, Query, Running, Sinks, Tile};

/// Keys of a block.
const KEYS: usize = 128;

/// All pairs, or all pairs that share a bucket.
pub(crate) struct Exact<'a> {
    pub(crate) buckets: Option<&'a Buckets>,
    /// Pairs weigh as many times as they share a bucket.
    pub(crate) keep_duplicates: bool,
}

impl Exact<'_> {
    fn rounds(&self) -> usize {
        self.buckets.map_or(0, Buckets::rounds)
    }

    fn meeting(&self) -> Meeting {
        match self.buckets {
            Some(_) => Meeting::Anywhere { keep: self.keep_duplicates },
            None => Meeting::Uncounted,
        }
    }

    fn tile(&self, workspace: &Workspace, band: &Band<'_>, backward: bool) -> Tile {
        let counts = CodeCount { codes: self.rounds(), buckets: 0 };
        Tile::new(workspace, band.dim(), KEYS.min(band.len()), counts, backward)
    }

    fn load(&self, tile: &mut Tile, band: &Band<'_>, block: Range<usize>) {
        let count = block.len();
        for (slot, position) in block.enumerate() {
            tile.load_key(band, slot, position, 0);
            if let Some(buckets) = self.buckets {
                for h in 0..buckets.rounds() {
                    tile.set_code(h, slot, buckets.round(h)[position]);
                }
            }
        }
        tile.hide(count..tile.keys);
    }

    /// Calls `visit` for every block of keys with every block of queries, `done` after the last query of a block.
    fn walk(
        &self,
        tile: &mut Tile,
        band: &Band<'_>,
        mut visit: impl FnMut(&mut Tile, &[Query<'_>]),
        mut done: impl FnMut(&mut Tile, Range<usize>),
    ) {
        let (len, rounds) = (band.len(), self.rounds());
        let mut codes = vec![0; QUERIES * rounds];
        for key in (0..len).step_by(KEYS) {
            let block = key..len.min(key + KEYS);
            // The first query that sees any key of the block.
            let from = match band.sight.causal_below {
                Some(below) if block.end <= below => key / QUERIES * QUERIES,
                _ => 0,
            };
            self.load(tile, band, block.clone());
            for first in (from..len).step_by(QUERIES) {
                let piece = first..len.min(first + QUERIES);
                if let Some(buckets) = self.buckets {
                    for (i, position) in piece.clone().enumerate() {
                        for h in 0..rounds {
                            codes[i * rounds + h] = buckets.round(h)[position];
                        }
                    }
                }
                let query = |position: usize| {
                    let i = position - first;
                    Query { position, gate: 0, codes: &codes[i * rounds..(i + 1) * rounds], buckets: &[] }
                };
                let queries: Vec<_> = piece.map(query).collect();
                visit(tile, &queries);
            }
            done(tile, 0..block.len());
        }
    }

    /// Folds all blocks into `running`.
    pub(crate) fn forward(&self, workspace: &Workspace, band: &Band<'_>, running: &mut Running<'_>) {
        let mut tile = self.tile(workspace, band, false);
        let visit = |tile: &mut Tile, queries: &[Query<'_>]| {
            tile.forward(band, 0, queries, self.meeting(), running);
        };
        self.walk(&mut tile, band, visit, |_, _| ());
    }

    /// Adds the gradients of all blocks to `into`.
    pub(crate) fn backward(
        &self,
        workspace: &Workspace,
        band: &Band<'_>,
        known: &Known<'_>,
        into: &mut Sinks<'_, '_>,
    ) {
        let mut tile = self.tile(workspace, band, true);
        let into = core::cell::RefCell::new(into);
        let visit = |tile: &mut Tile, queries: &[Query<'_>]| {
            tile.backward(band, 0, queries, self.meeting(), known, into.borrow_mut().dq);
        };
        let done = |tile: &mut Tile, slots: Range<usize>| {
            tile.flush(band.keys, slots, &mut into.borrow_mut());
        };
        self.walk(&mut tile, band, visit, done);
    }
}
