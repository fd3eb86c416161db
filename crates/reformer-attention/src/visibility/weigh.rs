//! Who is visible with which weight: one row of weights for a query.
//!
//! ```text
//! w_j = 0 if j is invisible, else exp(−correction)          correction = log(N_ij + 1e-9) or 0
//! ```
//! The common rules never come here: where a pair weighs 1, or `1/N` by [`Meeting::InReach`], the softmax kernel
//! (`tile/softmax.rs`) compares keys with queries itself. This is the way of the other rules and of pair masks; plain
//! loops over [`LANES`] keys, which the compiler turns into vector code. A row of weights is a store and a load more
//! per pair, which is why the common rules do without it.

use super::duplicates::Meeting;

/// Keys that are weighed together; every tile's number of keys is a multiple of it.
const LANES: usize = 16;

type Weights = [f32; LANES];

/// Some gathered keys as the rules see them, one entry a slot.
#[derive(Clone, Copy)]
pub(crate) struct KeySide<'a> {
    /// [`super::mask::SequenceMask::horizon_key`].
    pub(crate) horizon: &'a [u32],
    /// Original position.
    pub(crate) id: &'a [u32],
    /// What must equal the query's: the bucket (with its round) or always 0.
    pub(crate) gate: &'a [u32],
    /// Round h from `h·stride`: see [`Meeting`].
    pub(crate) codes: &'a [u32],
    /// Round h from `h·stride`: buckets, for [`Meeting::OnCircle`] with same bucket only.
    pub(crate) buckets: &'a [u32],
    /// Slots from one round's codes to the next's.
    pub(crate) stride: usize,
}

/// One query of a tile as the rules see it; the fields are those of [`KeySide`].
#[derive(Clone, Copy, Default)]
pub(crate) struct QuerySide<'a> {
    pub(crate) horizon: u32,
    pub(crate) id: u32,
    pub(crate) gate: u32,
    /// `[rounds]`.
    pub(crate) codes: &'a [u32],
    /// `[rounds]`.
    pub(crate) buckets: &'a [u32],
    /// The query's row of the pair mask, `[len]`.
    pub(crate) pairs: Option<&'a [bool]>,
}

/// Fills the weights of one query.
///
/// The closures are inlined by force: compiled apart from the kernel that calls them they would lack its instructions.
#[inline(always)]
pub(crate) fn weigh(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, meeting: Meeting) {
    // Four loops rather than one with the rule inside: the rule is the innermost comparison.
    match meeting {
        Meeting::Uncounted => for_visible(
            w,
            keys,
            query,
            #[inline(always)]
            |_| [1.0; LANES],
        ),
        Meeting::InReach { after, reach } => for_visible(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                shares(meetings(
                    keys,
                    query,
                    at,
                    #[inline(always)]
                    |h, _, k| query.codes[h].wrapping_add(after).wrapping_sub(k) <= reach,
                ))
            },
        ),
        Meeting::OnCircle { after, reach, total, same_bucket } => for_visible(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                shares(meetings(
                    keys,
                    query,
                    at,
                    #[inline(always)]
                    |h, slot, k| {
                        // Two turns at most: a remainder would be a division a pair.
                        let ahead = query.codes[h] + after + total - k;
                        let ahead = if ahead >= 2 * total { ahead - 2 * total } else { ahead };
                        let ahead = if ahead >= total { ahead - total } else { ahead };
                        let bucket = |h: usize| keys.buckets[h * keys.stride + slot];
                        ahead <= reach && (!same_bucket || bucket(h) == query.buckets[h])
                    },
                ))
            },
        ),
        Meeting::Anywhere { keep } => for_visible(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                let met = meetings(
                    keys,
                    query,
                    at,
                    #[inline(always)]
                    |h, _, k| query.codes[h] == k,
                );
                if keep { met } else { met.map(|n| n.min(1.0)) }
            },
        ),
    }
    if let Some(pairs) = query.pairs {
        hide_pairs(w, keys.id, pairs);
    }
}

/// `1/N`. reformer-pytorch's `1e-9` is kept: it matters where a circle shows a key that no round brings near (`N = 0`).
#[inline(always)]
fn shares(meetings: Weights) -> Weights {
    meetings.map(|n| 1.0 / (n + 1e-9))
}

/// `w_j` = `factor` where the mask and the gate let the query see `j`, else 0.
#[inline(always)]
fn for_visible(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, factor: impl Fn(usize) -> Weights) {
    let blocks = w.as_chunks_mut::<LANES>().0.iter_mut().zip(keys.horizon.as_chunks::<LANES>().0);
    let same = keys.id.as_chunks::<LANES>().0.iter().zip(keys.gate.as_chunks::<LANES>().0);
    for (b, ((w, horizon), (id, gate))) in blocks.zip(same).enumerate() {
        let factor = factor(b * LANES);
        for l in 0..LANES {
            // Nested selects, not `&&`: branches would not vectorise.
            let seen = if horizon[l] <= query.horizon { factor[l] } else { 0.0 };
            let seen = if id[l] == query.id { 0.0 } else { seen };
            w[l] = if gate[l] == query.gate { seen } else { 0.0 };
        }
    }
}

/// In how many rounds the query meets each of the keys from `at` on; `met(round, slot, code of the key)`.
#[inline(always)]
fn meetings(
    keys: &KeySide<'_>,
    query: &QuerySide<'_>,
    at: usize,
    met: impl Fn(usize, usize, u32) -> bool,
) -> Weights {
    let mut sums = [0_u32; LANES];
    for h in 0..query.codes.len() {
        let codes = keys.codes[h * keys.stride + at..].first_chunk::<LANES>();
        let codes = codes.expect("every round has a code for each slot");
        for (l, sum) in sums.iter_mut().enumerate() {
            *sum += u32::from(met(h, at + l, codes[l]));
        }
    }
    sums.map(|n| n as f32)
}

/// Hides keys that the pair mask hides.
fn hide_pairs(w: &mut [f32], ids: &[u32], pairs: &[bool]) {
    for (w, &id) in w.iter_mut().zip(ids) {
        if !pairs.get(id as usize).copied().unwrap_or(false) {
            *w = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_meets_in_two_of_three_rounds_weighs_a_half() {
        let n = LANES;
        let mut codes = vec![2; 3 * n];
        (codes[0], codes[n], codes[2 * n]) = (4, 3, 1);
        let (horizon, id) = (vec![1; n], (1..=n as u32).collect::<Vec<_>>());
        let keys =
            KeySide { horizon: &horizon, id: &id, gate: &vec![0; n], codes: &codes, buckets: &[], stride: n };
        let side = |codes| QuerySide { horizon: 5, codes, ..QuerySide::default() };
        let mut w = vec![0.0; n];
        // The key's own chunk, the chunk before, two chunks before (out of reach).
        weigh(&mut w, &keys, &side(&[4, 4, 3]), Meeting::InReach { after: 0, reach: 1 });
        assert_eq!(w[0], 0.5);
        weigh(
            &mut w,
            &keys,
            &side(&[0, 4, 3]),
            Meeting::OnCircle { after: 0, reach: 1, total: 5, same_bucket: false },
        );
        assert_eq!(w[0], 0.5, "chunk 0 follows chunk 4 on a circle of 5");
        weigh(&mut w, &keys, &side(&[4, 3, 2]), Meeting::Anywhere { keep: true });
        assert_eq!(w[0], 2.0);
    }
}
