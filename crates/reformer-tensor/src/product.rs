//! Products of matrices.

use crate::{Cpu, View, ViewMut};

/// Whether a product replaces its destination or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// `c = a·b`.
    Overwrite,
    /// `c += a·b`.
    Add,
}

const PANEL: usize = 256;

/// `c (+)= a·b`; `a: [m, k]`, `b: [k, n]`, `c: [m, n]`.
#[track_caller]
pub fn matmul(cpu: &Cpu, a: View<'_>, b: View<'_>, w: Write, c: ViewMut<'_>) {
    assert_eq!((a.rows(), b.cols(), a.cols()), (c.rows(), c.cols(), b.rows()), "matmul: shapes");
    let items: Vec<_> = a.row_panels(PANEL).into_iter().zip(c.row_panels(PANEL)).collect();
    cpu.threads.for_each(items, |(a, c)| {
        gemm(a.cols(), (a, a.stride(), 1), (b, b.stride(), 1), w, c);
    });
}

/// `c (+)= a·bᵀ`; `a: [m, k]`, `b: [n, k]`, `c: [m, n]`.
#[track_caller]
pub fn matmul_nt(cpu: &Cpu, a: View<'_>, b: View<'_>, w: Write, c: ViewMut<'_>) {
    assert_eq!((a.rows(), b.rows(), a.cols()), (c.rows(), c.cols(), b.cols()), "matmul_nt: shapes");
    let items: Vec<_> = a.row_panels(PANEL).into_iter().zip(c.row_panels(PANEL)).collect();
    cpu.threads.for_each(items, |(a, c)| {
        gemm(a.cols(), (a, a.stride(), 1), (b, 1, b.stride()), w, c);
    });
}

/// `c (+)= aᵀ·b`; `a: [k, m]`, `b: [k, n]`, `c: [m, n]`.
#[track_caller]
pub fn matmul_tn(cpu: &Cpu, a: View<'_>, b: View<'_>, w: Write, c: ViewMut<'_>) {
    assert_eq!((a.cols(), b.cols(), a.rows()), (c.rows(), c.cols(), b.rows()), "matmul_tn: shapes");
    let items: Vec<_> = c.row_panels(PANEL).into_iter().enumerate().collect();
    cpu.threads.for_each(items, |(p, c)| {
        let a = a.columns(p * PANEL..p * PANEL + c.rows());
        gemm(a.rows(), (a, 1, a.stride()), (b, b.stride(), 1), w, c);
    });
}

fn gemm(k: usize, a: (View<'_>, usize, usize), b: (View<'_>, usize, usize), w: Write, mut c: ViewMut<'_>) {
    let (m, n) = (c.rows(), c.cols());
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if w == Write::Overwrite {
            c.fill(0.0);
        }
        return;
    }
    let stride = c.stride() as isize;
    // SAFETY: callers checked the shapes, so every address lies inside the three views; `c` is exclusive.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride,
            w == Write::Add,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            1.0_f32,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
