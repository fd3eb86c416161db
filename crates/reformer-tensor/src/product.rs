//! Products of matrices.
//!
//! A product is cut into a grid of panels of `c` whose size follows from the shape alone; each panel is computed by one
//! thread, start to end. So the bits do not depend on how many threads there are. Inside a panel one of two engines
//! works, chosen by [`choose`] from the shape:
//!
//! - our own register blocks and rows of dot products ([`crate::tile`]): whatever is small, flat as a step of
//!   decoding, or multiplies by a transpose on the right (the weights of a linear layer, `[out, in]`);
//! - `gemm`: the large rest, `aᵀ·b` (the gradients of weights) above all.
//!
//! Where [`Cpu::precision`] is [`Precision::Bf16`], large products round their operands instead: [`crate::bf16`].
//!
//! # Shapes
//! - [`matmul`]: `[m, k]·[k, n]`   - [`matmul_nt`]: `[m, k]·[n, k]ᵀ`   - [`matmul_tn`]: `[k, m]ᵀ·[k, n]`
//!
//! A linear layer `y = x·wᵀ` has `dx = dy·w` ([`matmul`]) and `dw = dyᵀ·x` ([`matmul_tn`]).

use core::ops::Range;

use crate::form::{Form, Write};
use crate::simd::{Level, dispatch};
use crate::tile::{BlockProduct, Dots, Operand};
use crate::{Cpu, Precision, View, ViewMut, bf16};

/// `c (+)= a·b`; `a: [m, k]`, `b: [k, n]`, `c: [m, n]`.
#[track_caller]
pub fn matmul(cpu: &Cpu, a: View<'_>, b: View<'_>, w: Write, c: ViewMut<'_>) {
    multiply(cpu, Form::Plain, a, b, w, c, None);
}

/// `c (+)= a·bᵀ`; `a: [m, k]`, `b: [n, k]`, `c: [m, n]`.
#[track_caller]
pub fn matmul_nt(cpu: &Cpu, a: View<'_>, b: View<'_>, w: Write, c: ViewMut<'_>) {
    multiply(cpu, Form::RightTransposed, a, b, w, c, None);
}

/// `c (+)= aᵀ·b`; `a: [k, m]`, `b: [k, n]`, `c: [m, n]`.
#[track_caller]
pub fn matmul_tn(cpu: &Cpu, a: View<'_>, b: View<'_>, w: Write, c: ViewMut<'_>) {
    multiply(cpu, Form::LeftTransposed, a, b, w, c, None);
}

/// Who multiplies a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Dots,
    Tile,
    Gemm,
    Bf16,
}

/// The engine for a panel `[m, n]` over `k`.
///
/// GFLOP per second of one Zen 4 core (peak 116), each engine by turns:
///
/// ```text
///                        ours   gemm
/// 4096 x  512 over  512   99    104
/// 4096 x 2048 over  512   85     97    a wide output
/// 4096 x  512 over  512  111     60    bᵀ
/// 4096 x  512 over 2048   99     49    bᵀ
///  512 x  512 over 4096   69     96    aᵀ
/// ```
fn choose(form: Form, m: usize, n: usize, k: usize) -> Engine {
    // Below this many products the library's packing and set-up show.
    const SMALL: usize = 1 << 18;
    match form {
        Form::RightTransposed if m < 24 => Engine::Dots,
        Form::RightTransposed => Engine::Tile,
        // One row against a matrix, or a block that the first caches hold.
        _ if m <= 2 || m * n * k <= SMALL => Engine::Tile,
        // The library takes the best instructions that it finds, not those that were chosen.
        _ if Level::is_chosen() => Engine::Tile,
        Form::LeftTransposed | Form::Plain => Engine::Gemm,
    }
}

/// A product with the engine given, or chosen if not: tests try each.
#[track_caller]
pub(crate) fn multiply(
    cpu: &Cpu,
    form: Form,
    a: View<'_>,
    b: View<'_>,
    w: Write,
    c: ViewMut<'_>,
    engine: Option<Engine>,
) {
    let (m, k) = match form {
        Form::LeftTransposed => (a.cols(), a.rows()),
        _ => (a.rows(), a.cols()),
    };
    let (n, depth) = match form {
        Form::RightTransposed => (b.rows(), b.cols()),
        _ => (b.cols(), b.rows()),
    };
    assert!(
        k == depth && (c.rows(), c.cols()) == (m, n),
        "product of {} x {} and {} x {} ({form:?}) into {} x {}",
        a.rows(),
        a.cols(),
        b.rows(),
        b.cols(),
        c.rows(),
        c.cols()
    );
    if m == 0 || n == 0 {
        return;
    }
    let wanted = cpu.precision() == Precision::Bf16 && bf16::pays(m, n, k);
    if engine == Some(Engine::Bf16) || (engine.is_none() && wanted) {
        return bf16::multiply(cpu, form, a, b, w, c);
    }
    let (rows, cols) = grid(m, n, k);
    let mut panels = Vec::with_capacity(m.div_ceil(rows) * n.div_ceil(cols));
    for (i, band) in c.row_panels(rows).into_iter().enumerate() {
        for (j, c) in band.split_columns(cols).into_iter().enumerate() {
            panels.push((i * rows, j * cols, c));
        }
    }
    cpu.threads.for_each(panels, |(i, j, c)| {
        let (of_rows, of_cols) = (i..i + c.rows(), j..j + c.cols());
        let engine = engine.unwrap_or_else(|| choose(form, c.rows(), c.cols(), k));
        panel(engine, form, k, (a, of_rows), (b, of_cols), w, c);
    });
}

/// Rows and columns of a panel of `c`.
///
/// Panels of 256 rows pay for packing `b` once each; a flat `c` is cut by columns too, down to 128, below which packing
/// `a` again and again shows. From about two million products a panel is worth a hand-over to another thread, and 32
/// panels keep a larger machine busy.
fn grid(m: usize, n: usize, k: usize) -> (usize, usize) {
    const WORTH: usize = 1 << 21;
    const PANELS: usize = 32;
    let wanted = (m.saturating_mul(n).saturating_mul(k) / WORTH).clamp(1, PANELS);
    if wanted == 1 {
        return (m, n);
    }
    let down = m.div_ceil(256).max(wanted.min(m / 128));
    let across = wanted.div_ceil(down).min(n.div_ceil(128));
    (m.div_ceil(down).next_multiple_of(8).min(m), n.div_ceil(across).next_multiple_of(32).min(n))
}

fn panel(
    mut engine: Engine,
    form: Form,
    k: usize,
    (a, of_rows): (View<'_>, Range<usize>),
    (b, of_cols): (View<'_>, Range<usize>),
    w: Write,
    mut c: ViewMut<'_>,
) {
    let (m, n) = (c.rows(), c.cols());
    if k == 0 {
        if w == Write::Overwrite {
            c.fill(0.0);
        }
        return;
    }
    let add = w == Write::Add;
    if engine == Engine::Dots && form != Form::RightTransposed {
        engine = Engine::Tile;
    }
    if engine == Engine::Dots {
        let stride = c.stride();
        let (a, b) = (a.rows_range(of_rows), b.rows_range(of_cols));
        // SAFETY: `multiply` checked the shapes, and the panels are cut from them; `c` is exclusive.
        return dispatch(unsafe { Dots::new(a, b, (c.as_mut_ptr(), stride), add) });
    }
    let a = match form {
        Form::LeftTransposed => Operand::transposed(a.columns(of_rows)),
        _ => Operand::view(a.rows_range(of_rows)),
    };
    let b = match form {
        Form::RightTransposed => Operand::transposed(b.rows_range(of_cols)),
        _ => Operand::view(b.columns(of_cols)),
    };
    match engine {
        Engine::Dots | Engine::Tile => {
            let stride = c.stride();
            // SAFETY: `multiply` checked the shapes, and the panels are cut from them; `c` is exclusive.
            dispatch(unsafe { BlockProduct::new([m, n, k], a, b, (c.as_mut_ptr(), stride), add) });
        }
        // SAFETY: `multiply` checked the shapes, and the panels are cut from them; `c` is exclusive.
        Engine::Gemm => unsafe { by_gemm([m, n, k], a, b, c, add) },
        Engine::Bf16 => unreachable!("`multiply` has taken this way before the panels are cut"),
    }
}

/// # Safety
/// `a` spans `[m, k]`, `b` `[k, n]`, `c` `[m, n]`.
unsafe fn by_gemm([m, n, k]: [usize; 3], a: Operand<'_>, b: Operand<'_>, mut c: ViewMut<'_>, add: bool) {
    let (a, a_row, a_col) = a.parts();
    let (b, b_row, b_col) = b.parts();
    let stride = c.stride() as isize;
    // The library has columns where `c` has rows, so it multiplies the transposes: `cᵀ = bᵀ·aᵀ`.
    // SAFETY: the caller vouches for the extents; `c` is exclusive.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            c.as_mut_ptr(),
            stride,
            1,
            add,
            b,
            b_row as isize,
            b_col as isize,
            a,
            a_row as isize,
            a_col as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}
