//! The same definitions in the plainest form, for tests and for reading.

use reformer_tensor::Real;

/// `argmax [xR; −xR]` per factor, mixed radix with the first factor as low digit: the bucket of `x` in one round.
///
/// `rotations` is `[dim, Σf/2]` of that round. The concatenation is written out and searched for its first maximum.
pub fn cross_polytope<T: Real>(x: &[T], rotations: &[T], factors: &[usize]) -> u32 {
    let columns = factors.iter().sum::<usize>() / 2;
    let (mut bucket, mut weight, mut offset) = (0, 1, 0);
    for &factor in factors {
        let axis =
            |c: usize| x.iter().enumerate().map(|(d, &v)| v * rotations[d * columns + offset + c]).sum::<T>();
        let rotated: Vec<T> = (0..factor / 2).map(axis).collect();
        let both: Vec<T> = rotated.iter().copied().chain(rotated.iter().map(|&v| -v)).collect();
        let mut at = 0;
        for (i, v) in both.iter().enumerate() {
            if *v > both[at] {
                at = i;
            }
        }
        bucket += weight * at;
        weight *= factor;
        offset += factor / 2;
    }
    bucket as u32
}

/// `Σ_i 2^i·[x·r_i ≥ 0]` with `normals [dim, planes]`.
pub fn sign_planes<T: Real>(x: &[T], normals: &[T], planes: usize) -> u32 {
    let dot = |i: usize| x.iter().enumerate().map(|(d, &v)| v * normals[d * planes + i]).sum::<T>();
    (0..planes).map(|i| u32::from(dot(i) >= T::zero()) << i).sum()
}

/// Positions sorted by the key `len·bucket + position`, as the other implementations do it.
pub fn sorted_order(buckets: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..buckets.len() as u32).collect();
    order.sort_by_key(|&t| buckets.len() as u64 * u64::from(buckets[t as usize]) + u64::from(t));
    order
}

/// Ids of the `k` largest dot products, equal ones by rising id.
pub fn nearest<T: Real>(base: &[Vec<T>], query: &[T], k: usize) -> Vec<u32> {
    let score = |b: &[T]| b.iter().zip(query).map(|(&x, &y)| x * y).sum::<T>();
    let mut all: Vec<(T, u32)> = base.iter().zip(0..).map(|(b, id)| (score(b), id)).collect();
    all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
    all.into_iter().take(k).map(|(_, id)| id).collect()
}
