//! Contracts of hashing: the fast path against its naive twin, ties, masks, edges, threads.

use proptest::prelude::*;
use reformer_lsh::{
    BucketCount, Buckets, HashFamily, LshError, Planes, Rotations, first_non_finite, hash_one, hash_vectors,
    naive,
};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::numbers::{normal, whole_numbers};

/// One round's directions `[dim, columns]` out of `[dim, rounds, columns]`.
fn of_round(all: &[f32], dim: usize, rounds: usize, columns: usize, round: usize) -> Vec<f32> {
    (0..dim).flat_map(|d| all[(d * rounds + round) * columns..][..columns].to_vec()).collect()
}

#[test]
fn the_cross_polytope_hash_equals_its_naive_twin_ties_included() {
    let cpu = Cpu::new(2).unwrap();
    for factors in [&[2][..], &[8], &[4, 6], &[2, 4, 6], &[64]] {
        let count = BucketCount::new(factors).unwrap();
        let (len, dim, rounds, columns) = (600, 7, 3, count.rotation_columns());
        let x = whole_numbers(1, len, dim);
        let data = whole_numbers(2, dim, rounds * columns).as_slice().to_vec();
        let rotations = Rotations::given(dim, rounds, count, data.clone()).unwrap();
        let buckets = hash_vectors(&cpu, x.view(), &rotations, None).unwrap();
        for round in 0..rounds {
            let r = of_round(&data, dim, rounds, columns, round);
            let expected: Vec<u32> = (0..len).map(|t| naive::cross_polytope(x.row(t), &r, factors)).collect();
            assert_eq!(buckets.round(round), expected, "{factors:?} round {round}");
        }
    }
}

#[test]
fn the_sign_hash_equals_its_naive_twin() {
    let cpu = Cpu::new(2).unwrap();
    let (len, dim, rounds, planes) = (300, 5, 2, 6);
    let x = whole_numbers(3, len, dim);
    let data = whole_numbers(4, dim, rounds * planes).as_slice().to_vec();
    let family = Planes::given(dim, rounds, planes, data.clone()).unwrap();
    let buckets = hash_vectors(&cpu, x.view(), &family, None).unwrap();
    for round in 0..rounds {
        let r = of_round(&data, dim, rounds, planes, round);
        let expected: Vec<u32> = (0..len).map(|t| naive::sign_planes(x.row(t), &r, planes)).collect();
        assert_eq!(buckets.round(round), expected);
    }
}

/// In f32 a near-tie may go either way; against the f64 twin nearly every bucket must still agree.
#[test]
fn on_real_valued_vectors_hashing_agrees_with_the_f64_twin() {
    let cpu = Cpu::new(2).unwrap();
    let count = BucketCount::new(&[16]).unwrap();
    let (len, dim) = (5000, 64);
    let x = normal(5, len, dim);
    let rotations = Rotations::draw(9, 0, 0, dim, 1, &count).unwrap();
    let buckets = hash_vectors(&cpu, x.view(), &rotations, None).unwrap();
    let r: Vec<f64> = rotations.as_slice().iter().map(|&v| v.into()).collect();
    let differ = (0..len)
        .filter(|&t| {
            let row: Vec<f64> = x.row(t).iter().map(|&v| v.into()).collect();
            naive::cross_polytope(&row, &r, &[16]) != buckets.round(0)[t]
        })
        .count();
    assert!(differ <= 2, "{differ} of {len} buckets differ");
}

#[test]
fn buckets_are_the_same_for_any_number_of_threads() {
    let count = BucketCount::new(&[8, 8]).unwrap();
    let x = normal(6, 9000, 16);
    let rotations = Rotations::draw(1, 2, 3, 16, 4, &count).unwrap();
    let hash = |threads| hash_vectors(&Cpu::new(threads).unwrap(), x.view(), &rotations, None).unwrap();
    let one = hash(1);
    assert_eq!(one, hash(2));
    assert_eq!(one, hash(3));
}

#[test]
fn one_vector_at_a_time_hashes_as_all_together() {
    let cpu = Cpu::new(1).unwrap();
    let count = BucketCount::new(&[4, 8]).unwrap();
    let (x, r) = (whole_numbers(7, 50, 6), whole_numbers(8, 6, 18));
    let rotations = Rotations::given(6, 3, count, r.as_slice().to_vec()).unwrap();
    let buckets = hash_vectors(&cpu, x.view(), &rotations, None).unwrap();
    let mut one = [0; 3];
    for t in 0..50 {
        hash_one(x.row(t), &rotations, &mut one);
        assert_eq!(one, [0, 1, 2].map(|round| buckets.round(round)[t]));
    }
}

#[test]
fn a_vector_and_its_multiples_share_buckets_and_its_negation_does_not() {
    let count = BucketCount::new(&[16]).unwrap();
    let rotations = Rotations::draw(3, 0, 0, 8, 4, &count).unwrap();
    let x = normal(9, 1, 8);
    let hash = |scale: f32| {
        let scaled: Vec<f32> = x.row(0).iter().map(|v| v * scale).collect();
        let mut out = [0; 4];
        hash_one(&scaled, &rotations, &mut out);
        out
    };
    assert_eq!(hash(1.0), hash(4.0), "buckets depend on the direction only");
    assert_eq!(hash(1.0).map(|b| (b + 8) % 16), hash(-1.0), "the opposite axis");
}

#[test]
fn padding_goes_to_a_bucket_of_its_own_and_leaves_the_others_alone() {
    let cpu = Cpu::new(1).unwrap();
    let count = BucketCount::new(&[8]).unwrap();
    let x = normal(10, 10, 4);
    let rotations = Rotations::draw(0, 0, 0, 4, 2, &count).unwrap();
    let plain = hash_vectors(&cpu, x.view(), &rotations, None).unwrap();
    let mask: Vec<bool> = (0..10).map(|t| t % 3 != 0).collect();
    let masked = hash_vectors(&cpu, x.view(), &rotations, Some(&mask)).unwrap();
    assert_eq!((plain.num_buckets(), masked.num_buckets()), (8, 9));
    for round in 0..2 {
        for (t, &token) in mask.iter().enumerate() {
            let expected = if token { plain.round(round)[t] } else { 8 };
            assert_eq!(masked.round(round)[t], expected);
        }
    }
}

#[test]
fn empty_and_single_sequences_hash() {
    let cpu = Cpu::new(1).unwrap();
    let count = BucketCount::new(&[4]).unwrap();
    let rotations = Rotations::draw(0, 0, 0, 3, 2, &count).unwrap();
    let none = hash_vectors(&cpu, Matrix::zeros(0, 3).view(), &rotations, None).unwrap();
    assert!(none.is_empty() && none.ids().is_empty() && none.with_offsets().is_empty());
    let one = hash_vectors(&cpu, normal(1, 1, 3).view(), &rotations, Some(&[true])).unwrap();
    assert_eq!((one.len(), one.rounds()), (1, 2));
    let zero = hash_vectors(&cpu, Matrix::zeros(1, 3).view(), &rotations, None).unwrap();
    assert_eq!(zero.ids(), [0, 0], "a zero vector ties everywhere: the first index wins");
}

#[test]
fn rows_of_nan_are_bucket_zero_and_can_be_found() {
    let cpu = Cpu::new(1).unwrap();
    let count = BucketCount::new(&[4, 4]).unwrap();
    let rotations = Rotations::draw(0, 0, 0, 3, 2, &count).unwrap();
    let mut x = normal(2, 5, 3);
    assert_eq!(first_non_finite(x.view()), None);
    x.row_mut(2)[1] = f32::NAN;
    x.row_mut(4)[0] = f32::INFINITY;
    let buckets = hash_vectors(&cpu, x.view(), &rotations, None).unwrap();
    assert!((0..2).all(|round| buckets.round(round)[2] == 0));
    assert!(buckets.ids().iter().all(|&id| id < 16));
    assert_eq!(first_non_finite(x.view()), Some(2));
}

#[test]
fn wrong_shapes_are_errors_that_say_what_was_expected() {
    let cpu = Cpu::new(1).unwrap();
    let rotations = Rotations::draw(0, 0, 0, 3, 2, &BucketCount::new(&[4]).unwrap()).unwrap();
    let x = Matrix::zeros(5, 4);
    let error = hash_vectors(&cpu, x.view(), &rotations, None).unwrap_err();
    assert_eq!(error, LshError::Width { what: "the rotations", got: 4, expected: 3 });
    let x = Matrix::zeros(5, 3);
    let error = hash_vectors(&cpu, x.view(), &rotations, Some(&[true; 4])).unwrap_err();
    assert_eq!(error.to_string(), "mask of 4 entries for 5 vectors; give one entry per vector");
}

fn in_range(buckets: &Buckets) -> bool {
    buckets.ids().iter().all(|&id| (id as usize) < buckets.num_buckets())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn buckets_are_always_in_range(
        len in 0usize..70, dim in 1usize..9, rounds in 1usize..4, seed: u64,
        factors in prop::collection::vec((1usize..5).prop_map(|half| 2 * half), 1..4),
        planes in 1usize..8, masked: bool,
    ) {
        let cpu = Cpu::new(1).unwrap();
        let x = normal(seed, len, dim);
        let mask: Vec<bool> = (0..len).map(|t| t % 2 == 0).collect();
        let mask = masked.then_some(&mask[..]);
        let count = BucketCount::new(&factors).unwrap();
        let rotations = Rotations::draw(seed, 0, 0, dim, rounds, &count).unwrap();
        let buckets = hash_vectors(&cpu, x.view(), &rotations, mask).unwrap();
        prop_assert!(in_range(&buckets));
        prop_assert_eq!(buckets.num_buckets(), count.total() + usize::from(masked));
        let family = Planes::draw(seed, 0, 0, dim, rounds, planes).unwrap();
        prop_assert!(in_range(&hash_vectors(&cpu, x.view(), &family, mask).unwrap()));
        prop_assert_eq!(family.num_buckets(), 1 << planes);
    }
}
