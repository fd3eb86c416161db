//! The semantic switches of the three kinds, and what the paper and the other implementations set them to.
//!
//! | | paper (our default) | trax | Hugging Face | reformer-pytorch |
//! |---|---|---|---|---|
//! | same bucket only | yes (eq. 16) | no | no | no (option) |
//! | duplicates across rounds | corrected (eq. 16) | kept | kept | kept (option) |
//! | neighbours beyond a round's ends | none | circular | circular | circular |
//! | keys | `x/√(Σx² + d·1e-6)` | the same | the same | `x/(‖x‖·√d)` |
//! | padded queries | output 0 | attend | attend | see only themselves |
//! | exact up to | the reach | never | one chunk | one chunk (option) |
//!
//! **Self only if alone.** With shared queries and keys a position sees itself only when nothing else is visible in any
//! round. The paper and the others write this as a score of `−1e5` (reformer-pytorch `−5e4`) and "invisible" as `−∞`,
//! `−1e9` or `−3.4e38`. Next to any other score those are weights of exactly zero in `f32` and `f64`, so here they are
//! sets, not numbers: invisible keys have weight 0, and a row that sees nothing else takes its own value exactly
//! (`z` = [`ALONE`]). That spares the others' rounding of `exp(−1e5 − logsumexp)`, up to 0.4 % on such rows, and the
//! gradient that trax leaks through it.

use reformer_lsh::Wrap;

use crate::error::{AttentionError, Result};
use crate::visibility::{Causal, Visibility};

/// `z` of a row that sees nothing but itself: the paper's score of a self-target.
pub const ALONE: f32 = -1e5;

/// How a shared query/key vector `x` becomes a key, and with it how scores are scaled.
///
/// The paper divides scores by `√d_k` in equation 1 and drops the scale from its later equations; which scale its
/// results were made with is told by its code. `Rms` is that code's: a key of length one, a query as it is, no other
/// factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyNorm {
    /// `x / √(mean(x²) + 1e-6) / √d`: unit length; trax and Hugging Face.
    Rms,
    /// `x / max(‖x‖, 1e-12)`, and scores times `1/√d` (here as part of the key): reformer-pytorch.
    UnitScaled,
}

/// Where keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// A matrix of their own, scaled by `1/√d`; a position sees itself.
    Separate,
    /// The normalised queries; a position sees itself only if alone.
    Shared(KeyNorm),
}

impl Keys {
    /// Whether keys are the queries, so that a position sees itself only if alone.
    pub const fn are_shared(self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

/// Pairs that meet in several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duplicates {
    /// Count as often as they meet.
    Keep,
    /// Lose `log(N_ij + 1e-9)`, `N_ij` the rounds in which `j` is in the reach of `i` (and in its bucket where only
    /// the same bucket is visible), so that each visible key counts once. Equation 16 of the paper as printed counts
    /// the rounds in which the two share a bucket, whether or not chunks show them to one another; a pair that shares
    /// a bucket in two rounds and is in reach in one would then weigh a half. trax counts reach, and so does this.
    /// `N_ij ≥ 1` for every visible pair, and `1 + 1e-9 = 1` in f32. The `1e-9` is reformer-pytorch's and matters
    /// only with [`Wrap::Circular`], where a key that is seen across a round's end has `N_ij = 0` and is raised by
    /// 20.7 there, and so here.
    Correct,
}

/// Up to which length LSH attention cuts no chunks: with `same_bucket` all pairs that share a bucket in any round are
/// seen, else all pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExactLength {
    /// Chunks at every length.
    Never,
    /// As long as chunks would show every pair as well ([`LshConfig::reach`]): nothing is seen that the chunked path
    /// would hide, and the sorting is saved. The only choice with which padding a sequence changes nothing.
    Reach,
    /// Up to this length, whether or not chunks would show as much.
    UpTo(usize),
}

/// LSH attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LshConfig {
    /// Positions of a chunk.
    pub chunk_length: usize,
    /// Chunks seen before a chunk.
    pub chunks_before: usize,
    /// Chunks seen after a chunk.
    pub chunks_after: usize,
    /// What lies beyond a round's ends.
    pub wrap: Wrap,
    /// What a position may see of what is in reach.
    pub visibility: Visibility,
    /// A position sees its own bucket only.
    pub same_bucket: bool,
    /// Pairs that meet in several rounds.
    pub duplicates: Duplicates,
    /// Key normalisation.
    pub keys: KeyNorm,
    /// Share of probabilities dropped when an address is given.
    pub dropout: f32,
    /// Up to which length no chunks are cut.
    pub exact: ExactLength,
}

impl LshConfig {
    /// The paper's attention: same bucket only, each visible key once ([`Duplicates::Correct`]), causal, one chunk
    /// before; the scale is trax's ([`KeyNorm::Rms`]).
    pub const fn paper(chunk_length: usize) -> Self {
        Self {
            chunk_length,
            chunks_before: 1,
            chunks_after: 0,
            wrap: Wrap::Bounded,
            visibility: Visibility::CAUSAL.with_masked_queries(true),
            same_bucket: true,
            duplicates: Duplicates::Correct,
            keys: KeyNorm::Rms,
            dropout: 0.0,
            exact: ExactLength::Reach,
        }
    }

    /// `LSHSelfAttention` of transformers.
    pub const fn hugging_face(chunk_length: usize) -> Self {
        Self {
            wrap: Wrap::Circular,
            same_bucket: false,
            duplicates: Duplicates::Keep,
            visibility: Visibility::CAUSAL,
            exact: ExactLength::UpTo(chunk_length),
            ..Self::paper(chunk_length)
        }
    }

    /// `LSHSelfAttention` of trax.
    pub const fn trax(chunk_length: usize) -> Self {
        let visibility = Visibility { unmaskable: 2, ..Visibility::CAUSAL };
        Self { visibility, exact: ExactLength::Never, ..Self::hugging_face(chunk_length) }
    }

    /// `LSHAttention` of reformer-pytorch with `bucket_size = chunk_length`.
    pub const fn lucid(chunk_length: usize) -> Self {
        Self {
            keys: KeyNorm::UnitScaled,
            visibility: Visibility::CAUSAL.with_masked_queries(true),
            exact: ExactLength::Never,
            ..Self::hugging_face(chunk_length)
        }
    }

    /// The longest sequence whose every visible pair lies in one another's reach, wherever its ranks fall.
    ///
    /// Of `n` chunks the last sees the first if `n ≤ before + 1`. That is enough where a key always stands before its
    /// query in the sorted list: causal, and in the same bucket. Otherwise the first must see the last as well:
    /// `n ≤ min(before, after) + 1`.
    pub const fn reach(&self) -> usize {
        let sorted_by_time = self.same_bucket && matches!(self.visibility.causal, Causal::Yes);
        let (before, after) = (self.chunks_before, self.chunks_after);
        let chunks = if sorted_by_time || before < after { before } else { after };
        (chunks + 1) * self.chunk_length
    }

    const fn exact_length(&self) -> usize {
        match self.exact {
            ExactLength::Never => 0,
            ExactLength::Reach => self.reach(),
            ExactLength::UpTo(length) => length,
        }
    }

    /// Whether a sequence of this length takes the exact path.
    pub const fn is_exact(&self, len: usize) -> bool {
        len <= self.exact_length()
    }

    /// Whether a sequence of this length needs buckets at all.
    pub const fn needs_buckets(&self, len: usize) -> bool {
        self.same_bucket || !self.is_exact(len)
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_chunk("chunk_length of LSH attention", self.chunk_length)?;
        check_dropout("dropout of LSH attention", self.dropout)
    }
}

/// Local attention: every chunk of positions sees itself and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalConfig {
    /// Positions of a chunk.
    pub chunk_length: usize,
    /// Chunks seen before a chunk.
    pub chunks_before: usize,
    /// Chunks seen after a chunk.
    pub chunks_after: usize,
    /// What the first and the last chunk see beyond the ends.
    pub wrap: Wrap,
    /// What a position may see of what is in reach.
    pub visibility: Visibility,
    /// Where keys come from.
    pub keys: Keys,
    /// Share of probabilities dropped when an address is given.
    pub dropout: f32,
}

impl LocalConfig {
    /// Separate keys, causal, one chunk before, none after, nothing beyond the ends.
    pub const fn causal(chunk_length: usize) -> Self {
        Self {
            chunk_length,
            chunks_before: 1,
            chunks_after: 0,
            wrap: Wrap::Bounded,
            visibility: Visibility::CAUSAL,
            keys: Keys::Separate,
            dropout: 0.0,
        }
    }

    /// `LocalSelfAttention` of transformers.
    pub const fn hugging_face(chunk_length: usize, causal: bool) -> Self {
        let visibility = Visibility::CAUSAL.with_causal(causal);
        Self { visibility, wrap: Wrap::Circular, ..Self::causal(chunk_length) }
    }

    /// The earliest position that a causal step at `position` sees.
    pub const fn first_seen(&self, position: usize) -> usize {
        (position / self.chunk_length).saturating_sub(self.chunks_before) * self.chunk_length
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_chunk("chunk_length of local attention", self.chunk_length)?;
        check_dropout("dropout of local attention", self.dropout)
    }
}

/// Full attention: every pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullConfig {
    /// What a position may see.
    pub visibility: Visibility,
    /// Where keys come from.
    pub keys: Keys,
    /// Share of probabilities dropped when an address is given.
    pub dropout: f32,
}

impl FullConfig {
    /// softmax(QKᵀ/√d)V over the past and oneself.
    pub const fn causal() -> Self {
        Self { visibility: Visibility::CAUSAL, keys: Keys::Separate, dropout: 0.0 }
    }

    /// Shared queries and keys over the past: what LSH attention approximates.
    pub const fn shared(norm: KeyNorm) -> Self {
        Self { keys: Keys::Shared(norm), ..Self::causal() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_dropout("dropout of full attention", self.dropout)
    }
}

fn check_chunk(key: &'static str, chunk: usize) -> Result<()> {
    if chunk == 0 {
        return Err(AttentionError::Setting { key, got: chunk.to_string(), expected: "at least 1" });
    }
    Ok(())
}

fn check_dropout(key: &'static str, rate: f32) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(AttentionError::Setting { key, got: rate.to_string(), expected: "in [0, 1)" })
}
