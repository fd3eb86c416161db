//! Layers against their twins: forward and backward, every level, ragged row lengths.

use crate::activation::Activation;
use crate::tests::{COLUMNS, each_level, judge, normal, wide};
use crate::{
    Cpu, Matrix, activation, bias, cross_entropy, elementwise, embedding, layer_norm, naive, softmax,
};

const ROWS: usize = 5;
const EPS: f32 = 1e-5;

/// The rows of `f(row)`, one after another.
fn rows<T, U>(x: &[T], cols: usize, f: impl Fn(usize, &[T]) -> Vec<U>) -> Vec<U> {
    x.chunks(cols).enumerate().flat_map(|(i, row)| f(i, row)).collect()
}

#[test]
fn layer_norm_agrees_with_its_twin() {
    each_level(|level| {
        for n in COLUMNS {
            let (x, dy) = (normal(1, ROWS, n), normal(2, ROWS, n));
            let (gamma, beta) = (normal(3, 1, n), normal(4, 1, n));
            let (gamma, beta) = (gamma.as_slice(), beta.as_slice());
            let (gamma_wide, beta_wide) = (wide(gamma), wide(beta));
            let eps = f64::from(EPS);
            let cpu = Cpu::single();
            let mut y = Matrix::zeros(ROWS, n);
            layer_norm::forward(&cpu, x.view(), gamma, beta, EPS, y.view_mut());
            let twin = rows(x.as_slice(), n, |_, x| naive::layer_norm(x, gamma, beta, eps));
            let truth =
                rows(&wide(x.as_slice()), n, |_, x| naive::layer_norm(x, &gamma_wide, &beta_wide, eps));
            judge(&format!("layer norm of {n} at {level}"), y.as_slice(), &twin, &truth);

            let mut dx = Matrix::from_fn(ROWS, n, |_, _| 1.0);
            let (mut dgamma, mut dbeta) = (vec![1.0; n], vec![1.0; n]);
            layer_norm::backward(
                &cpu,
                x.view(),
                gamma,
                EPS,
                dy.view(),
                dx.view_mut(),
                &mut dgamma,
                &mut dbeta,
            );
            let twin = twin_backward(x.as_slice(), gamma, dy.as_slice());
            let truth = twin_backward(&wide(x.as_slice()), &gamma_wide, &wide(dy.as_slice()));
            judge(&format!("layer norm dx of {n} at {level}"), dx.as_slice(), &twin.0, &truth.0);
            judge(&format!("layer norm dgamma of {n} at {level}"), &dgamma, &twin.1, &truth.1);
            judge(&format!("layer norm dbeta of {n} at {level}"), &dbeta, &twin.2, &truth.2);
        }
    });
}

/// Started from ones, as the kernel adds.
fn twin_backward<T: crate::Real>(x: &[T], gamma: &[T], dy: &[T]) -> (Vec<T>, Vec<T>, Vec<T>) {
    let n = gamma.len();
    let (mut dx, mut dgamma, mut dbeta) = (vec![], vec![T::one(); n], vec![T::one(); n]);
    for (x, dy) in x.chunks(n).zip(dy.chunks(n)) {
        let (rx, rg, rb) = naive::layer_norm_backward(x, gamma, f64::from(EPS), dy);
        dx.extend(rx.into_iter().map(|d| T::one() + d));
        naive::add_bias(&mut dgamma, &rg);
        naive::add_bias(&mut dbeta, &rb);
    }
    (dx, dgamma, dbeta)
}

#[test]
fn an_activation_with_its_bias_is_the_two_one_after_the_other() {
    let cpu = Cpu::new(2).expect("threads");
    for (rows, cols) in [(1, 1), (5, 37), (300, 130)] {
        let x = Matrix::from_fn(rows, cols, |i, j| ((i * 7 + j * 3) % 23) as f32 * 0.3 - 3.0);
        let dy = Matrix::from_fn(rows, cols, |i, j| ((i * 5 + j) % 17) as f32 * 0.1 - 0.8);
        let b: Vec<f32> = (0..cols).map(|j| (j % 5) as f32 * 0.2 - 0.4).collect();
        for kind in Activation::ALL {
            let (mut u, mut a) = (x.clone(), Matrix::zeros(rows, cols));
            bias::add_rows(&cpu, u.view_mut(), &b);
            activation::forward(&cpu, kind, u.view(), a.view_mut());
            let (mut fused_u, mut fused_a, mut place) = (x.clone(), Matrix::zeros(rows, cols), x.clone());
            activation::forward_biased(&cpu, kind, &b, fused_u.view_mut(), fused_a.view_mut());
            activation::forward_biased_in_place(&cpu, kind, &b, place.view_mut());
            assert!(fused_u == u && fused_a == a && place == a, "{kind:?} {rows} x {cols}");

            let (mut du, mut db) = (dy.clone(), vec![0.5; cols]);
            activation::backward(&cpu, kind, u.view(), du.view_mut());
            bias::grad(&cpu, du.view(), &mut db);
            let (mut fused_du, mut fused_db) = (dy.clone(), vec![0.5; cols]);
            activation::backward_summed(&cpu, kind, u.view(), fused_du.view_mut(), &mut fused_db);
            assert!(fused_du == du && fused_db == db, "{kind:?} {rows} x {cols}, backward");
        }
    }
}

#[test]
fn activations_agree_with_their_twins() {
    each_level(|level| {
        for kind in Activation::ALL {
            for n in COLUMNS {
                let cpu = Cpu::single();
                let mut x = normal(1, ROWS, n);
                x.as_mut_slice().iter_mut().for_each(|x| *x *= 2.5);
                let dy = normal(2, ROWS, n);
                let mut y = Matrix::zeros(ROWS, n);
                activation::forward(&cpu, kind, x.view(), y.view_mut());
                let twin: Vec<f32> = x.as_slice().iter().map(|&x| naive::activation(kind, x)).collect();
                let truth: Vec<f64> =
                    wide(x.as_slice()).iter().map(|&x| naive::activation(kind, x)).collect();
                judge(&format!("{kind:?} of {n} at {level}"), y.as_slice(), &twin, &truth);
                let mut dx = dy.clone();
                activation::backward(&cpu, kind, x.view(), dx.view_mut());
                let pairs = || x.as_slice().iter().zip(dy.as_slice());
                let twin: Vec<f32> =
                    pairs().map(|(&x, &d)| d * naive::activation_derivative(kind, x)).collect();
                let truth: Vec<f64> = pairs()
                    .map(|(&x, &d)| f64::from(d) * naive::activation_derivative(kind, f64::from(x)))
                    .collect();
                judge(&format!("{kind:?} backward of {n} at {level}"), dx.as_slice(), &twin, &truth);
                activation::forward_in_place(&cpu, kind, x.view_mut());
                assert_eq!(x, y);
            }
        }
    });
}

#[test]
fn softmax_and_logsumexp_agree_with_their_twins() {
    each_level(|level| {
        for n in COLUMNS {
            let cpu = Cpu::single();
            let mut x = normal(1, ROWS, n);
            x.as_mut_slice().iter_mut().for_each(|x| *x *= 4.0);
            let (single, double) = (x.as_slice(), wide(x.as_slice()));
            let mut y = Matrix::zeros(ROWS, n);
            softmax::forward_rows(&cpu, x.view(), y.view_mut());
            let twin = rows(single, n, |_, x| naive::softmax(x));
            let truth = rows(&double, n, |_, x| naive::softmax(x));
            judge(&format!("softmax of {n} at {level}"), y.as_slice(), &twin, &truth);
            let mut z = vec![0.0; ROWS];
            softmax::logsumexp_rows(&cpu, x.view(), &mut z);
            let twin = rows(single, n, |_, x| vec![naive::logsumexp(x)]);
            let truth = rows(&double, n, |_, x| vec![naive::logsumexp(x)]);
            judge(&format!("logsumexp of {n} at {level}"), &z, &twin, &truth);
            let dy = normal(2, ROWS, n);
            let mut dx = dy.clone();
            softmax::backward_rows(&cpu, y.view(), dx.view_mut());
            let twin = rows(y.as_slice(), n, |i, y| naive::softmax_backward(y, dy.row(i)));
            let truth = rows(&wide(y.as_slice()), n, |i, y| naive::softmax_backward(y, &wide(dy.row(i))));
            judge(&format!("softmax backward of {n} at {level}"), dx.as_slice(), &twin, &truth);
        }
    });
}

#[test]
fn cross_entropy_agrees_with_its_twin() {
    each_level(|level| {
        for n in COLUMNS {
            let cpu = Cpu::single();
            let mut x = normal(1, ROWS, n);
            x.as_mut_slice().iter_mut().for_each(|x| *x *= 4.0);
            let targets: Vec<u32> = (0..ROWS).map(|i| ((i * 7) % n) as u32).collect();
            let weights = [1.0, 0.5, 0.0, 2.0, 1.0];
            let scale = 0.25_f32;
            let mut gradient = x.clone();
            let tally = cross_entropy::forward_backward(&cpu, gradient.view_mut(), &targets, &weights, scale);
            let forward = cross_entropy::forward(&cpu, x.view(), &targets, &weights);
            assert!((forward.loss - tally.loss).abs() <= 1e-6 * tally.loss.abs(), "{n} at {level}");
            assert_eq!((forward.weight, forward.correct), (tally.weight, tally.correct));
            assert_eq!(tally.weight, 4.5);
            let (single, double) = (x.as_slice(), wide(x.as_slice()));
            let twin =
                rows(single, n, |i, x| vec![naive::cross_entropy(x, targets[i] as usize) * weights[i]]);
            let truth = rows(&double, n, |i, x| {
                vec![naive::cross_entropy(x, targets[i] as usize) * f64::from(weights[i])]
            });
            let case = format!("cross-entropy of {n} at {level}");
            judge(&case, &[tally.loss as f32], &[twin.iter().sum()], &[truth.iter().sum()]);
            let twin = rows(single, n, |i, x| {
                let d = naive::cross_entropy_backward(x, targets[i] as usize);
                d.into_iter().map(|d| d * weights[i] * scale).collect()
            });
            let truth = rows(&double, n, |i, x| {
                let d = naive::cross_entropy_backward(x, targets[i] as usize);
                d.into_iter().map(|d| d * f64::from(weights[i]) * f64::from(scale)).collect()
            });
            judge(&format!("{case}, backward"), gradient.as_slice(), &twin, &truth);
            let mut losses = vec![0.0; ROWS];
            cross_entropy::losses(&cpu, x.view(), &targets, &mut losses);
            let truth = rows(&double, n, |i, x| vec![naive::cross_entropy(x, targets[i] as usize)]);
            let twin = rows(single, n, |i, x| vec![naive::cross_entropy(x, targets[i] as usize)]);
            judge(&format!("{case}, by row"), &losses, &twin, &truth);
        }
    });
}

#[test]
fn accuracy_counts_the_first_largest_logit_by_weight() {
    let logits = Matrix::from_vec(4, 3, vec![1.0, 3.0, 2.0, 5.0, 5.0, 0.0, 5.0, 5.0, 0.0, 0.0, 0.0, 9.0]);
    let tally = cross_entropy::forward(&Cpu::single(), logits.view(), &[1, 0, 1, 2], &[1.0, 0.5, 4.0, 2.0]);
    assert_eq!(tally.correct, 3.5);
}

#[test]
fn a_row_without_weight_may_have_any_target_and_gets_no_gradient() {
    let mut logits = normal(1, 2, 5);
    let tally =
        cross_entropy::forward_backward(&Cpu::single(), logits.view_mut(), &[u32::MAX, 2], &[0.0, 1.0], 1.0);
    assert_eq!(tally.weight, 1.0);
    assert!(logits.row(0).iter().all(|&x| x == 0.0));
    assert!(logits.row(1).iter().any(|&x| x != 0.0));
}

#[test]
#[should_panic(expected = "target 5 of a row of 5 logits")]
fn a_target_beyond_the_vocabulary_is_refused() {
    let _ = cross_entropy::forward(&Cpu::single(), normal(1, 1, 5).view(), &[5], &[1.0]);
}

#[test]
fn bias_and_its_gradient_agree_with_their_twins() {
    each_level(|level| {
        for n in COLUMNS {
            let cpu = Cpu::single();
            let (x, b) = (normal(1, 70, n), normal(2, 1, n));
            let mut y = x.clone();
            bias::add_rows(&cpu, y.view_mut(), b.as_slice());
            let twin = rows(x.as_slice(), n, |_, x| {
                let mut y = x.to_vec();
                naive::add_bias(&mut y, b.as_slice());
                y
            });
            assert_eq!(y.as_slice(), twin);
            let mut sums = vec![0.0; n];
            bias::grad(&cpu, x.view(), &mut sums);
            let (twin, truth) =
                (naive::column_sums(x.as_slice(), n), naive::column_sums(&wide(x.as_slice()), n));
            judge(&format!("bias gradient of {n} at {level}"), &sums, &twin, &truth);
        }
    });
}

#[test]
fn rows_of_a_table_come_and_go_by_number() {
    each_level(|_| {
        for dim in COLUMNS {
            let cpu = Cpu::single();
            let table = normal(1, 6, dim);
            let ids = [3, 0, 3, 5, 3];
            let mut out = Matrix::from_fn(5, dim, |_, _| f32::NAN);
            embedding::gather(&cpu, table.view(), &ids, out.view_mut());
            assert_eq!(out.as_slice(), naive::gather(table.as_slice(), dim, &ids));
            let (mut fast, mut twin) = (table.clone(), table.as_slice().to_vec());
            embedding::scatter_add(&cpu, &ids, out.view(), fast.view_mut());
            naive::scatter_add(&ids, out.as_slice(), dim, &mut twin);
            assert_eq!(fast.as_slice(), twin);
        }
    });
}

#[test]
#[should_panic(expected = "embedding: id 6 of a table of 6 rows")]
fn an_id_beyond_the_table_is_refused() {
    let mut out = Matrix::zeros(2, 3);
    embedding::gather(&Cpu::single(), Matrix::zeros(6, 3).view(), &[0, 6], out.view_mut());
}

#[test]
fn flat_arithmetic_is_what_it_says() {
    each_level(|_| {
        for n in [0, 1, 17, 1000, 40_000] {
            let cpu = Cpu::single();
            let (x, y) = (normal(1, 1, n), normal(2, 1, n));
            let (x, mut z) = (x.as_slice(), y.as_slice().to_vec());
            let each = |f: fn(f32, f32) -> f32| -> Vec<f32> {
                x.iter().zip(y.as_slice()).map(|(&x, &y)| f(x, y)).collect()
            };
            elementwise::add_assign(&cpu, &mut z, x);
            assert_eq!(z, each(|x, y| y + x));
            z.copy_from_slice(y.as_slice());
            elementwise::sub_assign(&cpu, &mut z, x);
            assert_eq!(z, each(|x, y| y - x));
            z.copy_from_slice(y.as_slice());
            elementwise::mul_assign(&cpu, &mut z, x);
            assert_eq!(z, each(|x, y| y * x));
            z.copy_from_slice(y.as_slice());
            elementwise::scale(&cpu, &mut z, 0.5);
            assert_eq!(z, each(|_, y| y * 0.5));
            // Doubling is exact, fused or not.
            elementwise::axpy(&cpu, 2.0, x, &mut z);
            assert_eq!(z, each(|x, y| y * 0.5 + 2.0 * x));
            let truth: f64 = wide(x).iter().map(|x| x * x).sum();
            assert!((elementwise::sum_of_squares(x) - truth).abs() <= 1e-12 * truth);
        }
    });
}
