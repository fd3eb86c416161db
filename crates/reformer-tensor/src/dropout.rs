//! Dropout by address.

use crate::panels::rows_per_panel;
use crate::{Address, Cpu, Key, ViewMut};

/// `x[e] ← x[e]·mask(address, e)/(1 − rate)`.
#[track_caller]
pub fn apply(cpu: &Cpu, x: ViewMut<'_>, rate: f32, address: Address) {
    let cols = x.cols();
    let rows = rows_per_panel(cols);
    let key = address.key();
    let items: Vec<_> = x.row_panels(rows).into_iter().enumerate().collect();
    cpu.threads.for_each(items, |(p, mut panel)| {
        for i in 0..panel.rows() {
            row(key, ((p * rows + i) * cols) as u64, panel.row_mut(i), rate);
        }
    });
}

/// Dropout of a run of elements that starts at `start_index` of its mask.
#[track_caller]
pub fn row(key: impl Into<Key>, start_index: u64, x: &mut [f32], rate: f32) {
    assert!((0.0..1.0).contains(&rate), "dropout rate {rate} is not in [0, 1)");
    let key = key.into();
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u32;
    let keep = 1.0 / (1.0 - rate);
    for (i, x) in x.iter_mut().enumerate() {
        *x = if key.bits(start_index + i as u64) < threshold { 0.0 } else { *x * keep };
    }
}
