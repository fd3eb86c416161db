//! Every pair, in blocks: full attention, and LSH attention with chunks of unlimited length. The idea:
//!
//! ```text
//! for each block of keys, for each block of queries that may see it:
//!     o, z ← accumulated with Σ_j w_ij exp(s_ij) v_j
//! ```
//! The `len × len` matrix never exists; blocks that lie wholly in the future are skipped. With buckets a pair is
//! visible if it shares a bucket in any round, which is LSH attention whose chunks are as long as the sequence: the
//! rounds' duplicates add up to one pair under `log N_ij`, and to `N_ij` pairs without it.
//!
//! Where the code departs from it:
//! 1. Forward, blocks of *queries* run in parallel, each with the keys that it may see: a query's row has one writer.
//! 2. Backward, a block of *keys* meets all its queries in turn: `dk` and `dv` then stay in the tile until the block
//!    is done, and `dq` is added in the order of the blocks. Heads run in parallel; one head alone runs on one
//!    thread, because two blocks would add to the same `dq`.

use reformer_lsh::Buckets;
use reformer_tensor::simd::{Kernel, Simd, dispatch};
use reformer_tensor::{Cpu, SharedRows, ViewMut};

use crate::heads::{Head, HeadGradients, HeadOutput, HeadUpstream};
use crate::tile::QUERIES;
use crate::tile::keys::{GatheredKeys, PerSlot, SlotGradients};
use crate::tile::queries::{BackwardRoom, ForwardRoom, KeyRange, Queries};
use crate::visibility::duplicates::{Codes, Meeting};

/// Keys that are gathered together, and queries that share them in the forward pass: 128 KB of keys and values of a
/// head of 64 stay in the second-level cache while the queries pass.
const KEYS_AT_ONCE: usize = 256;

/// All pairs, or all pairs that share a bucket.
pub(crate) struct Exact<'a> {
    pub(crate) buckets: Option<&'a Buckets>,
    /// Pairs weigh as many times as they share a bucket.
    pub(crate) keep_duplicates: bool,
}

impl<'a> Exact<'a> {
    fn codes(&self) -> Codes<'a> {
        self.buckets.map_or(Codes::None, Codes::Buckets)
    }

    fn meeting(&self) -> Meeting {
        match self.buckets {
            Some(_) => Meeting::Anywhere { keep: self.keep_duplicates },
            None => Meeting::Uncounted,
        }
    }

    /// Keys of a block of this sequence, in whole panels.
    fn slots(head: &Head<'_>) -> usize {
        KEYS_AT_ONCE.min(head.len().next_multiple_of(QUERIES))
    }

    fn load<P: PerSlot>(&self, keys: &mut GatheredKeys<P>, head: &Head<'_>, first: usize) {
        let block = first..head.len().min(first + KEYS_AT_ONCE);
        let slots = 0..block.len().next_multiple_of(QUERIES);
        keys.load(head, slots, block.map(|position| (position, 0)), &self.codes());
    }

    /// What the queries up to `last` see of the block of keys from `key` on; `None` if nothing.
    fn range<'b>(&self, head: &'b Head<'b>, last: usize, key: usize) -> Option<KeyRange<'b>> {
        let end = head.mask.bound(head.len(), last, head.len().min(key + KEYS_AT_ONCE));
        (end > key).then(|| KeyRange { head, meeting: self.meeting(), round: 0, first: 0, end: end - key })
    }

    /// Accumulates all blocks into `output`.
    pub(crate) fn forward(&self, cpu: &Cpu, head: &Head<'_>, output: &mut HeadOutput<'_>) {
        let z = ViewMut::new(output.z, head.len(), 1);
        let shared = SharedRows::new([output.out.reborrow(), z]);
        cpu.threads.for_each((0..head.len()).step_by(KEYS_AT_ONCE).collect(), |first: usize| {
            let (slots, codes) = (Self::slots(head), self.codes());
            let mut keys = GatheredKeys::<()>::new(&cpu.workspace, head.dim(), slots, &codes);
            let mut queries = Queries::<ForwardRoom>::new(&cpu.workspace, head.dim(), slots, &codes);
            let end = head.len().min(first + KEYS_AT_ONCE);
            let mut rows: Vec<_> = (first..end).map(|position| shared.claim(position)).collect();
            for key in (0..head.len()).step_by(KEYS_AT_ONCE) {
                // What lies in the future of the last query lies in that of all.
                if self.range(head, end - 1, key).is_none() {
                    break;
                }
                self.load(&mut keys, head, key);
                for (query, rows) in (first..end).step_by(QUERIES).zip(rows.chunks_mut(QUERIES)) {
                    let tile = query..end.min(query + QUERIES);
                    if let Some(range) = self.range(head, tile.end - 1, key) {
                        queries.set(tile.map(|position| (position, 0)), &codes);
                        queries.forward(&range, &keys, rows);
                    }
                }
            }
        });
    }

    /// Adds the gradients of all blocks to `into`.
    pub(crate) fn backward(
        &self,
        cpu: &Cpu,
        head: &Head<'_>,
        upstream: &HeadUpstream<'_>,
        into: &mut HeadGradients<'_>,
    ) {
        let (slots, codes) = (Self::slots(head), self.codes());
        let mut keys = GatheredKeys::<SlotGradients>::new(&cpu.workspace, head.dim(), slots, &codes);
        let mut queries = Queries::<BackwardRoom>::new(&cpu.workspace, head.dim(), slots, &codes);
        for key in (0..head.len()).step_by(KEYS_AT_ONCE) {
            self.load(&mut keys, head, key);
            for query in (0..head.len()).step_by(QUERIES) {
                let tile = query..head.len().min(query + QUERIES);
                if let Some(range) = self.range(head, tile.end - 1, key) {
                    queries.set(tile.map(|position| (position, 0)), &codes);
                    queries.backward_into(&range, &mut keys, upstream, &mut into.dq);
                }
            }
            // No later block of keys is this one: its gradients are complete.
            dispatch(AddBlock { keys: &keys, head, first: key, into });
        }
    }
}

/// Adds the gradients of a block of keys to the rows of its positions.
struct AddBlock<'a, 'b> {
    keys: &'a GatheredKeys<SlotGradients>,
    head: &'a Head<'a>,
    first: usize,
    into: &'a mut HeadGradients<'b>,
}

impl Kernel for AddBlock<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { keys, head, first, into } = self;
        for (slot, position) in (first..head.len().min(first + KEYS_AT_ONCE)).enumerate() {
            keys.add_key_gradient(s, head, slot, into.key_row(position));
            keys.add_value_gradient(s, slot, into.dv.row_mut(position));
        }
    }
}
