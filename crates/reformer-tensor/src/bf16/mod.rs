//! Products of matrices with `bf16` operands, summed in `f32`.
//!
//! `bf16` is the upper half of an `f32`: rounding an operand to it costs a relative error of at most 2⁻⁸, and one
//! instruction (`vdpbf16ps`) multiplies and adds twice as many of them as there are `f32` in a vector, two neighbours
//! along `k` at a time:
//!
//! ```text
//! c[i, j] += a[i, 2p]·b[2p, j] + a[i, 2p+1]·b[2p+1, j]          a, b rounded to bf16; c and the sum in f32
//! ```
//!
//! Operands come and go as `f32`; rounding them is part of packing (`pack`):
//!
//! ```text
//! for each DEPTH of k:                                        bounds the packed b
//!     pack b once, all threads:      pairs [panel of 32 columns][k/2][32]
//!     for each panel of c (at most 264 × 512), each on one thread:
//!         for each BLOCK_DEPTH of k:
//!             round a's rows:        pairs [rows][BLOCK_DEPTH/2], in the second cache
//!             for each 32 columns, for each 12 rows:  micro
//! ```
//!
//! Bits do not depend on the number of threads: an entry is summed by one thread in order of `k`, whatever panel it
//! is in. Numbers too small for a normal `f32` count as zero, as the instruction has it.

mod available;
mod micro;
mod pack;

use core::ops::Range;

pub use available::available;

use crate::form::{Form, Write};
use crate::{Bf16, Cpu, Element, View, ViewMut};

use micro::{BLOCK_DEPTH, COLUMNS, Micro, ROWS};
use pack::{Left, Right};

/// Depth of one packing of `b`: with 2,048 columns it takes 16 MiB.
const DEPTH: usize = 4096;
/// The largest panel of `c`: its block of rounded `a` (264 KiB) and its own numbers lie in the second cache.
const LARGEST_PANEL: (usize, usize) = (22 * ROWS, 512);
/// Panels of `b` packed together: their rows are read as a whole.
const TOGETHER: usize = 8;

/// The nearest `bf16` of a number, as an `f32`: what a product makes of its operands.
pub fn rounded(x: f32) -> f32 {
    Bf16::from_bits(pack::round(x)).get()
}

/// Whether a product is large enough that packing pays.
pub(crate) fn pays(m: usize, n: usize, k: usize) -> bool {
    m >= 2 * ROWS && n >= COLUMNS / 2 && k >= 32 && m * n * k >= 1 << 18
}

/// `c (+)= a·b`, shapes checked by the caller; [`available`] must hold.
pub(crate) fn multiply(cpu: &Cpu, form: Form, a: View<'_>, b: View<'_>, w: Write, mut c: ViewMut<'_>) {
    assert!(available(), "no bf16 products on this machine");
    let k = if form == Form::LeftTransposed { a.rows() } else { a.cols() };
    if k == 0 && w == Write::Overwrite {
        c.fill(0.0);
    }
    for start in (0..k).step_by(DEPTH) {
        let depth = start..k.min(start + DEPTH);
        let add = w == Write::Add || start > 0;
        multiply_depth(cpu, form, a, b, depth, add, c.reborrow());
    }
}

/// Rows and columns of a panel: two panels a thread if they do not become too narrow. An entry of `c` is summed in
/// the same order whatever panel it is in.
fn grid(m: usize, n: usize, threads: usize) -> (usize, usize) {
    let (most, mut columns) = LARGEST_PANEL;
    let rows = m.div_ceil(m.div_ceil(most).max(1)).next_multiple_of(ROWS);
    while m.div_ceil(rows) * n.div_ceil(columns) < 2 * threads && columns > 2 * COLUMNS {
        columns /= 2;
    }
    (rows, columns)
}

fn multiply_depth(
    cpu: &Cpu,
    form: Form,
    a: View<'_>,
    b: View<'_>,
    depth: Range<usize>,
    add: bool,
    c: ViewMut<'_>,
) {
    let n = c.cols();
    let pairs = depth.len().div_ceil(2);
    let stride = Right::panel_stride(pairs);
    let mut packed = cpu.workspace.take_u32(n.div_ceil(COLUMNS) * stride);
    let right = match form {
        Form::RightTransposed => Right::by_columns(b.columns(depth.clone())),
        Form::Plain | Form::LeftTransposed => Right::by_rows(b.rows_range(depth.clone())),
    };
    let left = match form {
        Form::LeftTransposed => Left::by_columns(a.rows_range(depth)),
        Form::Plain | Form::RightTransposed => Left::by_rows(a.columns(depth)),
    };
    let panels = packed.chunks_mut(TOGETHER * stride).enumerate().collect();
    cpu.threads.for_each(panels, |(i, to)| right.pack(i * TOGETHER * COLUMNS, pairs, to));
    let packed = &packed[..];

    let (rows, columns) = grid(c.rows(), n, cpu.threads.count());
    let mut panels = Vec::new();
    for (i, band) in c.row_panels(rows).into_iter().enumerate() {
        for (j, c) in band.split_columns(columns).into_iter().enumerate() {
            panels.push((i * rows, j * columns, c));
        }
    }
    cpu.threads.for_each(panels, |(row, column, mut c)| {
        let mut block = cpu.workspace.take_u32(left.block_len(c.rows(), BLOCK_DEPTH));
        for start in (0..pairs).step_by(BLOCK_DEPTH / 2) {
            let range = start..pairs.min(start + BLOCK_DEPTH / 2);
            let rounded = left.pack(row..row + c.rows(), range.clone(), &mut block);
            for first in (0..c.cols()).step_by(COLUMNS) {
                let panel = (column + first) / COLUMNS;
                let b = &packed[panel * stride..][range.start * COLUMNS..range.end * COLUMNS];
                let columns = first..c.cols().min(first + COLUMNS);
                Micro { a: rounded, b, add: add || start > 0 }.run(c.columns_mut(columns));
            }
        }
    });
}
