//! Who is visible with which weight: one row of weights for a query.
//!
//! ```text
//! w_j = 0 if j is invisible, else exp(−correction)          correction = log(N_ij + 1e-9) or 0
//! ```
//! The common rules never come here: where a pair weighs 1, or `1/N` by [`Meeting::Window`], the softmax kernel
//! ([`crate::softmax`]) compares keys with queries itself. This is the way of the other rules and of pair masks; plain loops
//! over blocks of [`LANES`], which the compiler turns into vector code.

/// Lanes of a block; every tile's number of keys is a multiple of it.
pub(crate) const LANES: usize = 16;

type Block = [f32; LANES];

/// Some keys of a window, one entry each.
#[derive(Clone, Copy)]
pub(crate) struct KeySide<'a> {
    /// [`crate::mask::Sight::horizon_key`].
    pub(crate) horizon: &'a [u32],
    /// Original position.
    pub(crate) id: &'a [u32],
    /// What must equal the query's: the bucket (with its round) or always 0.
    pub(crate) gate: &'a [u32],
    /// Round h from `h·stride`: see [`Meeting`].
    pub(crate) codes: &'a [u32],
    /// Round h from `h·stride`: buckets, for [`Meeting::Circle`] with same bucket only.
    pub(crate) buckets: &'a [u32],
    /// Keys of the whole window.
    pub(crate) stride: usize,
}

/// One query of a tile.
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

/// How pairs that meet in several rounds are weighted, and what "meet" means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meeting {
    /// Every visible pair weighs 1.
    Uncounted,
    /// In round h: `0 ≤ code_q + after − code_k ≤ reach`. A code is a chunk number, plus `(reach + 1)·bucket` where only
    /// the same bucket is visible: sorted by bucket, chunk numbers rise with buckets, so that one comparison decides
    /// both. Weight `1/(N + 1e-9)`.
    Window { after: u32, reach: u32 },
    /// The same on a circle of `total` chunks; buckets are compared apart.
    Circle { after: u32, reach: u32, total: u32, same_bucket: bool },
    /// In round h: codes (buckets) are equal. A pair that never meets is invisible; else it weighs 1, or N if duplicates
    /// are kept.
    Anywhere { keep: bool },
}

/// Fills the weights of one query.
#[inline(always)]
pub(crate) fn weigh(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, meeting: Meeting) {
    let rounds = query.codes.len();
    match meeting {
        Meeting::Uncounted => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |_| [1.0; LANES],
        ),
        Meeting::Window { after, reach } => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                count(
                    keys,
                    at,
                    rounds,
                    #[inline(always)]
                    |h: usize, _: usize, k: u32| query.codes[h].wrapping_add(after).wrapping_sub(k) <= reach,
                )
                .map(|n| 1.0 / (n + 1e-9))
            },
        ),
        Meeting::Circle { after, reach, total, same_bucket } => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                count(
                    keys,
                    at,
                    rounds,
                    #[inline(always)]
                    |h: usize, l: usize, k: u32| {
                        let ahead = query.codes[h] + after + total - k;
                        let ahead = if ahead >= 2 * total { ahead - 2 * total } else { ahead };
                        let ahead = if ahead >= total { ahead - total } else { ahead };
                        let bucket = |h: usize| keys.buckets[h * keys.stride + at + l];
                        ahead <= reach && (!same_bucket || bucket(h) == query.buckets[h])
                    },
                )
                .map(|n| 1.0 / (n + 1e-9))
            },
        ),
        Meeting::Anywhere { keep } => fill(
            w,
            keys,
            query,
            #[inline(always)]
            |at| {
                let met = count(
                    keys,
                    at,
                    rounds,
                    #[inline(always)]
                    |h: usize, _: usize, k: u32| query.codes[h] == k,
                );
                if keep { met } else { met.map(|n| n.min(1.0)) }
            },
        ),
    }
    if let Some(pairs) = query.pairs {
        hide_pairs(w, keys.id, pairs);
    }
}

#[inline(always)]
fn fill(w: &mut [f32], keys: &KeySide<'_>, query: &QuerySide<'_>, factor: impl Fn(usize) -> Block) {
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

#[inline(always)]
fn count(keys: &KeySide<'_>, at: usize, rounds: usize, met: impl Fn(usize, usize, u32) -> bool) -> Block {
    let mut sums = [0_u32; LANES];
    for h in 0..rounds {
        let Some(block) = keys.codes[h * keys.stride + at..].first_chunk::<LANES>() else { break };
        for (l, sum) in sums.iter_mut().enumerate() {
            *sum += u32::from(met(h, l, block[l]));
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
        weigh(&mut w, &keys, &side(&[4, 4, 3]), Meeting::Window { after: 0, reach: 1 });
        assert_eq!(w[0], 0.5);
        weigh(
            &mut w,
            &keys,
            &side(&[0, 4, 3]),
            Meeting::Circle { after: 0, reach: 1, total: 5, same_bucket: false },
        );
        assert_eq!(w[0], 0.5, "chunk 0 follows chunk 4 on a circle of 5");
        weigh(&mut w, &keys, &side(&[4, 3, 2]), Meeting::Anywhere { keep: true });
        assert_eq!(w[0], 2.0);
    }
}
