//! Dropout's statistics, and what NaN, infinities and empty matrices do.

use crate::activation::Activation;
use crate::tests::{each_level, normal};
use crate::{
    Address, Cpu, Matrix, Purpose, Write, activation, bias, cross_entropy, dropout, elementwise, embedding,
    layer_norm, matmul, matmul_nt, matmul_tn, softmax,
};

const PLACE: Address = Address::new(7, Purpose::HiddenDropout);

#[test]
fn dropout_keeps_the_mean_and_drops_its_rate() {
    let (rows, cols) = (400, 250);
    for rate in [0.1, 0.5, 0.9] {
        let mut x = Matrix::from_fn(rows, cols, |_, _| 1.0);
        dropout::apply(&Cpu::single(), x.view_mut(), rate, PLACE);
        let n = (rows * cols) as f64;
        let dropped = x.as_slice().iter().filter(|&&x| x == 0.0).count() as f64 / n;
        let mean = x.as_slice().iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        assert!((dropped - f64::from(rate)).abs() < 0.006, "{dropped} dropped at rate {rate}");
        assert!((mean - 1.0).abs() < 0.05, "mean {mean} at rate {rate}");
    }
}

#[test]
fn dropout_replays_at_its_address_and_differs_at_another() {
    let apply = |address| {
        let mut x = normal(1, 30, 40);
        dropout::apply(&Cpu::single(), x.view_mut(), 0.4, address);
        x
    };
    assert_eq!(apply(PLACE), apply(PLACE));
    assert_ne!(apply(PLACE), apply(Address { step: 1, ..PLACE }));
}

#[test]
fn a_run_of_a_mask_is_the_same_alone() {
    each_level(|_| {
        let whole = |start: u64, n: usize| {
            let mut x = vec![1.0; n];
            dropout::row(PLACE, start, &mut x, 0.5);
            x
        };
        let row = whole(0, 100);
        assert_eq!(whole(37, 63), row[37..]);
        // Across the end of a page of 2³² elements, element by element.
        let start = (1_u64 << 32) - 3;
        let across = whole(start, 7);
        for (i, &x) in across.iter().enumerate() {
            assert_eq!(x != 0.0, PLACE.bits(start + i as u64) >= 1 << 31, "element {i}");
        }
    });
}

#[test]
#[should_panic(expected = "dropout rate 1 is not in [0, 1)")]
fn dropping_everything_is_refused() {
    dropout::apply(&Cpu::single(), normal(1, 1, 1).view_mut(), 1.0, PLACE);
}

#[test]
fn one_bad_number_spoils_its_own_row_only() {
    each_level(|level| {
        for bad in [f32::NAN, f32::INFINITY] {
            let cpu = Cpu::single();
            let mut x = normal(1, 3, 40);
            x.row_mut(1)[17] = bad;
            let fine = |m: &Matrix, i: usize| elementwise::all_finite(m.row(i));
            let mut y = Matrix::zeros(3, 40);
            layer_norm::forward(&cpu, x.view(), &[1.0; 40], &[0.0; 40], 1e-5, y.view_mut());
            assert!(fine(&y, 0) && !fine(&y, 1) && fine(&y, 2), "layer norm of {bad} at {level}");
            softmax::forward_rows(&cpu, x.view(), y.view_mut());
            assert!(fine(&y, 0) && !fine(&y, 1) && fine(&y, 2), "softmax of {bad} at {level}");
            matmul(&cpu, x.view(), normal(2, 40, 40).view(), Write::Overwrite, y.view_mut());
            assert!(fine(&y, 0) && !fine(&y, 1) && fine(&y, 2), "product of {bad} at {level}");
            let tally = cross_entropy::forward(&cpu, x.view(), &[0, 0, 0], &[1.0; 3]);
            assert!(!tally.loss.is_finite(), "cross-entropy of {bad} at {level}");
            for kind in Activation::ALL {
                let mut y = x.clone();
                activation::forward_in_place(&cpu, kind, y.view_mut());
                assert!(!bad.is_nan() || y.row(1)[17].is_nan(), "{kind:?} swallowed NaN at {level}");
                assert!(
                    fine(&y, 0) && elementwise::all_finite(&y.row(1)[..17]),
                    "{kind:?} of {bad} at {level}"
                );
            }
        }
    });
}

#[test]
fn finite_is_told_from_infinite_and_nan_at_every_place() {
    each_level(|_| {
        for n in [1, 16, 17, 5000] {
            assert!(elementwise::all_finite(&vec![f32::MAX; n]));
            for at in [0, n / 2, n - 1] {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut x = vec![1.0; n];
                    x[at] = bad;
                    assert!(!elementwise::all_finite(&x), "{bad} at {at} of {n}");
                }
            }
        }
        assert!(elementwise::all_finite(&[]));
    });
}

#[test]
fn empty_matrices_are_no_trouble() {
    for cpu in [Cpu::single(), Cpu::new(2).unwrap()] {
        for (rows, n) in [(0, 5), (5, 0), (0, 0)] {
            let (x, mut y) = (Matrix::zeros(rows, n), Matrix::zeros(rows, n));
            let (gamma, mut sums, mut more) = (vec![1.0; n], vec![0.0; n], vec![0.0; n]);
            layer_norm::forward(&cpu, x.view(), &gamma, &gamma, 1e-5, y.view_mut());
            layer_norm::backward(&cpu, x.view(), &gamma, 1e-5, x.view(), y.view_mut(), &mut sums, &mut more);
            bias::add_rows(&cpu, y.view_mut(), &gamma);
            bias::grad(&cpu, x.view(), &mut sums);
            softmax::forward_rows(&cpu, x.view(), y.view_mut());
            softmax::backward_rows(&cpu, x.view(), y.view_mut());
            let mut z = vec![0.0; rows];
            softmax::logsumexp_rows(&cpu, x.view(), &mut z);
            assert!(z.iter().all(|&z| z == f32::NEG_INFINITY));
            activation::forward(&cpu, Activation::Gelu, x.view(), y.view_mut());
            activation::backward(&cpu, Activation::Gelu, x.view(), y.view_mut());
            dropout::apply(&cpu, y.view_mut(), 0.5, PLACE);
            embedding::gather(&cpu, Matrix::zeros(3, n).view(), &vec![1; rows], y.view_mut());
            embedding::scatter_add(&cpu, &vec![1; rows], x.view(), Matrix::zeros(3, n).view_mut());
            elementwise::scale(&cpu, y.as_mut_slice(), 2.0);
            let tally = cross_entropy::forward(&cpu, x.view(), &vec![0; rows], &vec![0.0; rows]);
            assert_eq!(tally, cross_entropy::Tally::default());
            let square = Matrix::zeros(n, n);
            matmul(&cpu, x.view(), square.view(), Write::Overwrite, y.view_mut());
            matmul_nt(&cpu, x.view(), square.view(), Write::Overwrite, y.view_mut());
            let mut outer = Matrix::from_fn(n, n, |_, _| 1.0);
            matmul_tn(&cpu, x.view(), x.view(), Write::Overwrite, outer.view_mut());
            assert!(outer.as_slice().iter().all(|&x| x == 0.0));
        }
    }
}
