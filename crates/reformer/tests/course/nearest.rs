//! Course 1, week 4: hash tables, planes that cut space, hashing by several planes, approximate nearest neighbours.

use reformer::lsh::knn::{self, Similarity};
use reformer::lsh::lookup::Lookup;
use reformer::lsh::{Buckets, HashFamily, Planes, hash_one, hash_vectors, sort_buckets};
use reformer::tensor::{Address, Cpu, Matrix, Purpose, Write, matmul_nt};

/// The bucket of a vector.
fn bucket(planes: &Planes, x: &[f32]) -> u32 {
    let mut out = [0];
    hash_one(x, planes, &mut out);
    out[0]
}

/// Planes given as a list of normal vectors.
fn planes(normals: &[[f32; 2]]) -> Planes {
    let by_dimension = (0..2).flat_map(|d| normals.iter().map(move |n| n[d])).collect();
    Planes::given(2, 1, normals.len(), by_dimension).unwrap()
}

#[test]
fn a_basic_hash_table_keeps_values_by_their_remainder_in_the_order_they_came() {
    let values = [100, 10, 14, 17, 97];
    let buckets = Buckets::given(1, 5, 10, values.iter().map(|v| v % 10).collect()).unwrap();
    let sorted = sort_buckets(&buckets);
    let table: Vec<(u32, u32)> =
        sorted.order_of(0).iter().map(|&at| (buckets.round(0)[at as usize], values[at as usize])).collect();
    assert_eq!(table, [(0, 100), (0, 10), (4, 14), (7, 17), (7, 97)]);
}

#[test]
fn the_side_of_a_plane_is_the_sign_of_a_dot_product_and_on_the_plane_it_is_zero() {
    let points = Matrix::from_vec(3, 2, vec![1.0, 2.0, -1.0, 1.0, -2.0, -1.0]);
    let normal = Matrix::from_vec(1, 2, vec![1.0, 1.0]);
    let mut dots = Matrix::zeros(3, 1);
    matmul_nt(&Cpu::single(), points.view(), normal.view(), Write::Overwrite, dots.view_mut());
    let side = |x: f32| if x == 0.0 { 0.0 } else { x.signum() };
    assert_eq!(dots.as_slice().iter().map(|&x| side(x)).collect::<Vec<_>>(), [1.0, 0.0, -1.0]);
}

#[test]
fn several_planes_make_one_number_in_which_plane_i_weighs_two_to_the_i_and_zero_counts_as_the_positive_side()
{
    // [2, 2] lies on the second plane.
    assert_eq!(bucket(&planes(&[[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]]), &[2.0, 2.0]), 3);
}

#[test]
fn three_random_planes_of_seed_0_put_the_vector_2_2_into_bucket_7() {
    let planes = planes(&[[1.764_052_3, 0.400_157_2], [0.978_738, 2.240_893_2], [1.867_558, -0.977_277_9]]);
    assert_eq!(bucket(&planes, &[2.0, 2.0]), 7, "all three sides are positive");
}

#[test]
fn the_nearest_neighbours_by_cosine_of_1_0_1_are_rows_2_0_and_4() {
    let base = Matrix::from_vec(
        5,
        3,
        vec![1.0, 0.0, 5.0, -2.0, 5.0, 3.0, 2.0, 0.0, 1.0, 6.0, -9.0, 5.0, 9.0, 9.0, 9.0],
    );
    let query = Matrix::from_vec(1, 3, vec![1.0, 0.0, 1.0]);
    let found = knn::exact(&Cpu::single(), base.view(), query.view(), 3, Similarity::Cosine).unwrap();
    assert_eq!(found[0].iter().map(|n| n.id).collect::<Vec<_>>(), [2, 0, 4]);
}

#[test]
fn ten_planes_of_300_dimensions_hash_the_course_s_vector_to_768() {
    let json: serde_json::Value = serde_json::from_str(include_str!("ten_planes.json")).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
    };
    let vector = numbers(&json["vector"]);
    let normals: Vec<f32> = json["planes"].as_array().unwrap().iter().flat_map(numbers).collect();
    let planes = Planes::given(300, 1, 10, normals).unwrap();
    assert_eq!(bucket(&planes, &vector), 768);
    assert_eq!(json["bucket"], 768);
}

/// Vectors in clusters, as documents of a few topics are.
fn documents(count: usize, dim: usize) -> Matrix {
    let place = Address::new(1, Purpose::Test);
    let (mut topics, mut noise) = (Matrix::zeros(40, dim), Matrix::zeros(count, dim));
    place.sub(0).fill_normal(topics.as_mut_slice());
    place.sub(1).fill_normal(noise.as_mut_slice());
    Matrix::from_fn(count, dim, |i, d| topics.row(i % 40)[d] + 0.5 * noise.row(i)[d])
}

#[test]
fn a_hash_table_of_ten_planes_has_1024_buckets_and_every_vector_is_in_exactly_one() {
    let (cpu, base) = (Cpu::single(), documents(2000, 30));
    let planes = Planes::draw(0, 0, 0, 30, 1, 10).unwrap();
    assert_eq!(planes.num_buckets(), 1024);
    let sorted = sort_buckets(&hash_vectors(&cpu, base.view(), &planes, None).unwrap());
    let mut members: Vec<u32> = sorted.order_of(0).to_vec();
    members.sort_unstable();
    assert!(members.iter().copied().eq(0..2000), "each once");
}

#[test]
fn approximate_neighbours_come_from_the_union_of_the_query_s_buckets_over_all_universes() {
    let (cpu, base) = (Cpu::single(), documents(2000, 30));
    let planes = Planes::draw(0, 0, 0, 30, 5, 7).unwrap();
    let buckets = hash_vectors(&cpu, base.view(), &planes, None).unwrap();
    let lookup = Lookup::build(&cpu, base.view(), planes, Similarity::Cosine).unwrap();
    let of_query: Vec<u32> = (0..5).map(|universe| buckets.round(universe)[0]).collect();
    let mut candidates = lookup.candidates(&of_query);
    candidates.sort_unstable();
    let shares = |id: usize| (0..5).any(|universe| buckets.round(universe)[id] == of_query[universe]);
    assert!(candidates.iter().map(|&id| id as usize).eq((0..2000).filter(|&id| shares(id))));

    // Of a vector that is itself in the table one asks for one neighbour more and leaves its own id out.
    let found = lookup.query(&cpu, base.view().rows_range(0..1), 4).unwrap();
    assert_eq!(found.candidates[0], candidates.len());
    let ids: Vec<u32> = found.neighbours[0].iter().map(|n| n.id).filter(|&id| id != 0).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id % 40 == 0), "neighbours are of the query's topic: {ids:?}");
}
