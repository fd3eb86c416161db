//! Contracts of the nearest-neighbour search and of the LSH lookup.

use reformer_lsh::{
    BucketCount, LshError, Planes, Rotations,
    knn::{self, Similarity},
    lookup::Lookup,
    naive,
};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::numbers::{normal, whole_numbers};

fn ids(list: &[knn::Neighbour]) -> Vec<u32> {
    list.iter().map(|n| n.id).collect()
}

#[test]
fn exact_search_equals_its_naive_twin_and_ties_go_to_the_smaller_id() {
    let cpu = Cpu::new(2).unwrap();
    // Whole numbers make many equal scores; 4200 rows make two base blocks.
    let (base, queries) = (whole_numbers(1, 4200, 3), whole_numbers(2, 20, 3));
    let found = knn::exact(&cpu, base.view(), queries.view(), 7, Similarity::Dot).unwrap();
    let rows: Vec<Vec<f32>> = (0..base.rows()).map(|i| base.row(i).to_vec()).collect();
    for (q, found) in found.iter().enumerate() {
        assert_eq!(ids(found), naive::nearest(&rows, queries.row(q), 7), "query {q}");
    }
}

#[test]
fn cosine_ignores_length_and_gives_zero_vectors_zero() {
    let cpu = Cpu::new(1).unwrap();
    let base = Matrix::from_vec(4, 2, vec![0.0, 0.0, 100.0, 1.0, 0.1, 0.1, -3.0, 0.0]);
    let query = Matrix::from_vec(1, 2, vec![5.0, 5.0]);
    let found = knn::exact(&cpu, base.view(), query.view(), 9, Similarity::Cosine).unwrap();
    assert_eq!(ids(&found[0]), [2, 1, 0, 3]);
    assert!((found[0][0].score - 1.0).abs() < 1e-6 && found[0][2].score == 0.0);
}

#[test]
fn searching_nothing_for_nothing_is_not_an_error_but_other_widths_are() {
    let cpu = Cpu::new(1).unwrap();
    let (empty, some) = (Matrix::zeros(0, 3), normal(1, 2, 3));
    let search = |base: &Matrix, queries: &Matrix, k| {
        knn::exact(&cpu, base.view(), queries.view(), k, Similarity::Dot)
    };
    assert_eq!(search(&empty, &some, 3).unwrap(), vec![vec![], vec![]]);
    assert!(search(&some, &empty, 3).unwrap().is_empty());
    assert_eq!(search(&some, &some, 0).unwrap(), vec![vec![], vec![]]);
    let error = search(&some, &normal(1, 2, 4), 1).unwrap_err();
    assert_eq!(error, LshError::Width { what: "the base vectors", got: 4, expected: 3 });
}

#[test]
fn a_nan_score_comes_last() {
    let cpu = Cpu::new(1).unwrap();
    let base = Matrix::from_vec(3, 1, vec![f32::NAN, -1.0, 2.0]);
    let query = Matrix::from_vec(1, 1, vec![1.0]);
    let found = knn::exact(&cpu, base.view(), query.view(), 3, Similarity::Dot).unwrap();
    assert_eq!(ids(&found[0]), [2, 1, 0]);
}

#[test]
fn the_lookup_compares_exactly_the_vectors_that_share_a_bucket() {
    let cpu = Cpu::new(2).unwrap();
    let (base, queries) = (normal(3, 500, 6), normal(4, 40, 6));
    let count = BucketCount::new(&[16]).unwrap();
    let family = Rotations::draw(5, 0, 0, 6, 3, &count).unwrap();
    let hash = |x: &Matrix| reformer_lsh::hash_vectors(&cpu, x.view(), &family, None).unwrap();
    let (of_base, of_queries) = (hash(&base), hash(&queries));
    let lookup = Lookup::build(&cpu, base.view(), family.clone(), Similarity::Cosine).unwrap();
    let found = lookup.query(&cpu, queries.view(), 5).unwrap();
    let all = knn::exact(&cpu, base.view(), queries.view(), 500, Similarity::Cosine).unwrap();
    for (q, all) in all.iter().enumerate() {
        let shares = |id: u32| (0..3).any(|r| of_base.round(r)[id as usize] == of_queries.round(r)[q]);
        let buckets: Vec<u32> = (0..3).map(|r| of_queries.round(r)[q]).collect();
        let mut candidates = lookup.candidates(&buckets);
        candidates.sort_unstable();
        let expected: Vec<u32> = (0..500).filter(|&id| shares(id)).collect();
        assert_eq!(candidates, expected);
        assert_eq!(found.candidates[q], expected.len());
        let best: Vec<u32> = ids(all).into_iter().filter(|&id| shares(id)).take(5).collect();
        assert_eq!(ids(&found.neighbours[q]), best, "query {q}");
    }
}

#[test]
fn more_rounds_find_more_and_either_family_beats_chance() {
    let cpu = Cpu::new(2).unwrap();
    let (base, queries) = (normal(6, 2000, 16), normal(7, 50, 16));
    let truth = knn::exact(&cpu, base.view(), queries.view(), 10, Similarity::Cosine).unwrap();
    let count = BucketCount::new(&[16]).unwrap();
    let recall = |rounds| {
        let family = Rotations::draw(8, 0, 0, 16, rounds, &count).unwrap();
        let lookup = Lookup::build(&cpu, base.view(), family, Similarity::Cosine).unwrap();
        let found = lookup.query(&cpu, queries.view(), 10).unwrap();
        let looked_at = found.candidates.iter().sum::<usize>() as f64 / (50.0 * 2000.0);
        (knn::recall(&truth, &found.neighbours), looked_at)
    };
    let (one, four, many) = (recall(1), recall(4), recall(16));
    assert!(one.0 < four.0 && four.0 < many.0, "{one:?} {four:?} {many:?}");
    assert!(four.0 > 1.5 * four.1, "recall {} from {} of the vectors", four.0, four.1);

    let planes = Planes::draw(8, 0, 0, 16, 4, 4).unwrap();
    let lookup = Lookup::build(&cpu, base.view(), planes, Similarity::Cosine).unwrap();
    let found = lookup.query(&cpu, queries.view(), 10).unwrap();
    let looked_at = found.candidates.iter().sum::<usize>() as f64 / (50.0 * 2000.0);
    assert!(knn::recall(&truth, &found.neighbours) > 1.5 * looked_at);
}

#[test]
fn an_empty_lookup_answers_with_nothing() {
    let cpu = Cpu::new(1).unwrap();
    let family = Planes::draw(0, 0, 0, 3, 2, 2).unwrap();
    let lookup = Lookup::build(&cpu, Matrix::zeros(0, 3).view(), family, Similarity::Dot).unwrap();
    assert!(lookup.is_empty());
    let found = lookup.query(&cpu, normal(0, 2, 3).view(), 4).unwrap();
    assert_eq!(found.neighbours, vec![vec![], vec![]]);
    assert!(lookup.query(&cpu, normal(0, 2, 4).view(), 4).is_err());
}
