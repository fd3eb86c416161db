//! Every pair, in blocks: full attention, and LSH attention with chunks of unlimited length.
//!
//! ```text
//! for each block of keys, for each block of queries that may see it:
//!     o, z ← folded with Σ_j w_ij exp(s_ij) v_j
//! ```
//! The `len × len` matrix never exists; blocks that lie wholly in the future are skipped. With buckets a pair is visible
//! if it shares a bucket in any round, which is LSH attention whose chunks are as long as the sequence: the rounds'
//! duplicates add up to one pair under `log N_ij`, and to `N_ij` pairs without it.

//!
//! Forward, blocks of queries run in parallel, each with the keys that it may see; backward, a block of keys meets all its
//! queries, whose `dq` is added in that order, and bands run in parallel.

use reformer_lsh::Buckets;
use reformer_tensor::simd::{Kernel, Simd, dispatch};
use reformer_tensor::{Cpu, SharedRows, ViewMut};

use crate::band::{Band, Known, Running, Sinks};
use crate::group::{Attention, Group};
use crate::softmax::GROUP;
use crate::weights::Meeting;
use crate::window::{Codes, Window};

/// Keys of a block, and queries that share it in the forward pass.
const BLOCK: usize = 256;

/// All pairs, or all pairs that share a bucket.
pub(crate) struct Exact<'a> {
    pub(crate) buckets: Option<&'a Buckets>,
    /// Pairs weigh as many times as they share a bucket.
    pub(crate) keep_duplicates: bool,
}

impl<'a> Exact<'a> {
    fn codes(&self) -> Codes<'a> {
        self.buckets.map_or(Codes::None, Codes::Ids)
    }

    fn meeting(&self) -> Meeting {
        match self.buckets {
            Some(_) => Meeting::Anywhere { keep: self.keep_duplicates },
            None => Meeting::Uncounted,
        }
    }

    fn tools(&self, cpu: &Cpu, band: &Band<'_>, backward: bool) -> (Window, Group) {
        let keys = BLOCK.min(band.len().next_multiple_of(GROUP));
        let window = Window::new(&cpu.workspace, band.dim(), keys, &self.codes(), backward);
        (window, Group::new(&cpu.workspace, band.dim(), keys, &self.codes(), backward))
    }

    fn load(&self, window: &mut Window, band: &Band<'_>, first: usize) {
        let block = first..band.len().min(first + BLOCK);
        let slots = 0..block.len().next_multiple_of(GROUP);
        window.load(band, slots, block.map(|position| (position, 0)), &self.codes());
    }

    /// Sets the group of queries from `query` on against the block of keys from `key` on, unless it sees none of them.
    fn meet<'b>(
        &self,
        group: &mut Group,
        band: &'b Band<'b>,
        query: usize,
        end: usize,
        key: usize,
    ) -> Option<Attention<'b>> {
        let (end, len) = (end.min(query + GROUP), band.len());
        let causal = band.sight.causal_below.is_some_and(|below| below >= len);
        let keys = len.min(key + BLOCK);
        let seen = if causal { keys.min(end) } else { keys };
        if seen <= key {
            return None;
        }
        group.set((query..end).map(|position| (position, 0)), &self.codes());
        Some(Attention { band, meeting: self.meeting(), round: 0, first: 0, end: seen - key })
    }

    /// Folds all blocks into `running`.
    pub(crate) fn forward(&self, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>) {
        let z = ViewMut::new(running.z, band.len(), 1);
        let shared = SharedRows::new([running.out.reborrow(), z]);
        cpu.threads.for_each((0..band.len()).step_by(BLOCK).collect(), |first: usize| {
            let (mut window, mut group) = self.tools(cpu, band, false);
            let end = band.len().min(first + BLOCK);
            let mut rows: Vec<_> = (first..end).map(|position| shared.claim(position)).collect();
            for key in (0..band.len()).step_by(BLOCK) {
                // Nothing in the future of the last query, so neither in that of the others.
                if self.meet(&mut group, band, end - 1, end, key).is_none() {
                    break;
                }
                self.load(&mut window, band, key);
                for (query, rows) in (first..end).step_by(GROUP).zip(rows.chunks_mut(GROUP)) {
                    if let Some(attention) = self.meet(&mut group, band, query, end, key) {
                        group.forward(&attention, &window, rows);
                    }
                }
            }
        });
    }

    /// Adds the gradients of all blocks to `into`.
    pub(crate) fn backward(&self, cpu: &Cpu, band: &Band<'_>, known: &Known<'_>, into: &mut Sinks<'_>) {
        let (mut window, mut group) = self.tools(cpu, band, true);
        for key in (0..band.len()).step_by(BLOCK) {
            self.load(&mut window, band, key);
            for query in (0..band.len()).step_by(GROUP) {
                if let Some(attention) = self.meet(&mut group, band, query, band.len(), key) {
                    group.backward_into(&attention, &mut window, known, &mut into.dq);
                }
            }
            dispatch(Flush { window: &window, band, key, into });
        }
    }
}

/// Adds the gradients of a block of keys to the rows of its positions.
struct Flush<'a, 'b> {
    window: &'a Window,
    band: &'a Band<'a>,
    key: usize,
    into: &'a mut Sinks<'b>,
}

impl Kernel for Flush<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { window, band, key, into } = self;
        for (slot, position) in (key..band.len().min(key + BLOCK)).enumerate() {
            let keys = into.dk.as_mut().unwrap_or(&mut into.dq).row_mut(position);
            window.add_key_gradient(s, band, slot, keys);
            window.add_value_gradient(s, slot, into.dv.row_mut(position));
        }
    }
}
