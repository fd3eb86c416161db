//! Attention as one value with three verbs: forward, backward, step. The only place that tells the kinds apart.
//!
//! ```text
//! o_i = Σ_r exp(z_i^r − z_i) o_i^r      z_i = logsumexp_r z_i^r                       (full and local: one round)
//! o_i^r = Σ_{j ∈ P_i^r} exp(q_i·k_j − m_ij^r − z_i^r) v_j
//! m_ij^r = ∞ in another bucket or in the future,  "1e5" if i = j (self only if alone),  log N_ij otherwise
//! ```
//! | kind | `P_i^r` | cost |
//! |---|---|---|
//! | full | every position | O(len²) |
//! | local | the chunks of neighbouring positions around one's own | O(len·chunk) |
//! | LSH | in round r's list sorted by bucket, the chunks around one's own (paper, section 2 and appendix A) | O(rounds·len·chunk) |
//!
//! Buckets come in as values, one [`Buckets`] per sequence and head; hashing is not differentiated. The rounds are
//! added up into `out` and `z` as they come: no `[rounds, len, head_dim]` exists, and the backward pass needs `z` and
//! `dO·O` only.
//!
//! Short LSH sequences ([`LshConfig::is_exact`]) take every pair that shares a bucket in any round, as if a chunk
//! held the whole sequence: cheaper than several rounds of chunks, and nothing falls outside the reach.

use reformer_lsh::{Buckets, Chunks, Wrap};
use reformer_tensor::{Cpu, ViewMut};

use crate::config::{Duplicates, FullConfig, Keys, LocalConfig, LshConfig};
use crate::decode::bucket_table::BucketTable;
use crate::decode::step::{Scratch, Step, full_step, local_step, lsh_step};
use crate::error::{AttentionError, Result};
use crate::heads::Call;
use crate::operands::{Gradients, Inputs, Layout, Upstream, check_count};
use crate::visibility::Visibility;
use crate::visibility::duplicates::Meeting;
use crate::walk::Walk;
use crate::walk::chunks::ChunkedList;
use crate::walk::exact::Exact;

/// Which positions attend to which, and how.
///
/// # Shapes
/// - matrices: `[batch·len, heads·head_dim]`, see [`Layout`]; `z: [batch·heads, len]`
/// - `buckets`: one per head of each sequence, `index = b·heads + h`, all with the same rounds and bucket count; empty
///   where [`Attention::needs_buckets`] says that none are needed
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attention {
    /// Every pair.
    Full(FullConfig),
    /// Chunks of neighbouring positions.
    Local(LocalConfig),
    /// Chunks of positions whose vectors hash alike.
    Lsh(LshConfig),
}

impl From<FullConfig> for Attention {
    fn from(config: FullConfig) -> Self {
        Self::Full(config)
    }
}

impl From<LocalConfig> for Attention {
    fn from(config: LocalConfig) -> Self {
        Self::Local(config)
    }
}

impl From<LshConfig> for Attention {
    fn from(config: LshConfig) -> Self {
        Self::Lsh(config)
    }
}

impl Attention {
    /// Overwrites `out` and `z`.
    pub fn forward(
        &self,
        cpu: &Cpu,
        layout: Layout,
        inputs: &Inputs<'_>,
        buckets: &[Buckets],
        out: ViewMut<'_>,
        z: &mut [f32],
    ) -> Result<()> {
        self.check(&layout, buckets)?;
        self.call(layout).forward(cpu, inputs, out, z, |index, head, output| {
            self.walk(layout.len, buckets.get(index)).forward(cpu, head, output);
        })
    }

    /// Adds to `gradients` (`dk` is `None` where keys are the queries). `buckets` are the forward pass's.
    pub fn backward(
        &self,
        cpu: &Cpu,
        layout: Layout,
        inputs: &Inputs<'_>,
        buckets: &[Buckets],
        upstream: &Upstream<'_>,
        gradients: Gradients<'_>,
    ) -> Result<()> {
        self.check(&layout, buckets)?;
        self.call(layout).backward(cpu, inputs, upstream, gradients, |index, head, upstream, into| {
            self.walk(layout.len, buckets.get(index)).backward(cpu, head, upstream, into);
        })
    }

    /// One head of the newest position: overwrites `out: [head_dim]`. `table` holds the position's own buckets already;
    /// it may be `None` where no buckets are needed.
    pub fn step(
        &self,
        step: &Step<'_>,
        table: Option<&BucketTable>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<()> {
        match self {
            Self::Full(config) => full_step(config, step, scratch, out),
            Self::Local(config) => local_step(config, step, scratch, out),
            Self::Lsh(config) => lsh_step(config, step, table, scratch, out),
        }
    }

    /// Where keys come from.
    pub const fn keys(&self) -> Keys {
        match self {
            Self::Full(config) => config.keys,
            Self::Local(config) => config.keys,
            Self::Lsh(config) => Keys::Shared(config.keys),
        }
    }

    /// What a position may see of what is in reach.
    pub const fn visibility(&self) -> Visibility {
        match self {
            Self::Full(config) => config.visibility,
            Self::Local(config) => config.visibility,
            Self::Lsh(config) => config.visibility,
        }
    }

    /// Share of probabilities dropped when an address is given.
    pub const fn dropout(&self) -> f32 {
        match self {
            Self::Full(config) => config.dropout,
            Self::Local(config) => config.dropout,
            Self::Lsh(config) => config.dropout,
        }
    }

    /// Whether some length needs buckets.
    pub const fn hashes(&self) -> bool {
        matches!(self, Self::Lsh(_))
    }

    /// Whether a sequence of this length needs buckets.
    pub const fn needs_buckets(&self, len: usize) -> bool {
        match self {
            Self::Lsh(config) => config.needs_buckets(len),
            Self::Full(_) | Self::Local(_) => false,
        }
    }

    /// The earliest position that a step at `position` may see: what lies before it may be forgotten.
    pub const fn first_seen(&self, position: usize) -> usize {
        match self {
            Self::Local(config) => config.first_seen(position),
            Self::Full(_) | Self::Lsh(_) => 0,
        }
    }

    /// Whether a sequence of this length is cut into chunks of a sorted list, which takes working memory in proportion
    /// to its rounds.
    pub const fn sorts(&self, len: usize) -> bool {
        match self {
            Self::Lsh(config) => !config.is_exact(len),
            Self::Full(_) | Self::Local(_) => false,
        }
    }

    /// Keys that a query is compared with, masked or not, all rounds together: what a pass costs.
    pub const fn compared_keys(&self, len: usize, rounds: usize) -> usize {
        match self {
            Self::Local(config) => {
                let keys = (config.chunks_before + 1 + config.chunks_after) * config.chunk_length;
                if keys < len { keys } else { len }
            }
            Self::Lsh(config) if !config.is_exact(len) => {
                rounds * (config.chunks_before + 1 + config.chunks_after) * config.chunk_length
            }
            Self::Full(_) | Self::Lsh(_) => len,
        }
    }

    fn call(&self, layout: Layout) -> Call {
        Call { layout, keys: self.keys(), visibility: self.visibility(), dropout: self.dropout() }
    }

    fn check(&self, layout: &Layout, buckets: &[Buckets]) -> Result<()> {
        match self {
            Self::Full(config) => config.check(),
            Self::Local(config) => config.check(),
            Self::Lsh(config) => config.check(),
        }?;
        // What is not looked at is not judged: callers may hand in buckets for all lengths alike.
        if !self.needs_buckets(layout.len) || layout.len == 0 {
            return Ok(());
        }
        check_count("buckets (one per sequence and head)", buckets.len(), layout.head_count())?;
        for (head, b) in buckets.iter().enumerate() {
            if b.len() != layout.len {
                return Err(AttentionError::BucketLength { head, got: b.len(), expected: layout.len });
            }
            let kinds = [
                ("rounds", b.rounds(), buckets[0].rounds()),
                ("buckets", b.num_buckets(), buckets[0].num_buckets()),
            ];
            for (what, got, expected) in kinds {
                if got != expected {
                    return Err(AttentionError::BucketKind { head, what, got, expected });
                }
            }
        }
        Ok(())
    }

    /// How a sequence of this length is gone through; `buckets` have been checked.
    fn walk<'a>(&self, len: usize, buckets: Option<&'a Buckets>) -> Walk<'a> {
        match self {
            // The same walk as short LSH sequences', so that the two agree to the bit where they see the same.
            Self::Full(_) => Walk::Exact(Exact { buckets: None, keep_duplicates: false }),
            Self::Local(config) => Walk::Chunks(local_chunks(config, len)),
            // All rounds at once: without chunks a round hides nothing that another shows but by its buckets.
            Self::Lsh(config) if config.is_exact(len) => Walk::Exact(Exact {
                buckets: buckets.filter(|_| config.same_bucket),
                keep_duplicates: config.duplicates == Duplicates::Keep,
            }),
            Self::Lsh(config) => {
                Walk::Chunks(lsh_chunks(config, buckets.expect("checked: every head has its buckets")))
            }
        }
    }
}

/// Positions as they stand, cut into chunks.
fn local_chunks(config: &LocalConfig, len: usize) -> ChunkedList<'static> {
    let &LocalConfig { chunk_length, chunks_before, chunks_after, wrap, .. } = config;
    // A chunk longer than the sequence would be gathered in slots that nobody fills.
    let chunks = Chunks::new(1, len, chunk_length.min(len), chunks_before, chunks_after, wrap);
    ChunkedList {
        chunks: chunks.expect("a checked configuration and at least one position"),
        buckets: None,
        same_bucket: false,
        meeting: Meeting::Uncounted,
    }
}

/// The sorted rounds of one head, cut into chunks.
fn lsh_chunks<'a>(config: &LshConfig, buckets: &'a Buckets) -> ChunkedList<'a> {
    let &LshConfig { chunks_before, chunks_after, wrap, same_bucket, .. } = config;
    let (len, rounds) = (buckets.len(), buckets.rounds());
    let chunk = config.chunk_length.min(len);
    let chunks = Chunks::new(rounds, len, chunk, chunks_before, chunks_after, wrap);
    let (after, reach) = (chunks_after as u32, (chunks_before + chunks_after) as u32);
    let meeting = match (config.duplicates, wrap) {
        (Duplicates::Keep, _) => Meeting::Uncounted,
        // One round: every visible pair meets once, and the counting loop is left out.
        (Duplicates::Correct, Wrap::Bounded) if rounds == 1 => Meeting::Uncounted,
        (Duplicates::Correct, Wrap::Bounded) => Meeting::InReach { after, reach },
        // Across a round's end a pair may be seen that no round brings near; it is counted as the others count it.
        (Duplicates::Correct, Wrap::Circular) => {
            let total = (rounds * len.div_ceil(chunk)) as u32;
            Meeting::OnCircle { after, reach, total, same_bucket }
        }
    };
    let chunks = chunks.expect("a checked configuration and at least one position");
    ChunkedList { chunks, buckets: Some(buckets), same_bucket, meeting }
}
