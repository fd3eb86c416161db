//! Products against their twins: every form, engine, level, and shapes around every block edge.

use proptest::prelude::*;

use crate::form::Form;
use crate::product::{Engine, multiply};
use crate::tests::{COLUMNS, each_level, judge, judge_sum, normal, wide};
use crate::{Cpu, Matrix, Write, matmul, matmul_nt, matmul_tn, naive, tile};

pub(super) const FORMS: [Form; 3] = [Form::Plain, Form::RightTransposed, Form::LeftTransposed];

type Twin<T> = fn(usize, usize, usize, &[T], &[T]) -> Vec<T>;
type Tile = fn(usize, usize, usize, &[f32], &[f32], &mut [f32]);

fn twins(form: Form) -> (Twin<f32>, Twin<f64>) {
    match form {
        Form::Plain => (naive::matmul, naive::matmul),
        Form::RightTransposed => (naive::matmul_nt, naive::matmul_nt),
        Form::LeftTransposed => (naive::matmul_tn, naive::matmul_tn),
    }
}

pub(super) fn operands(form: Form, m: usize, n: usize, k: usize) -> (Matrix, Matrix) {
    match form {
        Form::Plain => (normal(1, m, k), normal(2, k, n)),
        Form::RightTransposed => (normal(1, m, k), normal(2, n, k)),
        Form::LeftTransposed => (normal(1, k, m), normal(2, k, n)),
    }
}

/// Judges `c` and, started from ones, `c + 1`.
pub(super) fn judge_product(
    case: &str,
    form: Form,
    shape: [usize; 3],
    a: &[f32],
    b: &[f32],
    run: impl Fn(&mut [f32], bool),
) {
    let [m, n, k] = shape;
    let (single, double) = twins(form);
    let mut twin = single(m, n, k, a, b);
    let mut truth = double(m, n, k, &wide(a), &wide(b));
    let mut c = vec![f32::NAN; m * n];
    run(&mut c, false);
    judge_sum(case, k, &c, &twin, &truth);
    let mut c = vec![1.0; m * n];
    run(&mut c, true);
    let k = k + 1;
    for (x, y) in twin.iter_mut().zip(&mut truth) {
        *x += 1.0;
        *y += 1.0;
    }
    judge_sum(&format!("{case}, added"), k, &c, &twin, &truth);
}

#[test]
fn tiles_agree_with_their_twins_at_every_level() {
    let sizes = [1, 3, 4, 7, 8, 9, 16, 17, 33];
    each_level(|level| {
        for m in sizes {
            for n in [1, 4, 7, 8, 15, 16, 17, 31, 32, 33, 65, 130] {
                for k in [1, 2, 15, 16, 17, 40] {
                    check_tile(level, m, n, k);
                }
            }
        }
        for (m, n, k) in
            [(64, 128, 64), (64, 64, 128), (5, 40, 600), (20, 300, 33), (1, 400, 9), (2, 130, 500)]
        {
            check_tile(level, m, n, k);
        }
    });
}

fn check_tile(level: &str, m: usize, n: usize, k: usize) {
    let forms: [(Form, Tile, Tile); 3] = [
        (Form::Plain, tile::nn, tile::nn_add),
        (Form::RightTransposed, tile::nt, tile::nt_add),
        (Form::LeftTransposed, tile::tn, tile::tn_add),
    ];
    for (form, set, add) in forms {
        let (a, b) = operands(form, m, n, k);
        let (a, b) = (a.as_slice(), b.as_slice());
        let case = format!("tile {form:?} {m} x {n} over {k} at {level}");
        judge_product(&case, form, [m, n, k], a, b, |c, adding| {
            (if adding { add } else { set })(m, n, k, a, b, c);
        });
    }
}

#[test]
fn rows_of_dot_products_agree_with_their_twin_at_every_level() {
    let form = Form::RightTransposed;
    let cpu = Cpu::single();
    each_level(|level| {
        for m in [1, 2, 3, 4, 7, 9] {
            for n in [1, 3, 4, 9] {
                for k in COLUMNS {
                    let (a, b) = operands(form, m, n, k);
                    let case = format!("dots {m} x {n} over {k} at {level}");
                    judge_product(&case, form, [m, n, k], a.as_slice(), b.as_slice(), |c, adding| {
                        let w = if adding { Write::Add } else { Write::Overwrite };
                        let to = crate::ViewMut::new(c, m, n);
                        multiply(&cpu, form, a.view(), b.view(), w, to, Some(Engine::Dots));
                    });
                }
            }
        }
    });
}

#[test]
fn every_engine_multiplies_every_form() {
    let cpu = Cpu::single();
    for (m, n, k) in
        [(1, 1, 1), (1, 70, 33), (5, 17, 63), (16, 130, 130), (63, 65, 129), (300, 40, 20), (40, 20, 400)]
    {
        for form in FORMS {
            let (a, b) = operands(form, m, n, k);
            for engine in [None, Some(Engine::Dots), Some(Engine::Tile), Some(Engine::Gemm)] {
                let case = format!("{engine:?} {form:?} {m} x {n} over {k}");
                judge_product(&case, form, [m, n, k], a.as_slice(), b.as_slice(), |c, adding| {
                    let w = if adding { Write::Add } else { Write::Overwrite };
                    let mut to = Matrix::from_slice(m, n, c);
                    multiply(&cpu, form, a.view(), b.view(), w, to.view_mut(), engine);
                    c.copy_from_slice(to.as_slice());
                });
            }
        }
    }
}

#[test]
fn a_product_of_bands_touches_nothing_beside_them() {
    let cpu = Cpu::new(2).unwrap();
    let (m, n, k) = (70, 33, 40);
    let (a, b) = (normal(1, m, k + 9), normal(2, n, k + 5));
    let mut c = Matrix::from_fn(m, n + 7, |_, _| 9.0);
    let (left, right) = (a.view().columns(4..4 + k), b.view().columns(1..1 + k));
    matmul_nt(&cpu, left, right, Write::Overwrite, c.view_mut().columns_mut(3..3 + n));
    let (left, right) = (left.to_vec(), right.to_vec());
    let inner: Vec<f32> = c.view().columns(3..3 + n).to_vec();
    judge(
        "product of bands",
        &inner,
        &naive::matmul_nt(m, n, k, &left, &right),
        &naive::matmul_nt(m, n, k, &wide(&left), &wide(&right)),
    );
    for i in 0..m {
        assert!(c.row(i)[..3].iter().chain(&c.row(i)[3 + n..]).all(|&x| x == 9.0), "row {i}");
    }
}

#[test]
fn a_product_over_nothing_is_zero() {
    let cpu = Cpu::single();
    for form in FORMS {
        let (a, b) = operands(form, 3, 5, 0);
        let mut c = Matrix::from_fn(3, 5, |_, _| 4.0);
        multiply(&cpu, form, a.view(), b.view(), Write::Add, c.view_mut(), None);
        assert!(c.as_slice().iter().all(|&x| x == 4.0));
        multiply(&cpu, form, a.view(), b.view(), Write::Overwrite, c.view_mut(), None);
        assert!(c.as_slice().iter().all(|&x| x == 0.0));
    }
}

#[test]
#[should_panic(expected = "product of 2 x 3 and 4 x 5 (Plain) into 2 x 5")]
fn operands_that_do_not_fit_are_refused() {
    let mut c = Matrix::zeros(2, 5);
    matmul(&Cpu::single(), Matrix::zeros(2, 3).view(), Matrix::zeros(4, 5).view(), Write::Add, c.view_mut());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_of_any_shape_agree_with_their_twins(
        m in 0_usize..90, n in 0_usize..90,
        k in 0_usize..90, form in 0_usize..3,
    ) {
        let form = FORMS[form];
        let (a, b) = operands(form, m, n, k);
        let cpu = Cpu::single();
        judge_product("property", form, [m, n, k], a.as_slice(), b.as_slice(), |c, adding| {
            let w = if adding { Write::Add } else { Write::Overwrite };
            let to = crate::ViewMut::new(c, m, n);
            match form {
                Form::Plain => matmul(&cpu, a.view(), b.view(), w, to),
                Form::RightTransposed => matmul_nt(&cpu, a.view(), b.view(), w, to),
                Form::LeftTransposed => matmul_tn(&cpu, a.view(), b.view(), w, to),
            }
        });
    }
}
