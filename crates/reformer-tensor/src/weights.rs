//! Products of a few rows with a matrix of weights that is read once: the steps of decoding.
//!
//! ```text
//! c[i, j] (+)= Σ_p a[i, p] w[j, p]        a few rows i, each of another sequence
//! ```
//! Such a product is as fast as memory gives the weights away: every weight is read once for all rows, in pieces of
//! about 128 KiB that threads take as they come; `bf16` weights are half as many bytes.
//!
//! **A row's bits do not depend on the other rows**, nor on how many there are: every number is one dot product summed
//! in one order ([`crate::tile`]). That is what lets sequences decode together and each say what it says alone;
//! [`matmul_nt`](crate::matmul_nt) does not promise it, because it takes other engines for more rows.
//!
//! # Shapes
//! - `a: [rows, in]`, `w: [out, in]`, `c: [rows, out]`

use crate::form::Write;
use crate::simd::dispatch;
use crate::tile::Dots;
use crate::{Bf16, Cpu, Element, View, ViewMut};

/// Weights `[out, in]` in the number type that they are kept in.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// As trained.
    F32(View<'a>),
    /// Rounded.
    Bf16(View<'a, Bf16>),
}

impl Weights<'_> {
    /// Numbers that come out.
    pub fn outputs(&self) -> usize {
        match self {
            Self::F32(w) => w.rows(),
            Self::Bf16(w) => w.rows(),
        }
    }

    /// Numbers that go in.
    pub fn inputs(&self) -> usize {
        match self {
            Self::F32(w) => w.cols(),
            Self::Bf16(w) => w.cols(),
        }
    }

    /// Bytes that a product reads of them.
    pub fn bytes(&self) -> usize {
        let width = match self {
            Self::F32(_) => size_of::<f32>(),
            Self::Bf16(_) => size_of::<Bf16>(),
        };
        self.outputs() * self.inputs() * width
    }
}

/// `c = a·wᵀ`, or `c += a·wᵀ`.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn few_rows(cpu: &Cpu, a: View<'_>, w: Weights<'_>, write: Write, c: ViewMut<'_>) {
    assert!(
        a.cols() == w.inputs() && (c.rows(), c.cols()) == (a.rows(), w.outputs()),
        "product of {} x {} and weights {} x {} into {} x {}",
        a.rows(),
        a.cols(),
        w.outputs(),
        w.inputs(),
        c.rows(),
        c.cols()
    );
    if a.rows() == 0 || w.outputs() == 0 {
        return;
    }
    let width = piece(&w);
    let pieces: Vec<_> = c.split_columns(width).into_iter().enumerate().collect();
    cpu.threads.for_each(pieces, |(i, c)| {
        let outputs = i * width..i * width + c.cols();
        match w {
            Weights::F32(w) => rows(a, w.rows_range(outputs), write, c),
            Weights::Bf16(w) => rows(a, w.rows_range(outputs), write, c),
        }
    });
}

/// Outputs of a piece: a multiple of the kernel's four, worth a thread's while, and at most 64 pieces.
fn piece(w: &Weights<'_>) -> usize {
    const BYTES: usize = 128 << 10;
    let pieces = (w.bytes() / BYTES).clamp(1, 64);
    w.outputs().div_ceil(pieces).next_multiple_of(4)
}

fn rows<E: Element>(a: View<'_>, w: View<'_, E>, write: Write, mut c: ViewMut<'_>) {
    let stride = c.stride();
    // SAFETY: `few_rows` checked the shapes and cut the pieces alike; `c` is exclusive.
    dispatch(unsafe { Dots::new(a, w, (c.as_mut_ptr(), stride), write == Write::Add) });
}
