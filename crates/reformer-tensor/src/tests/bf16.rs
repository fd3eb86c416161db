//! Products with `bf16` operands against the twins on operands that were rounded before; where the machine has them.

use proptest::prelude::*;

use crate::form::Form;
use crate::product::{Engine, multiply};
use crate::tests::products::{FORMS, judge_product, operands};
use crate::{Cpu, Matrix, Precision, ViewMut, Write, bf16, matmul_tn};

fn rounded(matrix: &Matrix) -> Vec<f32> {
    matrix.as_slice().iter().map(|&x| bf16::rounded(x)).collect()
}

fn check(form: Form, m: usize, n: usize, k: usize) {
    if !bf16::available() {
        return; // this processor has no bf16 products
    }
    let cpu = Cpu::new(2).unwrap();
    let (a, b) = operands(form, m, n, k);
    let case = format!("bf16 {form:?} {m} x {n} over {k}");
    judge_product(&case, form, [m, n, k], &rounded(&a), &rounded(&b), |c, adding| {
        let w = if adding { Write::Add } else { Write::Overwrite };
        multiply(&cpu, form, a.view(), b.view(), w, ViewMut::new(c, m, n), Some(Engine::Bf16));
    });
}

#[test]
fn products_agree_with_the_twins_around_every_block_edge() {
    for form in FORMS {
        for m in [1, 11, 12, 13, 253, 260] {
            for (n, k) in [(1, 1), (16, 2), (31, 33), (32, 64), (33, 511), (300, 35), (40, 513)] {
                check(form, m, n, k);
            }
        }
        check(form, 14, 35, 4100);
    }
}

#[test]
fn the_precision_of_the_cpu_decides_and_small_products_stay_exact() {
    let exact = Cpu::single();
    let rough = exact.with_precision(Precision::Bf16);
    assert_eq!(exact.precision(), Precision::F32);
    assert_eq!(rough.precision(), Precision::Bf16.in_use());
    for (m, differs) in [(256, bf16::available()), (2, false)] {
        let (a, b) = operands(Form::LeftTransposed, m, 64, 256);
        let product = |cpu: &Cpu| {
            let mut c = Matrix::zeros(m, 64);
            matmul_tn(cpu, a.view(), b.view(), Write::Overwrite, c.view_mut());
            c
        };
        assert_eq!(product(&exact).as_slice() != product(&rough).as_slice(), differs, "{m} rows");
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (a, b) = operands(Form::Plain, 600, 300, 700);
    let product = |threads| {
        let cpu = Cpu::new(threads).unwrap().with_precision(Precision::Bf16);
        let mut c = Matrix::zeros(600, 300);
        crate::matmul(&cpu, a.view(), b.view(), Write::Overwrite, c.view_mut());
        c
    };
    let one = product(1);
    assert!([2, 3, 8].iter().all(|&threads| product(threads).as_slice() == one.as_slice()));
}

#[test]
fn nan_and_infinity_reach_the_result_where_they_belong() {
    if !bf16::available() {
        return;
    }
    let mut a = Matrix::from_fn(40, 64, |_, _| 1.0);
    (a.row_mut(3)[5], a.row_mut(7)[6]) = (f32::NAN, f32::INFINITY);
    let b = Matrix::from_fn(64, 200, |_, _| 0.5);
    let mut c = Matrix::zeros(40, 200);
    let (form, engine) = (Form::Plain, Some(Engine::Bf16));
    multiply(&Cpu::single(), form, a.view(), b.view(), Write::Overwrite, c.view_mut(), engine);
    for i in 0..40 {
        let row = c.row(i);
        let as_expected = match i {
            3 => row.iter().all(|x| x.is_nan()),
            7 => row.iter().all(|&x| x == f32::INFINITY),
            _ => row.iter().all(|&x| x == 32.0),
        };
        assert!(as_expected, "row {i}: {row:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn bands_of_any_shape_agree_with_the_twins(
        m in 0_usize..60, n in 0_usize..90,
        k in 0_usize..90, form in 0_usize..3,
    ) {
        if bf16::available() {
            let form = FORMS[form];
            let (a, b) = operands(form, m, n, k);
            // Operands with a stride of their own.
            let widened = |x: &Matrix| {
                Matrix::from_fn(x.rows(), x.cols() + 5, |i, j| x.row(i).get(j).copied().unwrap_or(f32::NAN))
            };
            let (wide_a, wide_b) = (widened(&a), widened(&b));
            let cpu = Cpu::single();
            judge_product("bf16 property", form, [m, n, k], &rounded(&a), &rounded(&b), |c, adding| {
                let w = if adding { Write::Add } else { Write::Overwrite };
                let (a, b) = (wide_a.view().columns(0..a.cols()), wide_b.view().columns(0..b.cols()));
                multiply(&cpu, form, a, b, w, ViewMut::new(c, m, n), Some(Engine::Bf16));
            });
        }
    }
}
