//! In how many rounds two positions meet. With several rounds a pair may meet more than once; counted once, each of its
//! meetings weighs `1/N`.
//!
//! ```text
//! N_ij = rounds in which j is in the reach of i (and in its bucket where only the same bucket is visible)
//! ```
//! Whether two positions meet in a round is one subtraction and one comparison of *codes*, one number per position and
//! round ([`meeting_codes`]):
//!
//! ```text
//! code = chunk                            chunks: the reach is `before` + `after` chunks around one's own
//!      = chunk + (reach + 1)·bucket       the same, same bucket only: chunk numbers rise with buckets in a
//!                                         sorted list, so that one comparison decides both
//!      = chunk among those of all rounds  a circle; buckets are compared apart
//!      = bucket                           no chunks at all: the exact path
//! ```
//! Equation 16 of the paper as printed counts shared buckets, in reach or not; the code here, like trax's, counts the
//! rounds in which the pair is really seen, so that every visible key ends up with weight one.

use core::ops::Range;

use reformer_lsh::{Buckets, rank_positions};
use reformer_tensor::simd::prefetch;
use reformer_tensor::{Lease, Workspace};

/// How pairs that meet in several rounds are weighed, and what "meet" means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meeting {
    /// Every visible pair weighs 1.
    Uncounted,
    /// In round h: `0 ≤ code_q + after − code_k ≤ reach`. Weight `1/(N + 1e-9)`.
    InReach { after: u32, reach: u32 },
    /// The same on a circle of `total` chunks; buckets are compared apart.
    OnCircle { after: u32, reach: u32, total: u32, same_bucket: bool },
    /// In round h: codes (buckets) are equal. A pair that never meets is invisible; else it weighs 1, or N if
    /// duplicates are kept.
    Anywhere { keep: bool },
}

/// Where the codes of a position come from.
#[derive(Clone, Copy)]
pub(crate) enum Codes<'a> {
    /// Nothing is counted.
    None,
    /// `codes: [len, rounds]`, and buckets where they are compared apart.
    Table { codes: &'a [u32], rounds: usize, apart: Option<&'a Buckets> },
    /// The buckets themselves.
    Buckets(&'a Buckets),
}

impl Codes<'_> {
    #[inline(always)]
    pub(crate) fn rounds(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Table { rounds, .. } => *rounds,
            Self::Buckets(buckets) => buckets.rounds(),
        }
    }

    /// Rounds whose buckets are compared apart.
    #[inline(always)]
    pub(crate) fn bucket_rounds(&self) -> usize {
        if let Self::Table { rounds, apart: Some(_), .. } = self { *rounds } else { 0 }
    }

    #[inline(always)]
    pub(crate) fn code(&self, round: usize, position: usize) -> u32 {
        match self {
            Self::None => 0,
            Self::Table { codes, rounds, .. } => codes[position * rounds + round],
            Self::Buckets(buckets) => buckets.round(round)[position],
        }
    }

    #[inline(always)]
    pub(crate) fn bucket(&self, round: usize, position: usize) -> u32 {
        if let Self::Table { apart: Some(buckets), .. } = self { buckets.round(round)[position] } else { 0 }
    }

    /// Asks for the codes of a position.
    pub(crate) fn prefetch(&self, position: usize) {
        if let Self::Table { codes, rounds, .. } = self {
            prefetch(&codes[position * rounds..][..*rounds]);
        }
    }
}

/// `[len, rounds]`: the codes with which [`Meeting`] counts the rounds in which two positions meet; empty if it does
/// not.
///
/// All rounds of a position stand side by side: a key's codes are gathered with one cache line, not with one a round.
pub(crate) fn meeting_codes(
    workspace: &Workspace,
    buckets: &Buckets,
    meeting: Meeting,
    chunk: usize,
    same_bucket: bool,
) -> Lease<u32> {
    let (rounds, len) = (buckets.rounds(), buckets.len());
    let (spread, turn) = match meeting {
        // Buckets `reach + 1` apart: then no chunk number of one bucket is in reach of another's.
        Meeting::InReach { reach, .. } if same_bucket => (reach + 1, 0),
        Meeting::InReach { .. } => (0, 0),
        // Chunks of all rounds are numbered through, since a round's first looks into the round before.
        Meeting::OnCircle { .. } => (0, len.div_ceil(chunk) as u32),
        Meeting::Uncounted | Meeting::Anywhere { .. } => return workspace.take_u32(0),
    };
    let mut codes = workspace.take_u32(rounds * len);
    let mut next = workspace.take_u32(buckets.num_buckets());
    // Sorted once more here, although the walk sorts too: the walk has one round at a time, and codes want all.
    for round in 0..rounds {
        let (ids, first) = (buckets.round(round), round as u32 * turn);
        rank_positions(ids, &mut next, |position, rank| {
            let at = position as usize;
            codes[at * rounds + round] = first + rank / chunk as u32 + spread * ids[at];
        });
    }
    codes
}

/// The codes of gathered keys, `[rounds, slots]`: a tile's comparison reads one round of many keys.
pub(crate) struct SlotCodes {
    slots: usize,
    codes: Lease<u32>,
    buckets: Lease<u32>,
}

impl SlotCodes {
    pub(crate) fn new(workspace: &Workspace, slots: usize, codes: &Codes<'_>) -> Self {
        Self {
            slots,
            codes: workspace.take_u32(codes.rounds() * slots),
            buckets: workspace.take_u32(codes.bucket_rounds() * slots),
        }
    }

    fn rows(&mut self) -> impl Iterator<Item = &mut [u32]> {
        // No rounds, no rows; the size of a row must not be 0 all the same.
        let slots = self.slots.max(1);
        self.codes.chunks_exact_mut(slots).chain(self.buckets.chunks_exact_mut(slots))
    }

    /// Enters a position's codes at a slot. Inlined by force: a call a slot was 2 % of a forward pass.
    #[inline(always)]
    pub(crate) fn load(&mut self, slot: usize, position: usize, codes: &Codes<'_>) {
        for round in 0..codes.rounds() {
            self.codes[round * self.slots + slot] = codes.code(round, position);
        }
        for round in 0..codes.bucket_rounds() {
            self.buckets[round * self.slots + slot] = codes.bucket(round, position);
        }
    }

    pub(crate) fn clear(&mut self, slots: Range<usize>) {
        self.rows().for_each(|row| row[slots.clone()].fill(0));
    }

    /// Moves slots to the front.
    pub(crate) fn keep(&mut self, slots: Range<usize>) {
        self.rows().for_each(|row| row.copy_within(slots.clone(), 0));
    }

    /// Codes and buckets of the slots from `first` on; a round's are `stride` apart.
    pub(crate) fn from(&self, first: usize) -> (&[u32], &[u32]) {
        let from = |rows: &'_ [u32]| if rows.is_empty() { 0 } else { first };
        (&self.codes[from(&self.codes)..], &self.buckets[from(&self.buckets)..])
    }
}

/// The codes of a tile's queries, `[queries, rounds]`: a comparison takes one query's in turn.
pub(crate) struct QueryCodes {
    rounds: usize,
    codes: Vec<u32>,
    bucket_rounds: usize,
    buckets: Vec<u32>,
}

impl QueryCodes {
    pub(crate) fn new(queries: usize, codes: &Codes<'_>) -> Self {
        let (rounds, bucket_rounds) = (codes.rounds(), codes.bucket_rounds());
        Self {
            rounds,
            codes: vec![0; queries * rounds],
            bucket_rounds,
            buckets: vec![0; queries * bucket_rounds],
        }
    }

    /// Enters a position's codes as those of query `i`.
    #[inline(always)]
    pub(crate) fn set(&mut self, i: usize, position: usize, codes: &Codes<'_>) {
        for round in 0..self.rounds {
            self.codes[i * self.rounds + round] = codes.code(round, position);
        }
        for round in 0..self.bucket_rounds {
            self.buckets[i * self.bucket_rounds + round] = codes.bucket(round, position);
        }
    }

    /// Codes and buckets of query `i`.
    #[inline]
    pub(crate) fn of(&self, i: usize) -> (&[u32], &[u32]) {
        let codes = &self.codes[i * self.rounds..(i + 1) * self.rounds];
        (codes, &self.buckets[i * self.bucket_rounds..(i + 1) * self.bucket_rounds])
    }
}
