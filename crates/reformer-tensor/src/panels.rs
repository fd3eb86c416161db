//! How work on rows is cut: by shape alone.

use core::ops::Range;

/// Numbers that make a panel worth a thread's while.
const PANEL: usize = 16 * 1024;

/// Rows per panel of a matrix with `cols` columns.
pub(crate) fn rows_per_panel(cols: usize) -> usize {
    (PANEL / cols.max(1)).clamp(1, PANEL)
}

/// Rows per panel where each panel brings a partial sum of its own: at most 64 panels, whatever the length.
pub(crate) fn rows_per_partial(rows: usize, cols: usize) -> usize {
    rows_per_panel(cols).max(rows.div_ceil(64)).max(1)
}

/// `0..len` cut into ranges of `step`.
pub(crate) fn ranges(len: usize, step: usize) -> Vec<Range<usize>> {
    (0..len.div_ceil(step)).map(|i| i * step..len.min((i + 1) * step)).collect()
}

/// Numbers per panel of a flat slice.
pub(crate) const FLAT: usize = PANEL;
