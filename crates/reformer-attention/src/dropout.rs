//! Dropout of probabilities: a mask bit for every (round, query, key), whatever tile they meet in, so that the backward
//! pass and the naive twin find the same one.

use reformer_tensor::{Address, Key};

/// Where a head's masks are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub(crate) address: Address,
    pub(crate) rate: f32,
}

impl Dropout {
    /// The round under which the self-target of a lone row is masked.
    pub(crate) const ALONE: usize = usize::MAX;

    /// The key of one query's masks in one round.
    fn row(self, round: usize, query: usize) -> Key {
        self.address.sub(round as u64).sub(query as u64).key()
    }

    fn threshold(self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// 0 or `1/(1 − rate)`.
    pub(crate) fn factor(self, round: usize, query: usize, key: usize) -> f32 {
        let dropped = self.row(round, query).bits(key as u64) < self.threshold();
        if dropped { 0.0 } else { 1.0 / (1.0 - self.rate) }
    }

    /// Multiplies one query's row by its factors.
    #[inline(always)]
    pub(crate) fn apply(self, round: usize, query: usize, keys: &[u32], x: &mut [f32]) {
        let (row, threshold, keep) = (self.row(round, query), self.threshold(), 1.0 / (1.0 - self.rate));
        for (x, &key) in x.iter_mut().zip(keys) {
            *x *= if row.bits(u64::from(key)) < threshold { 0.0 } else { keep };
        }
    }
}
