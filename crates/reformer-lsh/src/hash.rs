//! From vectors to buckets: one product with all rounds' directions, then a reading of each round's projections.
//!
//! ```text
//! P = x · directions                        [rows, rounds·columns], a block of rows at a time
//! ids[r][t] = bucket(P[t, r·columns ..])    in parallel over (round, piece of the block)
//! ids[r][t] = num_buckets                   where the mask says padding
//! ```
//!
//! The block bounds the workspace at `BLOCK·rounds·columns` numbers whatever the length. Blocks and pieces are of
//! fixed size, so ids are the same bits for any number of threads. Hashing is not differentiated.
//!
//! [`hash_one`] sums a single vector's products in another order than the matrix product does: a vector whose two
//! best axes agree to the last bits may fall to either side. Both answers are right; neither is random.

use reformer_tensor::{Cpu, View, ViewMut, Write, matmul};

use crate::{
    buckets::{Buckets, check_length},
    error::{LshError, Result},
    family::HashFamily,
};

/// Rows projected at a time.
const BLOCK: usize = 4096;
/// Rows read by one task.
const PIECE: usize = 512;

/// Hashes every row of `x` in every round.
///
/// With a mask (`true` = token, `false` = padding) padded rows go to a bucket of their own after the others, and
/// [`Buckets::num_buckets`] is one larger; without one there is no pad bucket. A row of NaN is in bucket 0.
///
/// # Shapes
/// - `x: [len, dim]`, `mask: [len]` → ids `[rounds, len]`
pub fn hash_vectors<F: HashFamily + ?Sized>(
    cpu: &Cpu,
    x: View<'_>,
    family: &F,
    mask: Option<&[bool]>,
) -> Result<Buckets> {
    let (len, rounds, columns) = (x.rows(), family.rounds(), family.columns());
    if x.cols() != family.dim() {
        return Err(LshError::Width { what: "the rotations", got: x.cols(), expected: family.dim() });
    }
    if let Some(mask) = mask.filter(|mask| mask.len() != len) {
        return Err(LshError::MaskLength { got: mask.len(), expected: len });
    }
    check_length(rounds, len)?;
    let num_buckets = family.num_buckets() + usize::from(mask.is_some());
    let mut ids = vec![0; rounds * len];
    if len == 0 {
        return Ok(Buckets::trusted(rounds, len, num_buckets, ids));
    }

    let width = rounds * columns;
    let mut projections = cpu.workspace.take(len.min(BLOCK) * width);
    for start in (0..len).step_by(BLOCK) {
        let rows = BLOCK.min(len - start);
        let out = &mut projections[..rows * width];
        let block = x.rows_range(start..start + rows);
        matmul(cpu, block, family.directions(), Write::Overwrite, ViewMut::new(out, rows, width));
        let out: &[f32] = out;

        let pieces = ids.chunks_mut(len).enumerate().flat_map(|(round, ids)| {
            let block = &mut ids[start..start + rows];
            block.chunks_mut(PIECE).enumerate().map(move |(i, piece)| (round, i * PIECE, piece))
        });
        cpu.threads.for_each(pieces.collect(), |(round, first, piece): (usize, usize, &mut [u32])| {
            for (i, id) in piece.iter_mut().enumerate() {
                let row = first + i;
                *id = if mask.is_none_or(|mask| mask[start + row]) {
                    family.bucket(&out[row * width + round * columns..][..columns])
                } else {
                    family.num_buckets() as u32
                };
            }
        });
    }
    Ok(Buckets::trusted(rounds, len, num_buckets, ids))
}

/// Hashes one vector in every round: what decoding does with each new query.
///
/// # Panics
/// If `x` is not of the family's width or `out` not of its number of rounds.
#[track_caller]
pub fn hash_one<F: HashFamily + ?Sized>(x: &[f32], family: &F, out: &mut [u32]) {
    assert_eq!(x.len(), family.dim(), "hash_one: width of the vector");
    assert_eq!(out.len(), family.rounds(), "hash_one: one bucket per round");
    let (directions, columns) = (family.directions(), family.columns());
    let mut projections = vec![0.0; out.len() * columns];
    for (d, &value) in x.iter().enumerate() {
        for (p, &r) in projections.iter_mut().zip(directions.row(d)) {
            *p += value * r;
        }
    }
    for (id, p) in out.iter_mut().zip(projections.chunks_exact(columns)) {
        *id = family.bucket(p);
    }
}

/// The first row that holds a NaN or an infinity, if any: such rows hash without complaint, so a caller who wants
/// to report them asks here.
pub fn first_non_finite(x: View<'_>) -> Option<usize> {
    (0..x.rows()).find(|&t| x.row(t).iter().any(|v| !v.is_finite()))
}
