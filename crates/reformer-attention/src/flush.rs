//! Where the gradients of a chunk's keys go when a window leaves it: to the rows of its positions, or, for the chunks of
//! neighbours, to an overhang.

use core::ops::Range;

use reformer_tensor::SharedRows;
use reformer_tensor::simd::{Kernel, Simd, prefetch};

use crate::band::Band;
use crate::key::map_with;
use crate::window::Window;

/// Adds the gradients of a range's own chunk to the rows of its positions.
pub(crate) struct Flush<'a, 'b> {
    pub(crate) window: &'a Window,
    pub(crate) band: &'a Band<'a>,
    pub(crate) slots: Range<usize>,
    pub(crate) rows: &'a SharedRows<'b, 3>,
}

impl Kernel for Flush<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { window, band, slots, rows } = self;
        let Some(gradients) = &window.gradients else { return };
        let filled = slots.filter(|&slot| window.is_filled(slot));
        // All at once, and asked for: they lie scattered, and none is in the cache.
        let claimed: Vec<_> = filled.map(|slot| (slot, rows.claim(window.id[slot] as usize))).collect();
        for (_, rows) in &claimed {
            for row in rows {
                prefetch(row);
            }
        }
        for (slot, [dq, dk, dv]) in claimed {
            let own = &gradients.dq[slot * window.wide..(slot + 1) * window.wide];
            map_with(
                s,
                own,
                dq,
                #[inline(always)]
                |x, y| s.add(x, y),
            );
            let keys = if dk.is_empty() { dq } else { dk };
            window.add_key_gradient(s, band, slot, keys);
            window.add_value_gradient(s, slot, dv);
        }
    }
}

/// Writes the gradients of a neighbour's chunk to the overhang.
pub(crate) struct Hang<'a> {
    pub(crate) window: &'a Window,
    pub(crate) band: &'a Band<'a>,
    pub(crate) slots: Range<usize>,
    pub(crate) into: &'a mut [f32],
}

impl Kernel for Hang<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let dim = self.window.dim;
        self.into.fill(0.0);
        for (slot, pair) in self.slots.zip(self.into.chunks_exact_mut(2 * dim)) {
            if self.window.is_filled(slot) {
                let (dk, dv) = pair.split_at_mut(dim);
                self.window.add_key_gradient(s, self.band, slot, dk);
                self.window.add_value_gradient(s, slot, dv);
            }
        }
    }
}
