//! Where the gradients of a chunk's keys go when the walk leaves it: to the rows of its positions, or, for the chunks
//! of neighbouring ranges, to an overhang that is added later.
//!
//! ```text
//! range         chunks first .. end                       these rows are the range's own to write
//! overhang      chunks first − before .. first, and end .. end + after
//!               one piece a chunk, [chunk_length, dk (dim) | dv (dim)]
//! ```
//! A position's row is written by one range at a time; two ranges that both see a chunk would race for its rows. The
//! overhang costs a copy of `before + after` chunks in 2,048 positions.

use core::ops::Range;

use reformer_lsh::Chunks;
use reformer_tensor::SharedRows;
use reformer_tensor::simd::{Kernel, Simd, prefetch, rows};

use crate::heads::{Head, HeadGradients};
use crate::tile::keys::{GatheredKeys, SlotGradients};

/// The chunks of a range's overhang.
pub(super) fn chunks(chunks: &Chunks, range: &Range<isize>) -> impl Iterator<Item = isize> + use<> {
    let before = range.start - chunks.before() as isize..range.start;
    before.chain(range.end..range.end + chunks.after() as isize)
}

/// Where the overhang of a range has a chunk; `None` for the range's own chunks.
pub(super) fn piece(chunks: &Chunks, dim: usize, range: &Range<isize>, chunk: isize) -> Option<Range<usize>> {
    let before = chunks.before() as isize;
    let index = if chunk < range.start {
        chunk + before - range.start
    } else if chunk >= range.end {
        chunk - range.end + before
    } else {
        return None;
    };
    let size = chunks.chunk_length() * 2 * dim;
    Some(index as usize * size..(index as usize + 1) * size)
}

/// Adds a piece of an overhang to the rows of its chunk's positions.
pub(super) fn add(
    piece: &[f32],
    dim: usize,
    positions: impl Iterator<Item = usize>,
    into: &mut HeadGradients<'_>,
) {
    for (position, pair) in positions.zip(piece.chunks_exact(2 * dim)) {
        rows::add(&pair[..dim], into.key_row(position));
        rows::add(&pair[dim..], into.dv.row_mut(position));
    }
}

/// Adds the gradients of a range's own chunk to the rows `[dq, dk, dv]` of its positions.
pub(super) struct AddToRows<'a, 'b> {
    pub(super) keys: &'a GatheredKeys<SlotGradients>,
    pub(super) head: &'a Head<'a>,
    pub(super) slots: Range<usize>,
    pub(super) rows: &'a SharedRows<'b, 3>,
}

impl Kernel for AddToRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { keys, head, slots, rows } = self;
        let filled = slots.filter(|&slot| keys.rows.is_filled(slot));
        // All at once, and asked for: they lie scattered, and none is in the cache.
        let claimed: Vec<_> = filled.map(|slot| (slot, rows.claim(keys.rows.id[slot] as usize))).collect();
        for (_, rows) in &claimed {
            for row in rows {
                prefetch(row);
            }
        }
        for (slot, [dq, dk, dv]) in claimed {
            keys.add_query_gradient(s, slot, dq);
            // Shared keys: the key's gradient belongs to the same row.
            let key = if dk.is_empty() { dq } else { dk };
            keys.add_key_gradient(s, head, slot, key);
            keys.add_value_gradient(s, slot, dv);
        }
    }
}

/// Writes the gradients of a neighbour's chunk to the overhang.
pub(super) struct WriteOverhang<'a> {
    pub(super) keys: &'a GatheredKeys<SlotGradients>,
    pub(super) head: &'a Head<'a>,
    pub(super) slots: Range<usize>,
    pub(super) into: &'a mut [f32],
}

impl Kernel for WriteOverhang<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { keys, head, slots, into } = self;
        let dim = keys.rows.shape.dim;
        // The piece is a lease and holds an older wave's numbers; slots beyond the list's end stay 0.
        into.fill(0.0);
        for (slot, pair) in slots.zip(into.chunks_exact_mut(2 * dim)) {
            if keys.rows.is_filled(slot) {
                let (dk, dv) = pair.split_at_mut(dim);
                keys.add_key_gradient(s, head, slot, dk);
                keys.add_value_gradient(s, slot, dv);
            }
        }
    }
}
