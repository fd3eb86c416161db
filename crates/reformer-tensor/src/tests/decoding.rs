//! What steps of decoding are made of: products of few rows, rows that lie anywhere.

use crate::tests::{COLUMNS, each_level, judge_sum, normal, wide};
use crate::{Bf16, Cpu, Element, Matrix, View, Weights, Write, few_rows, naive, tile};

/// The matrix rounded to `bf16`, and the same numbers in `f32`.
fn rounded(x: &Matrix) -> (Vec<Bf16>, Matrix) {
    let halves: Vec<Bf16> = x.as_slice().iter().map(|&x| Bf16::of(x)).collect();
    let widened = halves.iter().map(|h| h.get()).collect();
    (halves, Matrix::from_vec(x.rows(), x.cols(), widened))
}

#[test]
fn products_of_few_rows_agree_with_their_twin_at_every_level() {
    let cpu = Cpu::single();
    each_level(|level| {
        for (m, n, k) in [(1, 1, 1), (1, 5, 17), (3, 9, 16), (5, 33, 40), (7, 130, 257), (17, 12, 64)] {
            let (a, b) = (normal(1, m, k), normal(2, n, k));
            let (halves, widened) = rounded(&b);
            let kinds = [
                ("f32", Weights::F32(b.view()), &b),
                ("bf16", Weights::Bf16(View::new(&halves, n, k)), &widened),
            ];
            for (kind, weights, b) in kinds {
                let twin = naive::matmul_nt::<f32>(m, n, k, a.as_slice(), b.as_slice());
                let truth = naive::matmul_nt(m, n, k, &wide(a.as_slice()), &wide(b.as_slice()));
                let mut c = Matrix::from_fn(m, n, |_, _| f32::NAN);
                few_rows(&cpu, a.view(), weights, Write::Overwrite, c.view_mut());
                judge_sum(&format!("{level} {kind} {m} x {n} over {k}"), k, c.as_slice(), &twin, &truth);
                let before = c.clone();
                few_rows(&cpu, a.view(), weights, Write::Add, c.view_mut());
                let twice = c.as_slice().iter().zip(before.as_slice()).all(|(c, b)| *c == 2.0 * b);
                assert!(twice, "{level} {kind}: adding the same product doubles it");
            }
        }
    });
}

#[test]
fn the_bits_of_a_row_do_not_depend_on_the_rows_beside_it_or_on_threads() {
    for (n, k) in [(7, 33), (129, 70), (600, 512)] {
        let (a, b) = (normal(3, 40, k), normal(4, n, k));
        let (halves, _) = rounded(&b);
        for weights in [Weights::F32(b.view()), Weights::Bf16(View::new(&halves, n, k))] {
            let product = |cpu: &Cpu, a: View<'_>| {
                let mut c = Matrix::zeros(a.rows(), n);
                few_rows(cpu, a, weights, Write::Overwrite, c.view_mut());
                c
            };
            let together = product(&Cpu::new(3).unwrap(), a.view());
            for i in 0..a.rows() {
                let alone = product(&Cpu::single(), a.view().rows_range(i..i + 1));
                assert_eq!(alone.row(0), together.row(i), "row {i} of {n} x {k}");
            }
        }
    }
}

#[test]
fn rows_anywhere_are_scored_and_summed_at_every_level() {
    each_level(|level| {
        for d in COLUMNS {
            for count in [0, 1, 3, 4, 9] {
                let (store, q) = (normal(5, 12, 2 * d), normal(6, 1, d));
                let (halves, widened) = rounded(&store);
                let order: Vec<usize> = (0..count).map(|i| (i * 5 + 3) % 12).collect();
                let p: Vec<f32> = (0..count).map(|i| 0.1 + i as f32).collect();
                check::<f32>(level, q.row(0), &p, &order, store.as_slice(), &store);
                check::<Bf16>(level, q.row(0), &p, &order, &halves, &widened);
            }
        }
    });
}

fn check<E: Element>(level: &str, q: &[f32], p: &[f32], order: &[usize], store: &[E], numbers: &Matrix) {
    let d = q.len();
    let rows: Vec<&[E]> = order.iter().map(|&i| &store[i * 2 * d..(i + 1) * 2 * d]).collect();
    let (mut scores, mut out) = (vec![f32::NAN; rows.len()], vec![f32::NAN; d]);
    tile::gathered_dots(q, &rows, &mut scores);
    tile::gathered_sum(p, &rows, d, &mut out);
    let row = |i: usize| numbers.row(i);
    let dots = |i: &usize| q.iter().zip(row(*i)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let single = |i: &usize| q.iter().zip(row(*i)).map(|(a, b)| a * b).sum::<f32>();
    let (truth, twin): (Vec<_>, Vec<_>) =
        (order.iter().map(dots).collect(), order.iter().map(single).collect());
    judge_sum(&format!("{level} dots {d}"), d, &scores, &twin, &truth);
    let weighted = |c: usize| order.iter().zip(p).map(move |(&i, &p)| (p, row(i)[d + c]));
    let truth: Vec<f64> =
        (0..d).map(|c| weighted(c).map(|(p, v)| f64::from(p) * f64::from(v)).sum()).collect();
    let twin: Vec<f32> = (0..d).map(|c| weighted(c).map(|(p, v)| p * v).sum()).collect();
    judge_sum(&format!("{level} sum {d}"), 10 * order.len(), &out, &twin, &truth);
}
