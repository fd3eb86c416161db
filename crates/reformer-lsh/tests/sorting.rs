//! Contracts of sorting: a permutation, stable, undone by its inverse, equal to a sort by key.

use proptest::prelude::*;
use reformer_lsh::{Buckets, naive, sort_buckets};

fn some_buckets() -> impl Strategy<Value = Buckets> {
    (1usize..4, 0usize..80, 1usize..12).prop_flat_map(|(rounds, len, num_buckets)| {
        prop::collection::vec(0..num_buckets as u32, rounds * len)
            .prop_map(move |ids| Buckets::given(rounds, len, num_buckets, ids).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn order_is_a_permutation_and_undo_its_inverse(buckets in some_buckets()) {
        let sorted = sort_buckets(&buckets);
        for round in 0..buckets.rounds() {
            let (order, undo) = (sorted.order_of(round), sorted.undo_of(round));
            let mut seen = order.to_vec();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..buckets.len() as u32).collect::<Vec<_>>());
            for (position, &rank) in undo.iter().enumerate() {
                prop_assert_eq!(order[rank as usize] as usize, position);
            }
        }
    }

    #[test]
    fn positions_rise_within_a_bucket_and_buckets_rise(buckets in some_buckets()) {
        let sorted = sort_buckets(&buckets);
        for round in 0..buckets.rounds() {
            let key = |&t: &u32| (buckets.round(round)[t as usize], t);
            prop_assert!(sorted.order_of(round).windows(2).all(|w| key(&w[0]) < key(&w[1])));
            prop_assert_eq!(sorted.order_of(round), naive::sorted_order(buckets.round(round)));
        }
    }

    #[test]
    fn a_flat_sort_with_offsets_is_the_rounds_one_after_another(buckets in some_buckets()) {
        let sorted = sort_buckets(&buckets);
        let ids = buckets.with_offsets();
        let mut flat: Vec<usize> = (0..ids.len()).collect();
        flat.sort_by_key(|&i| ids[i]);
        let positions: Vec<u32> = flat.iter().map(|&i| (i % buckets.len()) as u32).collect();
        prop_assert_eq!(sorted.order(), positions);
    }

    #[test]
    fn a_bucket_lists_exactly_its_positions(buckets in some_buckets()) {
        let sorted = sort_buckets(&buckets);
        for round in 0..buckets.rounds() {
            for b in 0..buckets.num_buckets() as u32 + 2 {
                let ids = buckets.round(round);
                let expected: Vec<u32> =
                    (0..buckets.len() as u32).filter(|&t| ids[t as usize] == b).collect();
                prop_assert_eq!(sorted.bucket(round, b), expected);
            }
        }
    }
}
