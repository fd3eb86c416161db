//! Sizes that wrap, from a crate without `unsafe`: every public function that ends at a raw address refuses them.
//!
//! A size check such as `a.len() >= m * k` holds for `m = 2⁶³, k = 2` where the product wraps to nothing, and the
//! kernel behind it would then leave its slices. Each test below compiles in safe code only, so what it must see is a
//! panic.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use reformer_tensor::simd::{Kernel, Level, Simd, dispatch_at};
use reformer_tensor::tile::packed::{by_columns, by_panels, by_rows, pack_panel};
use reformer_tensor::tile::{self, gathered_dots, gathered_sum};
use reformer_tensor::{Bf16, Cpu, Matrix, SharedRows, View, ViewMut, Weights, Write, few_rows, matmul};

/// Half of all sizes there are: twice it is nothing.
const HALF: usize = 1 << (usize::BITS - 1);

#[track_caller]
fn refused(what: &str, f: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(f)).is_err(), "{what} was not refused");
}

#[test]
fn small_products_refuse_shapes_whose_size_wraps() {
    type Product = fn(usize, usize, usize, &[f32], &[f32], &mut [f32]);
    let products: [(&str, Product); 6] = [
        ("nn", tile::nn),
        ("nn_add", tile::nn_add),
        ("nt", tile::nt),
        ("nt_add", tile::nt_add),
        ("tn", tile::tn),
        ("tn_add", tile::tn_add),
    ];
    let (a, b) = ([1.0; 64], [1.0; 64]);
    let shapes =
        [(HALF, 2, 2), (2, HALF, 2), (2, 2, HALF), (HALF, HALF, HALF), (HALF, 1, 2), (9, 9, usize::MAX)];
    for (name, product) in products {
        for (m, n, k) in shapes {
            refused(&format!("{name} of {m} x {n} over {k}"), || product(m, n, k, &a, &b, &mut [0.0; 64]));
        }
        // Nothing to write is no fault, however long it is.
        product(HALF, 0, 0, &a, &b, &mut []);
        product(0, usize::MAX, 0, &a, &b, &mut []);
    }
}

#[test]
fn gathered_rows_refuse_a_skip_that_wraps() {
    let (row, short) = ([1.0_f32; 8], [Bf16::default(); 2]);
    for skip in [usize::MAX, usize::MAX - 3, usize::MAX - 7, 5] {
        refused(&format!("a skip of {skip}"), || gathered_sum(&[1.0], &[&row[..]], skip, &mut [0.0; 4]));
        refused(&format!("a skip of {skip}"), || gathered_sum(&[1.0], &[&short[..]], skip, &mut [0.0; 4]));
    }
    refused("a short row", || gathered_dots(&[1.0; 9], &[&row[..]], &mut [0.0]));
    refused("a missing score", || gathered_dots(&[1.0; 8], &[&row[..]], &mut []));
    refused("a missing weight", || gathered_sum(&[], &[&row[..]], 0, &mut [0.0; 4]));
}

/// A call of a function that only kernels can call, with slices of 256 numbers and the sizes given.
#[derive(Clone, Copy, Debug)]
enum Packed {
    ByPanels { m: usize, k: usize, a_row: usize, c_row: usize, b: usize },
    ByRows { size: [usize; 3], a_row: usize },
    ByColumns { size: [usize; 3], a_row: usize },
    PackPanel { k: usize, stride: usize },
}

impl Kernel for Packed {
    type Output = ();

    fn run<S: Simd>(self, s: S) {
        let (a, mut c) = ([1.0; 256], [0.0; 256]);
        match self {
            Self::ByPanels { m, k, a_row, c_row, b } => {
                by_panels(s, (m, k), (&a, a_row), &a[..b], (&mut c, c_row));
            }
            Self::ByRows { size, a_row } => by_rows(s, size, (&a, a_row), &a, &mut c),
            Self::ByColumns { size, a_row } => by_columns(s, size, (&a, a_row), &a, &mut c),
            Self::PackPanel { k, stride } => pack_panel(s, k, (&a, stride), &mut c),
        }
    }
}

#[test]
fn packed_products_refuse_distances_and_sizes_that_wrap() {
    // Seven, or fifteen, times these is next to nothing.
    let (seventh, fifteenth) = (usize::MAX / 7 + 1, usize::MAX / 15 + 1);
    let hostile = [
        Packed::ByPanels { m: 8, k: 1, a_row: seventh, c_row: 16, b: 16 },
        Packed::ByPanels { m: 8, k: 1, a_row: 1, c_row: seventh, b: 16 },
        Packed::ByPanels { m: 8, k: 16, a_row: seventh - 1, c_row: 16, b: 256 },
        Packed::ByPanels { m: HALF, k: 16, a_row: 16, c_row: 16, b: 256 },
        Packed::ByPanels { m: 8, k: HALF, a_row: HALF, c_row: 16, b: 256 },
        Packed::ByRows { size: [8, 16, HALF / 2], a_row: HALF / 2 },
        Packed::ByRows { size: [HALF, 16, 1], a_row: 1 },
        Packed::ByRows { size: [8, HALF, 2], a_row: 2 },
        Packed::ByRows { size: [8, 16, 1], a_row: seventh },
        Packed::ByColumns { size: [8, 16, HALF], a_row: 8 },
        Packed::ByColumns { size: [8, HALF, 2], a_row: 8 },
        Packed::ByColumns { size: [HALF, 16, 2], a_row: HALF },
        Packed::ByColumns { size: [8, 16, 3], a_row: HALF },
        Packed::PackPanel { k: 16, stride: fifteenth },
        Packed::PackPanel { k: HALF / 8, stride: HALF / 8 },
        Packed::PackPanel { k: 17, stride: 17 },
    ];
    for level in Level::available() {
        for case in hostile {
            refused(&format!("{case:?} at {}", level.name()), || dispatch_at(level, case));
        }
        dispatch_at(level, Packed::ByPanels { m: 8, k: 1, a_row: 1, c_row: 16, b: 16 });
        dispatch_at(level, Packed::ByRows { size: [8, 16, 2], a_row: 2 });
        dispatch_at(level, Packed::ByColumns { size: [8, 16, 2], a_row: 8 });
        dispatch_at(level, Packed::PackPanel { k: 16, stride: 16 });
    }
}

#[test]
fn views_refuse_extents_that_wrap_and_lead_to_nothing_outside_the_slice() {
    let mut data = [0.0_f32; 12];
    refused("rows that wrap", || _ = View::new(&data, HALF, 2));
    refused("a stride that wraps", || _ = View::strided(&data, 3, 2, HALF));
    refused("rows that overlap", || _ = View::strided(&data, 3, 4, 2));
    refused("rows to write that wrap", || _ = ViewMut::new(&mut [0.0_f32; 12], HALF, 2));
    refused("a matrix that wraps", || _ = Matrix::<f32>::zeros(HALF, 2));
    refused("values that wrap", || _ = Matrix::<f32>::from_slice(HALF, 2, &[]));
    // Rows without numbers lie nowhere; any number of them is fine, and none leads out of the slice.
    let start = data.as_ptr();
    let nothing = View::strided(&data, HALF, 0, HALF - 1);
    assert_eq!((nothing.row(HALF - 1).len(), nothing.row(HALF - 1).as_ptr()), (0, start));
    assert_eq!(nothing.rows_range(HALF - 2..HALF).row(1).as_ptr(), start);
    let alone = View::strided(&data, 1, 5, usize::MAX);
    assert_eq!((alone.row(0).len(), alone.rows_range(1..1).rows()), (5, 0));
    let mut nothing = ViewMut::strided(&mut data, 1000, 0, HALF);
    assert!(nothing.row_mut(999).is_empty());
    assert!(SharedRows::new([nothing]).claim(999)[0].is_empty());
}

#[test]
fn matrix_products_refuse_shapes_that_do_not_fit() {
    let cpu = Cpu::new(1).expect("one thread");
    let (a, b) = (Matrix::zeros(2, 3), Matrix::zeros(3, 4));
    let product = |a: View<'_>, b: View<'_>, rows: usize, cols: usize| {
        matmul(&cpu, a, b, Write::Overwrite, Matrix::zeros(rows, cols).view_mut());
    };
    refused("an inner size", || product(a.view(), a.view(), 2, 3));
    refused("a result", || product(a.view(), b.view(), 2, 5));
    refused("rows without end", || product(View::strided(&[], HALF, 0, 0), b.view(), 2, 4));
    refused("few rows", || {
        few_rows(&cpu, a.view(), Weights::F32(b.view()), Write::Overwrite, Matrix::zeros(2, 4).view_mut());
    });
    // A product over nothing is zero.
    let mut c = Matrix::zeros(2, 4);
    c.as_mut_slice().fill(7.0);
    matmul(&cpu, View::new(&[], 2, 0), View::new(&[], 0, 4), Write::Overwrite, c.view_mut());
    assert_eq!(c.as_slice(), [0.0; 8]);
}
