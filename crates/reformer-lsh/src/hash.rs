//! From vectors to buckets: one product with all rounds' directions, then a reading of each round's projections.
//!
//! ```text
//! for each piece of rows (in parallel), for each WIDTH rows:
//!     X = the rows, transposed                          [dim, WIDTH]
//!     P = directionsᵀ·X                                 [rounds·columns, WIDTH]
//!     ids[r] = bucket(P[r·columns ..])                  down the columns, a lane per row
//! ids[r][t] = num_buckets                               where the mask says padding
//! ```
//! With vectors as lanes the argmax is two comparisons a column, and no number of it leaves the first caches. Pieces
//! are of fixed size, so ids are the same bits for any number of threads. Hashing is not differentiated.
//!
//! [`hash_one`] sums a single vector's products in another order than the matrix product does: a vector whose two
//! best axes agree to the last bits may fall to either side. Both answers are right; neither is random.

use reformer_tensor::simd::{Kernel, Simd, dispatch};
use reformer_tensor::tile::packed::{PANEL, ROWS_TOGETHER, by_panels, pack_panel};
use reformer_tensor::{Cpu, View, Workspace};

use crate::{
    buckets::{Buckets, check_length},
    error::{LshError, Result},
    family::{HashFamily, WIDTH},
};

/// Rows hashed by one task.
const PIECE: usize = 1024;

/// Hashes every row of `x` in every round.
///
/// With a mask (`true` = token, `false` = padding) padded rows go to a bucket of their own after the others, and
/// [`Buckets::num_buckets`] is one larger; without one there is no pad bucket. A row of NaN is in bucket 0.
///
/// # Shapes
/// - `x: [len, dim]`, `mask: [len]` → ids `[rounds, len]`
pub fn hash_vectors<F: HashFamily>(
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

    let (dim, width) = (x.cols(), (rounds * columns).next_multiple_of(ROWS_TOGETHER));
    // A product wants its left operand row by row, and the directions come column by column: turned once for all
    // pieces.
    let mut axes = cpu.workspace.take_zeroed(width * dim);
    let directions = family.directions();
    for d in 0..dim {
        for (column, &value) in directions.row(d).iter().enumerate() {
            axes[column * dim + d] = value;
        }
    }
    // A piece of rows writes to every round's ids, which lie `len` apart: each task gets one slice a round.
    let mut pieces: Vec<Vec<&mut [u32]>> = Vec::new();
    pieces.resize_with(len.div_ceil(PIECE), Vec::new);
    for round in ids.chunks_mut(len) {
        for (piece, ids) in pieces.iter_mut().zip(round.chunks_mut(PIECE)) {
            piece.push(ids);
        }
    }
    cpu.threads.for_each(pieces.into_iter().enumerate().collect(), |(piece, mut ids): (usize, Vec<_>)| {
        let start = piece * PIECE;
        let rows = x.rows_range(start..len.min(start + PIECE));
        dispatch(Hash { workspace: &cpu.workspace, rows, axes: &axes, width, family, ids: &mut ids });
        let Some(mask) = mask else { return };
        for ids in ids {
            for (id, _) in ids.iter_mut().zip(&mask[start..]).filter(|(_, token)| !**token) {
                *id = family.num_buckets() as u32;
            }
        }
    });
    Ok(Buckets::trusted(rounds, len, num_buckets, ids))
}

/// Hashes a piece of rows.
struct Hash<'a, 'b, F> {
    workspace: &'a Workspace,
    rows: View<'a>,
    /// The directions, `[width, dim]`.
    axes: &'a [f32],
    width: usize,
    family: &'a F,
    /// By round.
    ids: &'a mut [&'b mut [u32]],
}

impl<F: HashFamily> Kernel for Hash<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { workspace, rows, axes, width, family, ids } = self;
        let (dim, columns) = (rows.cols(), family.columns());
        let mut x = workspace.take_zeroed(WIDTH * dim);
        let mut panels = workspace.take(WIDTH * dim);
        let mut projections = workspace.take(width * WIDTH);
        let mut buckets = [0.0; WIDTH];
        for first in (0..rows.rows()).step_by(WIDTH) {
            let here = first..rows.rows().min(first + WIDTH);
            // The last few rows of a piece are followed by what the step before left: numbers, whose ids nobody reads.
            for (to, t) in x.chunks_exact_mut(dim).zip(here.clone()) {
                to.copy_from_slice(rows.row(t));
            }
            for (x, panel) in x.chunks_exact(PANEL * dim).zip(panels.chunks_exact_mut(PANEL * dim)) {
                pack_panel(s, dim, (x, dim), panel);
            }
            by_panels(s, (width, dim), (axes, dim), &panels, (&mut projections, WIDTH));
            for (ids, projections) in ids.iter_mut().zip(projections.chunks(columns * WIDTH)) {
                family.buckets(s, projections, &mut buckets);
                for (id, &bucket) in ids[here.clone()].iter_mut().zip(&buckets) {
                    *id = bucket as u32;
                }
            }
        }
    }
}

/// Hashes one vector in every round: what decoding does with each new query.
///
/// # Panics
/// If `x` is not of the family's width or `out` not of its number of rounds.
#[track_caller]
pub fn hash_one<F: HashFamily>(x: &[f32], family: &F, out: &mut [u32]) {
    assert_eq!(x.len(), family.dim(), "hash_one: width of the vector");
    assert_eq!(out.len(), family.rounds(), "hash_one: one bucket per round");
    let (directions, columns) = (family.directions(), family.columns());
    let mut projections = vec![0.0; out.len() * columns];
    // A vector alone would waste 31 lanes of the kernel. Row by row through the directions, memory is read in order.
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
