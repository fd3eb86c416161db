//! Rows of a table by number.
//!
//! `out[i] = table[ids[i]]`, and back: `dtable[ids[i]] += dout[i]`. A row of the table may be wanted many times, so the
//! backward pass is cut by columns, not by rows of `dout`: each thread owns a band of the table and adds in the order
//! of `i`.
//!
//! # Shapes
//! - `table`: `[vocab, dim]`   - `ids`: `[n]`   - `out`: `[n, dim]`

use crate::panels::rows_per_panel;
use crate::simd::kernel;
use crate::simd::rows::update_with;
use crate::{Cpu, View, ViewMut};

/// Columns of a band: whole cache lines, and few bands of a usual width.
const BAND: usize = 64;

/// `out[i, :] = table[ids[i], :]`.
///
/// # Panics
/// If an id is not a row of the table.
#[track_caller]
pub fn gather(cpu: &Cpu, table: View<'_>, ids: &[u32], out: ViewMut<'_>) {
    check(ids, out.as_view(), table.rows(), table.cols());
    let rows = rows_per_panel(table.cols());
    let items: Vec<_> = ids.chunks(rows).zip(out.row_panels(rows)).collect();
    cpu.threads.for_each(items, |(ids, mut out)| {
        for (i, &id) in ids.iter().enumerate() {
            out.row_mut(i).copy_from_slice(table.row(id as usize));
        }
    });
}

/// `dtable[ids[i], :] += dout[i, :]`, in the order of `i`.
///
/// # Panics
/// If an id is not a row of the table.
#[track_caller]
pub fn scatter_add(cpu: &Cpu, ids: &[u32], dout: View<'_>, dtable: ViewMut<'_>) {
    check(ids, dout, dtable.rows(), dtable.cols());
    let bands: Vec<_> = dtable.split_columns(BAND).into_iter().enumerate().collect();
    cpu.threads.for_each(bands, |(b, band)| {
        let dout = dout.columns(b * BAND..b * BAND + band.cols());
        scatter_band(ids, dout, band);
    });
}

#[track_caller]
fn check(ids: &[u32], rows: View<'_>, vocab: usize, dim: usize) {
    assert!(
        ids.len() == rows.rows() && rows.cols() == dim,
        "embedding: {} ids and a table of {dim} columns against {} x {}",
        ids.len(),
        rows.rows(),
        rows.cols()
    );
    if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab) {
        panic!("embedding: id {id} of a table of {vocab} rows");
    }
}

kernel! {
    ScatterBand: fn scatter_band<'k>(ids: &'k [u32], dout: View<'k>, band: ViewMut<'k>) = |s| {
        let mut band = band;
        for (i, &id) in ids.iter().enumerate() {
            update_with(s, band.row_mut(id as usize), dout.row(i), |t, d| s.add(t, d));
        }
    }
}
