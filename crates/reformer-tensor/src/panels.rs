//! How work on rows is cut: by shape alone.

use crate::{Cpu, Lease};

/// Numbers that make a panel worth a thread's while.
const NUMBERS_PER_PANEL: usize = 16 * 1024;

/// Rows per panel of a matrix with `cols` columns.
pub(crate) fn rows_per_panel(cols: usize) -> usize {
    (NUMBERS_PER_PANEL / cols.max(1)).clamp(1, NUMBERS_PER_PANEL)
}

/// Rows per panel where each panel brings a partial sum of its own: at most 64 panels, whatever the length.
fn rows_per_partial(rows: usize, cols: usize) -> usize {
    rows_per_panel(cols).max(rows.div_ceil(64))
}

/// Panels of a flat slice.
pub(crate) fn flat(x: &mut [f32]) -> Vec<&mut [f32]> {
    x.chunks_mut(NUMBERS_PER_PANEL).collect()
}

/// Panels of two flat slices of the same length.
pub(crate) fn flat_pair<'a>(y: &'a mut [f32], x: &'a [f32]) -> Vec<(&'a mut [f32], &'a [f32])> {
    y.chunks_mut(NUMBERS_PER_PANEL).zip(x.chunks(NUMBERS_PER_PANEL)).collect()
}

/// A slice of scratch for each panel of rows, for sums over rows: every panel adds up its own, and the caller adds the
/// panels' in order.
pub(crate) struct Partials {
    lease: Lease<f32>,
    rows: usize,
    width: usize,
}

impl Partials {
    /// For a matrix `[rows, cols]`, `width` numbers a panel, contents unspecified.
    pub(crate) fn new(cpu: &Cpu, rows: usize, cols: usize, width: usize) -> Self {
        let step = rows_per_partial(rows, cols);
        // Whole cache lines, so that two threads never write to one.
        let width = width.next_multiple_of(16).max(16);
        Self { lease: cpu.workspace.take(rows.div_ceil(step) * width), rows: step, width }
    }

    /// Rows per panel.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The panels' slices in order.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.lease.chunks_mut(self.width)
    }
}
