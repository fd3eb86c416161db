//! What the attention sublayer holds at one time: some batch rows, some heads.
//!
//! Short rows go together, up to 4,096 tokens, with all their heads. Of a long row only a few heads are projected,
//! attended and put back at a time: `f(x) = Σ_h out_h·Wo_hᵀ` is a sum over heads, and so is every gradient, so
//! nothing of all heads has to exist. Which rows and heads go together depends on sizes alone, and sums are taken in
//! the portions' order.

use std::ops::Range;

/// Tokens that short rows are brought together to.
// Each short row alone would make products of a few hundred tokens, and every product packs its weights anew.
const TOGETHER: usize = 4096;
/// Numbers of one projection of one portion: 32 MiB.
// Six such matrices are the working set, 206 MB at 128k tokens; with all heads at once it was eight of `[len, h]`.
const HELD: usize = 1 << 23;
/// Tokens whose layer norm is held, and that a product works on, at a time.
pub(crate) const TOKENS_PER_PRODUCT: usize = 4096;

/// Some rows and some heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    /// Its place among all portions of the layer.
    pub(crate) index: usize,
    /// Batch rows.
    pub(crate) rows: Range<usize>,
    /// Heads.
    pub(crate) heads: Range<usize>,
}

/// Rows and heads of the first portion, which is the largest. Without a list of the others, which a formula of memory
/// may ask for any number of rows.
pub(crate) fn of_a_portion(rows: usize, len: usize, heads: usize, head_dim: usize) -> (usize, usize) {
    let rows_each = (TOGETHER / len).clamp(1, rows);
    (rows_each, (HELD / rows_each.saturating_mul(len).saturating_mul(head_dim)).clamp(1, heads))
}

/// All portions of `rows` rows of `len` tokens: groups of rows, and of each its groups of heads.
pub(crate) fn portions(rows: usize, len: usize, heads: usize, head_dim: usize) -> Vec<Portion> {
    // From sizes alone, never from the number of threads: the order of the sums, and so every bit, follows from the
    // cuts.
    let (rows_each, heads_each) = of_a_portion(rows, len, heads, head_dim);
    let mut portions = Vec::with_capacity(rows.div_ceil(rows_each) * heads.div_ceil(heads_each));
    for row in (0..rows).step_by(rows_each) {
        for head in (0..heads).step_by(heads_each) {
            portions.push(Portion {
                index: portions.len(),
                rows: row..rows.min(row + rows_each),
                heads: head..heads.min(head + heads_each),
            });
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_cover_every_row_and_head_once_and_hold_little() {
        for (rows, len, heads, dim) in
            [(1, 1, 2, 8), (7, 900, 3, 64), (2, 16_384, 8, 64), (1, 1 << 20, 8, 64)]
        {
            let all = portions(rows, len, heads, dim);
            let mut seen = vec![0; rows * heads];
            for (i, portion) in all.iter().enumerate() {
                assert_eq!(portion.index, i);
                let numbers = portion.rows.len() * len * portion.heads.len() * dim;
                assert!(numbers <= HELD || (portion.rows.len(), portion.heads.len()) == (1, 1));
                for row in portion.rows.clone() {
                    portion.heads.clone().for_each(|head| seen[row * heads + head] += 1);
                }
            }
            assert!(seen.iter().all(|&count| count == 1), "{rows} {len} {heads}");
        }
    }

    #[test]
    fn a_million_tokens_are_attended_a_head_at_a_time_and_a_thousand_all_at_once() {
        assert_eq!(portions(1, 1 << 20, 8, 64).len(), 8);
        assert_eq!(portions(4, 1024, 8, 64).len(), 1);
        assert_eq!(portions(1, 1 << 16, 8, 64)[1].heads, 2..4);
    }
}
