//! Lab 1: attention by hand, hashing, sorting into chunks, attention within them, and the whole layer.

#![allow(clippy::excessive_precision, clippy::approx_constant, reason = "the values as they were printed")]

use reformer::attention::ALONE;
use reformer::lsh::{BucketCount, Buckets, Rotations, hash_vectors, sort_buckets};
use reformer::tensor::{Cpu, Matrix, softmax};
use serde_json::Value;

use crate::attend;

/// What JAX draws for the lab's seeds.
fn draws() -> Value {
    serde_json::from_str(include_str!("lab_one.json")).unwrap()
}

fn matrix(value: &Value, rows: usize, cols: usize) -> Matrix {
    let numbers = value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
    Matrix::from_vec(rows, cols, numbers)
}

#[track_caller]
fn assert_near(got: &[f32], expected: &[f32], allowed: f32) {
    assert_eq!(got.len(), expected.len());
    for (at, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= allowed, "number {at}: {a} against {b}\n{got:?}\n{expected:?}");
    }
}

#[test]
fn our_softmax_is_the_exponential_minus_the_logsumexp() {
    let (cpu, x) = (Cpu::single(), Matrix::from_vec(1, 4, vec![1.0, 2.0, 3.0, 4.0]));
    let (mut y, mut z) = (Matrix::zeros(1, 4), [0.0]);
    softmax::forward_rows(&cpu, x.view(), y.view_mut());
    softmax::logsumexp_rows(&cpu, x.view(), &mut z);
    assert_near(&z, &[4.440_19], 1e-6);
    let by_hand: Vec<f32> = x.as_slice().iter().map(|x| (x - z[0]).exp()).collect();
    assert_near(y.as_slice(), &by_hand, 1e-6);
    assert_near(y.as_slice(), &[0.032_058_604, 0.087_144_32, 0.236_882_82, 0.643_914_26], 1e-6);
}

#[test]
fn mask_self_attention_hides_the_future_and_padding_and_lets_a_position_see_itself_only_if_alone() {
    let qk = Matrix::from_fn(4, 4, |i, j| ((i * 5 + j * 3) % 7) as f32 - 3.0);
    let v = Matrix::from_fn(4, 4, |i, j| f32::from(u8::from(i == j)));
    // The values are the unit vectors, so an output row is the row of probabilities.
    let (p, z) = attend::shared(&qk, &v, true, None);
    assert_eq!(p.row(0), [1.0, 0.0, 0.0, 0.0], "nothing before the first, so it sees itself");
    assert_eq!(z[0], ALONE, "with the score −1e5");
    assert_eq!(p.row(1), [1.0, 0.0, 0.0, 0.0]);
    assert!(p.row(3)[3] == 0.0 && p.row(3)[..3].iter().all(|&x| x > 0.0), "{:?}", p.row(3));
    let (p, _) = attend::shared(&qk, &v, true, Some(&[false, true, true, true]));
    assert!((1..4).all(|i| p.row(i)[0] == 0.0), "padding is seen by nobody");
    assert_eq!(p.row(1), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn our_simple_attend_gives_the_printed_output_and_logits() {
    let draws = &draws()["attend"];
    let (q, v) = (matrix(&draws["q"], 8, 3), matrix(&draws["v"], 8, 4));
    let (out, z) = attend::full(&attend::widened(&q, 4), &attend::padded(&q, 4), &v, false);
    assert_near(out.row(0), &[0.560_632_4, 0.729_060_5, 0.525_124_3, 0.471_010_74], 1e-6);
    assert_near(out.row(7), &[0.571_004_45, 0.707_855_05, 0.532_536_2, 0.459_079_7], 1e-6);
    let logits = [
        2.651_217_5,
        2.191_433_2,
        2.663_051_8,
        2.779_236_3,
        2.458_382_6,
        2.542_197_7,
        2.414_505_5,
        2.511_129_4,
    ];
    assert_near(&z, &logits, 1e-6);
}

#[test]
fn our_self_attention_of_three_heads_gives_the_printed_rows() {
    let draws = draws();
    let x = matrix(&draws["x"], 8, 5);
    let mut sum = [0.0; 40];
    for head in draws["self_attention"].as_array().unwrap() {
        let of = |name: &str, cols| attend::product(&x, &matrix(&head[name], 5, cols));
        let (q, k) = (attend::widened(&of("q", 3), 4), attend::padded(&of("k", 3), 4));
        let (out, _) = attend::full(&q, &k, &of("v", 4), false);
        let projected = attend::product(&out, &matrix(&head["o"], 4, 5));
        sum.iter_mut().zip(projected.as_slice()).for_each(|(sum, x)| *sum += x);
    }
    assert_near(&sum[..5], &[0.670_414_15, -0.104_319_84, -0.533_822_3, 0.192_711_83, -4.529_95e-5], 1e-6);
    assert_near(&sum[35..], &[0.680_265, -0.109_031_796, -0.538_248_7, 0.194_203_18, 0.004_239_44], 1e-6);
}

#[test]
fn our_hash_vectors_puts_equal_vectors_into_one_bucket_and_numbers_each_round_s_buckets_apart() {
    let ones = Matrix::from_fn(8, 5, |_, _| 1.0);
    let rotations = Rotations::draw(1, 0, 0, 5, 3, &BucketCount::new(&[4]).unwrap()).unwrap();
    assert_eq!(rotations.as_slice().len(), 5 * 3 * 2, "half as many columns as buckets: [xR; −xR]");
    let buckets = hash_vectors(&Cpu::single(), ones.view(), &rotations, None).unwrap();
    let flat = buckets.with_offsets();
    assert_eq!(flat.len(), 24);
    for (round, ids) in flat.chunks(8).enumerate() {
        assert!(ids.iter().all(|&id| id == ids[0]), "{ids:?}");
        assert!((4 * round as u64..4 * (round as u64 + 1)).contains(&ids[0]), "offsets 0, 4, 8: {ids:?}");
    }
}

#[test]
fn sort_buckets_gives_the_printed_order_and_undo() {
    let buckets = Buckets::given(2, 8, 4, [0, 1, 2, 3].repeat(4)).unwrap();
    assert_eq!(buckets.with_offsets(), [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]);
    let keys: Vec<u64> = buckets.with_offsets().iter().zip(0..).map(|(b, at)| 8 * b + at % 8).collect();
    assert_eq!(keys, [0, 9, 18, 27, 4, 13, 22, 31, 32, 41, 50, 59, 36, 45, 54, 63]);
    // Rounds are sorted one by one; one flat sort numbers the second one's places on from the first one's.
    let sorted = sort_buckets(&buckets);
    let flat = |of: &dyn Fn(usize) -> Vec<u32>| -> Vec<u32> {
        (0..2).flat_map(|round| of(round).into_iter().map(move |x| x + 8 * round as u32)).collect()
    };
    let sticker = flat(&|round| sorted.order_of(round).to_vec());
    let undo = flat(&|round| sorted.undo_of(round).to_vec());
    assert_eq!(sticker, [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]);
    assert_eq!(undo, [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]);
}

/// The lab's eight queries `0 1 2 3 0 1 2 3` in their two sorted rounds, their values of one, and the way back.
fn sorted_rounds() -> (Matrix, Matrix, Vec<usize>) {
    let buckets = Buckets::given(2, 8, 4, [0, 1, 2, 3].repeat(4)).unwrap();
    let sorted = sort_buckets(&buckets);
    let order: Vec<u32> = (0..2).flat_map(|round| sorted.order_of(round).to_vec()).collect();
    let undo =
        (0..2).flat_map(|round| sorted.undo_of(round).iter().map(move |&r| r as usize + 8 * round)).collect();
    (Matrix::from_fn(16, 3, |rank, _| (order[rank] % 4) as f32), Matrix::from_fn(16, 5, |_, _| 1.0), undo)
}

#[test]
fn dotandv_without_softmax_gives_rows_0_6_24_54() {
    let (sq, sv, undo) = sorted_rounds();
    let mut out = Matrix::zeros(16, 5);
    for chunk in (0..16).step_by(2) {
        let rows = |m: &Matrix| Matrix::from_fn(2, m.cols(), |i, j| m.row(chunk + i)[j]);
        let (q, v) = (rows(&sq), rows(&sv));
        let transposed = Matrix::from_fn(3, 2, |i, j| q.row(j)[i]);
        let o = attend::product(&attend::product(&q, &transposed), &v);
        (0..2).for_each(|i| out.row_mut(chunk + i).copy_from_slice(o.row(i)));
    }
    // Without softmax there are no logits to weigh the rounds by: each counts one half.
    for t in 0..8 {
        let mean: Vec<f32> = (0..5).map(|j| 0.5 * (out.row(undo[t])[j] + out.row(undo[8 + t])[j])).collect();
        assert_eq!(mean, [[0.0, 6.0, 24.0, 54.0][t % 4]; 5]);
    }
}

#[test]
fn dotandv_with_softmax_gives_the_printed_logits_and_ones() {
    let (sq, sv, undo) = sorted_rounds();
    // The lab divides by nothing; the kernel divides by √5, the width of its heads.
    let q = Matrix::from_fn(16, 5, |i, j| if j < 3 { sq.row(i)[j] * 5f32.sqrt() } else { 0.0 });
    let (out, z) = attend::chunks(&q, &attend::padded(&sq, 5), &sv, 2);
    for (at, &rank) in undo.iter().enumerate() {
        let expected = [0.693_147_2, 3.693_147_2, 12.693_148, 27.693_148][at % 4];
        assert!((z[rank] - expected).abs() < 4e-6, "{at}: {} against {expected}", z[rank]);
        assert!(out.row(rank).iter().all(|&x| (x - 1.0).abs() <= 1e-6), "{:?}", out.row(rank));
    }
    // The rounds, weighed by their share of the common softmax.
    for t in 0..8 {
        let (a, b) = (z[undo[t]], z[undo[8 + t]]);
        let share = 1.0 / (1.0 + (b - a).exp());
        let sum = share * out.row(undo[t])[0] + (1.0 - share) * out.row(undo[8 + t])[0];
        assert!((sum - 1.0).abs() <= 1e-6, "{sum}");
    }
}

#[test]
fn our_lsh_self_attention_of_three_heads_and_five_rounds_gives_the_printed_rows() {
    let draws = draws();
    let x = matrix(&draws["x"], 8, 5);
    let mut sum = [0.0; 40];
    for head in draws["lsh_self_attention"].as_array().unwrap() {
        let of = |name: &str, cols| attend::product(&x, &matrix(&head[name], 5, cols));
        let (q, v) = (of("q", 3), of("v", 4));
        let rotations = Rotations::given(
            3,
            5,
            BucketCount::new(&[4]).unwrap(),
            matrix(&head["rotations"], 1, 30).as_slice().to_vec(),
        );
        let buckets = hash_vectors(&Cpu::single(), q.view(), &rotations.unwrap(), None).unwrap();
        let expected: Vec<u32> = head["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|round| round.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32))
            .collect();
        assert_eq!(buckets.ids(), expected, "the buckets that JAX finds");
        // Keys are of unit length whatever the queries', so only the queries' own scale is at stake.
        let out = attend::lsh(&attend::padded(&q, 4), &v, buckets, 8);
        let projected = attend::product(&out, &matrix(&head["o"], 4, 5));
        sum.iter_mut().zip(projected.as_slice()).for_each(|(sum, x)| *sum += x);
    }
    assert_near(&sum[..5], &[0.668_428_66, -0.113_643_17, -0.544_305_98, 0.211_262_29, -0.010_988_474], 1e-5);
    assert_near(&sum[35..], &[0.722_034_99, -0.101_996_57, -0.552_151_8, 0.178_722_62, -0.022_289_127], 1e-5);
}
