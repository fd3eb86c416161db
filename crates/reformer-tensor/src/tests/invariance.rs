//! The same bits with one thread, two and three.

use crate::activation::Activation;
use crate::form::Form;
use crate::product::multiply;
use crate::tests::normal;
use crate::{
    Address, Cpu, Matrix, Purpose, Write, activation, bias, cross_entropy, dropout, elementwise, embedding,
    layer_norm, softmax,
};

/// Runs `f` with one, two and three threads and compares what it returns.
fn same_for_any_thread_count(what: &str, f: impl Fn(&Cpu) -> Vec<Vec<f32>>) {
    let bits = |cpu: &Cpu| -> Vec<Vec<u32>> {
        let results = f(cpu);
        assert!(results.iter().any(|r| r.iter().any(|&x| x != 0.0)), "{what} computed nothing");
        results.into_iter().map(|r| r.into_iter().map(f32::to_bits).collect()).collect()
    };
    let one = bits(&Cpu::single());
    for threads in [2, 3] {
        assert!(bits(&Cpu::new(threads).unwrap()) == one, "{what} differs with {threads} threads");
    }
}

#[test]
fn products_do_not_depend_on_the_number_of_threads() {
    for (m, n, k) in [(700, 96, 130), (3, 900, 700), (1, 4096, 300), (300, 300, 300), (130, 70, 3000)] {
        for form in [Form::Plain, Form::RightTransposed, Form::LeftTransposed] {
            let (a, b) = match form {
                Form::Plain => (normal(1, m, k), normal(2, k, n)),
                Form::RightTransposed => (normal(1, m, k), normal(2, n, k)),
                Form::LeftTransposed => (normal(1, k, m), normal(2, k, n)),
            };
            same_for_any_thread_count(&format!("{form:?} {m} x {n} over {k}"), |cpu| {
                let mut c = normal(3, m, n);
                multiply(cpu, form, a.view(), b.view(), Write::Add, c.view_mut(), None);
                vec![c.as_slice().to_vec()]
            });
        }
    }
}

#[test]
fn layers_do_not_depend_on_the_number_of_threads() {
    let (rows, n) = (3000, 65);
    let (x, dy, w) = (normal(1, rows, n), normal(2, rows, n), normal(3, 2, n));
    let ids: Vec<u32> = (0..rows as u32).map(|i| i.wrapping_mul(2_654_435_761) % 50).collect();
    let weights: Vec<f32> = ids.iter().map(|&i| i as f32 / 7.0).collect();
    let targets: Vec<u32> = ids.iter().map(|&i| i % n as u32).collect();
    let address = Address::new(5, Purpose::HiddenDropout);
    same_for_any_thread_count("layer norm", |cpu| {
        let (mut y, mut dx) = (Matrix::zeros(rows, n), Matrix::zeros(rows, n));
        let (mut dgamma, mut dbeta) = (vec![0.0; n], vec![0.0; n]);
        layer_norm::forward(cpu, x.view(), w.row(0), w.row(1), 1e-5, y.view_mut());
        layer_norm::backward(
            cpu,
            x.view(),
            w.row(0),
            1e-5,
            dy.view(),
            dx.view_mut(),
            &mut dgamma,
            &mut dbeta,
        );
        vec![y.as_slice().to_vec(), dx.as_slice().to_vec(), dgamma, dbeta]
    });
    same_for_any_thread_count("activation, bias, dropout", |cpu| {
        let mut y = x.clone();
        activation::forward_in_place(cpu, Activation::Gelu, y.view_mut());
        bias::add_rows(cpu, y.view_mut(), w.row(0));
        dropout::apply(cpu, y.view_mut(), 0.3, address);
        let mut dx = dy.clone();
        activation::backward(cpu, Activation::GeluTanh, x.view(), dx.view_mut());
        let mut sums = vec![0.0; n];
        bias::grad(cpu, dy.view(), &mut sums);
        vec![y.as_slice().to_vec(), dx.as_slice().to_vec(), sums]
    });
    same_for_any_thread_count("softmax and cross-entropy", |cpu| {
        let (mut y, mut dx, mut z) = (x.clone(), dy.clone(), vec![0.0; rows]);
        softmax::forward_rows(cpu, x.view(), y.view_mut());
        softmax::backward_rows(cpu, x.view(), dx.view_mut());
        softmax::logsumexp_rows(cpu, x.view(), &mut z);
        let mut logits = x.clone();
        let tally = cross_entropy::forward_backward(cpu, logits.view_mut(), &targets, &weights, 0.1);
        let halves =
            |x: f64| vec![f32::from_bits((x.to_bits() >> 32) as u32), f32::from_bits(x.to_bits() as u32)];
        let [y, dx, logits] = [y, dx, logits].map(|m| m.as_slice().to_vec());
        vec![y, dx, logits, z, halves(tally.loss), halves(tally.correct)]
    });
    same_for_any_thread_count("embedding and flat arithmetic", |cpu| {
        let mut table = normal(4, 50, n);
        embedding::scatter_add(cpu, &ids, dy.view(), table.view_mut());
        let mut out = Matrix::zeros(rows, n);
        embedding::gather(cpu, table.view(), &ids, out.view_mut());
        elementwise::axpy(cpu, 0.7, x.as_slice(), out.as_mut_slice());
        elementwise::scale(cpu, out.as_mut_slice(), 1.1);
        vec![table.as_slice().to_vec(), out.as_slice().to_vec()]
    });
}
