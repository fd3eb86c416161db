//! Dropout by address.
//!
//! ```text
//! x[e] ← x[e]·mask(e)/(1 − rate)     mask(e) = [bits(address, e) ≥ rate·2³²]
//! ```
//!
//! The mask of element `e` is a hash of the address and `e`, so nothing is kept for the backward pass: applying the
//! same address to the gradient is the backward pass. A dropped element becomes 0, whatever it was.

use crate::panels::rows_per_panel;
use crate::simd::kernel;
use crate::{Address, Cpu, Key, ViewMut};

/// Dropout of a matrix; element `(i, j)` is number `i·cols + j` of the mask.
///
/// # Panics
/// If `rate` is not in `[0, 1)`.
#[track_caller]
pub fn apply(cpu: &Cpu, x: ViewMut<'_>, rate: f32, address: Address) {
    if rate == 0.0 {
        return;
    }
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

/// Dropout of a run of elements whose first is number `start_index` of its mask.
///
/// # Panics
/// If `rate` is not in `[0, 1)`.
#[track_caller]
pub fn row(key: impl Into<Key>, start_index: u64, x: &mut [f32], rate: f32) {
    assert!((0.0..1.0).contains(&rate), "dropout rate {rate} is not in [0, 1)");
    let key = key.into();
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u32;
    let keep = 1.0 / (1.0 - rate);
    // A page of 2³² elements has its own pair of keys; a run may cross from one to the next.
    let in_page = (1_u64 << 32) - (start_index & 0xffff_ffff);
    let (here, beyond) = x.split_at_mut(in_page.min(x.len() as u64) as usize);
    mask(key.page((start_index >> 32) as u32), start_index as u32, here, threshold, keep);
    if !beyond.is_empty() {
        mask(key.page((start_index >> 32) as u32 + 1), 0, beyond, threshold, keep);
    }
}

kernel! {
    // Plain integer arithmetic: the compiler makes vectors of it, with the instructions of the level.
    Mask: fn mask<'k>(keys: (u32, u32), start: u32, x: &'k mut [f32], threshold: u32, keep: f32) = |_s| {
        for (i, x) in x.iter_mut().enumerate() {
            let bits = Key::bits_in_page(keys.0, keys.1, start.wrapping_add(i as u32));
            *x = if bits < threshold { 0.0 } else { *x * keep };
        }
    }
}
