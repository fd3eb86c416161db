//! Rows of a table by number.

use crate::{Cpu, View, ViewMut};

/// `out[i, :] = table[ids[i], :]`.
#[track_caller]
pub fn gather(cpu: &Cpu, table: View<'_>, ids: &[u32], mut out: ViewMut<'_>) {
    let _ = cpu;
    for (i, &id) in ids.iter().enumerate() {
        out.row_mut(i).copy_from_slice(table.row(id as usize));
    }
}

/// `dtable[ids[i], :] += dout[i, :]`, in the order of `i`.
#[track_caller]
pub fn scatter_add(cpu: &Cpu, ids: &[u32], dout: View<'_>, mut dtable: ViewMut<'_>) {
    let _ = cpu;
    for (i, &id) in ids.iter().enumerate() {
        crate::naive::add_bias(dtable.row_mut(id as usize), dout.row(i));
    }
}
