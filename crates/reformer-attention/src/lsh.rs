//! LSH attention (paper, section 2 and appendix A).
//!
//! Each round sorts positions by bucket, cuts the sorted list into chunks of `m`, and lets a position attend within its
//! chunk and the neighbouring ones:
//!
//! ```text
//! o_i = Σ_r exp(z_i^r − z_i) o_i^r      z_i = logsumexp_r z_i^r
//! o_i^r = Σ_{j ∈ P_i^r} exp(q_i·k_j − m_ij^r − z_i^r) v_j
//! m_ij^r = ∞ in another bucket or in the future,  "1e5" if i = j (self only if alone),  log N_ij otherwise
//! ```
//! Buckets come in as a value, one [`Buckets`] per sequence and head; hashing is not differentiated. Which of the rules
//! hold is [`LshConfig`]'s; the default is the paper's. Rounds are folded into `out` and `z` as they come: no
//! `[rounds, len, head_dim]` exists, and the backward pass needs `z` and `dO·O` only ([`crate::chunked`]).
//!
//! Short sequences ([`LshConfig::exact_below`]) take every pair that shares a bucket in any round, as if a chunk held
//! the whole sequence: cheaper than several rounds of chunks, and nothing falls outside the reach.
//!
//! # Shapes
//! - see [`crate::layout`]; `buckets`: one per band, `band = b·heads + h`, all with the same rounds and bucket count

use reformer_lsh::{Buckets, Wrap};
use reformer_tensor::{Cpu, ViewMut};

use crate::band::{Band, Common, Known, Pass, Running, Sinks};
use crate::chunked::Chunked;
use crate::config::{Duplicates, Keys, LshConfig};
use crate::error::{AttentionError, Result};
use crate::exact::Exact;
use crate::layout::{Gradients, Inputs, Layout, Upstream, check_count};
use crate::weights::Meeting;

impl LshConfig {
    fn common(&self, layout: Layout) -> Common {
        Common {
            layout,
            keys: Keys::Shared(self.keys),
            causal: self.causal,
            causal_len: self.causal_len,
            mask_queries: self.mask_queries,
            unmaskable: self.unmaskable,
            dropout: self.dropout,
        }
    }

    fn check_buckets(&self, layout: &Layout, buckets: &[Buckets]) -> Result<()> {
        if !self.needs_buckets(layout.len) || layout.len == 0 {
            return Ok(());
        }
        check_count("buckets (one per sequence and head)", buckets.len(), layout.bands())?;
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

    /// The rounds of one band cut into chunks.
    fn chunked<'a>(&self, buckets: &'a Buckets) -> Chunked<'a> {
        let (len, rounds) = (buckets.len(), buckets.rounds());
        let chunk = self.chunk_length.min(len);
        let (after, reach) = (self.chunks_after as u32, (self.chunks_before + self.chunks_after) as u32);
        let meeting = match (self.duplicates, self.wrap) {
            (Duplicates::Keep, _) => Meeting::Uncounted,
            // One round: every visible pair meets once.
            (Duplicates::Correct, Wrap::Bounded) if rounds == 1 => Meeting::Uncounted,
            (Duplicates::Correct, Wrap::Bounded) => Meeting::Window { after, reach },
            (Duplicates::Correct, Wrap::Circular) => Meeting::Circle {
                after,
                reach,
                total: (rounds * len.div_ceil(chunk)) as u32,
                same_bucket: self.same_bucket,
            },
        };
        Chunked {
            len,
            rounds,
            chunk,
            before: self.chunks_before,
            after: self.chunks_after,
            wrap: self.wrap,
            buckets: Some(buckets),
            same_bucket: self.same_bucket,
            meeting,
        }
    }
}

struct Lsh<'a> {
    config: &'a LshConfig,
    buckets: &'a [Buckets],
}

impl<'a> Lsh<'a> {
    fn exact(&self, band_index: usize) -> Exact<'a> {
        Exact {
            buckets: self.config.same_bucket.then(|| &self.buckets[band_index]),
            keep_duplicates: self.config.duplicates == Duplicates::Keep,
        }
    }
}

impl Pass for Lsh<'_> {
    fn forward(&self, index: usize, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>) {
        if self.config.is_exact(band.len()) {
            return self.exact(index).forward(cpu, band, running);
        }
        self.config.chunked(&self.buckets[index]).forward(cpu, band, running);
    }

    fn backward(&self, index: usize, cpu: &Cpu, band: &Band<'_>, known: &Known<'_>, into: &mut Sinks<'_>) {
        if self.config.is_exact(band.len()) {
            return self.exact(index).backward(cpu, band, known, into);
        }
        self.config.chunked(&self.buckets[index]).backward(cpu, band, known, into);
    }
}

/// Overwrites `out` and `z`. `buckets` may be empty where [`LshConfig::needs_buckets`] says so.
pub fn lsh_forward(
    cpu: &Cpu,
    config: &LshConfig,
    layout: Layout,
    inputs: &Inputs<'_>,
    buckets: &[Buckets],
    out: ViewMut<'_>,
    z: &mut [f32],
) -> Result<()> {
    config.check()?;
    config.check_buckets(&layout, buckets)?;
    config.common(layout).forward(cpu, &Lsh { config, buckets }, inputs, out, z)
}

/// Adds to `gradients` (`dk` is `None`: keys are the queries). `buckets` are the forward pass's.
pub fn lsh_backward(
    cpu: &Cpu,
    config: &LshConfig,
    layout: Layout,
    inputs: &Inputs<'_>,
    buckets: &[Buckets],
    upstream: &Upstream<'_>,
    gradients: Gradients<'_>,
) -> Result<()> {
    config.check()?;
    config.check_buckets(&layout, buckets)?;
    config.common(layout).backward(cpu, &Lsh { config, buckets }, inputs, upstream, gradients)
}
