//! Keys and values of one layer, position after position, in pages that copies share.
//!
//! A page holds [`PAGE`] positions of all heads; a position's key and value stand side by side, since whoever reads the
//! one reads the other:
//!
//! ```text
//! page: [heads][PAGE][ k (dim) | v (dim) ]        f32 or bf16
//! ```
//! Keys are stored as attention uses them: scaled, or normalised where queries and keys are shared.
//!
//! Cloning shares every page (a fork of a conversation); writing to a page that somebody else holds too copies that
//! page alone. Appending never moves what is there. Pages before a position can be given back (a local layer's ring).

use std::sync::Arc;

use reformer_tensor::simd::prefetch;
use reformer_tensor::{Bf16, Element, Precision, View, tile};

use crate::config::Keys;
use crate::error::{AttentionError, Result};

/// Positions of a page.
pub const PAGE: usize = 64;

/// A page, `None` where it was given back.
type Pages<E> = Vec<Option<Arc<[E]>>>;

#[derive(Clone, Debug)]
enum Stored {
    F32(Pages<f32>),
    Bf16(Pages<Bf16>),
}

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub struct KeyValues {
    heads: usize,
    dim: usize,
    len: usize,
    /// Pages before this one are given back.
    first_page: usize,
    stored: Stored,
}

impl KeyValues {
    /// No positions.
    pub fn new(heads: usize, dim: usize, storage: Precision) -> Self {
        let stored = match storage {
            Precision::F32 => Stored::F32(Vec::new()),
            Precision::Bf16 => Stored::Bf16(Vec::new()),
        };
        Self { heads, dim, len: 0, first_page: 0, stored }
    }

    /// Positions so far, those given back included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No positions.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first position that is still there.
    pub fn first_kept(&self) -> usize {
        self.first_page * PAGE
    }

    /// Heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Columns of a head.
    pub fn head_dim(&self) -> usize {
        self.dim
    }

    /// The number type.
    pub fn storage(&self) -> Precision {
        match self.stored {
            Stored::F32(_) => Precision::F32,
            Stored::Bf16(_) => Precision::Bf16,
        }
    }

    /// Heap bytes held, shared pages included.
    pub fn bytes(&self) -> usize {
        fn of<E>(pages: &Pages<E>) -> usize {
            let held: usize = pages.iter().flatten().map(|page| size_of_val::<[E]>(page)).sum();
            held + pages.capacity() * size_of::<Option<Arc<[E]>>>()
        }
        match &self.stored {
            Stored::F32(pages) => of(pages),
            Stored::Bf16(pages) => of(pages),
        }
    }

    /// Bytes that each further position takes.
    pub fn bytes_per_position(&self) -> usize {
        self.heads * 2 * self.dim * self.storage().width()
    }

    /// Adds positions: rows `[n, heads·dim]` of what keys are made of, and of values.
    pub fn extend(&mut self, k: View<'_>, v: View<'_>, keys: Keys) -> Result<()> {
        let cols = self.heads * self.dim;
        for (what, view) in [("k", k), ("v", v)] {
            if (view.rows(), view.cols()) != (k.rows(), cols) {
                let (got_rows, got_cols) = (view.rows(), view.cols());
                return Err(AttentionError::Shape { what, got_rows, got_cols, rows: k.rows(), cols });
            }
        }
        let shape = (self.heads, self.dim, self.len);
        match &mut self.stored {
            Stored::F32(pages) => append(pages, shape, k, v, keys),
            Stored::Bf16(pages) => append(pages, shape, k, v, keys),
        }
        self.len += k.rows();
        Ok(())
    }

    /// Forgets all positions from `len` on.
    ///
    /// # Panics
    /// If `len` itself lies among the positions given back: the caller asks [`Self::first_kept`] first.
    #[track_caller]
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        assert!(len >= self.first_kept(), "truncating to a position that was given back");
        self.len = len;
        let pages = len.div_ceil(PAGE);
        match &mut self.stored {
            Stored::F32(stored) => stored.truncate(pages),
            Stored::Bf16(stored) => stored.truncate(pages),
        }
    }

    /// Gives back the pages that hold nothing from `position` on.
    pub fn forget_before(&mut self, position: usize) {
        // Whole pages only: half a page cannot be given back, and a copy of the rest would move what others share.
        let end = position.min(self.len) / PAGE;
        for page in self.first_page..end {
            match &mut self.stored {
                Stored::F32(pages) => pages[page] = None,
                Stored::Bf16(pages) => pages[page] = None,
            }
        }
        self.first_page = self.first_page.max(end);
    }

    /// The bytes of all positions still there, `[positions, heads, 2·dim]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.stored {
            Stored::F32(pages) => self.bytes_of(pages),
            Stored::Bf16(pages) => self.bytes_of(pages),
        }
    }

    fn bytes_of<E: Element>(&self, pages: &Pages<E>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.len - self.first_kept()) * self.bytes_per_position());
        // Position by position, not page by page: a file does not depend on the size of pages.
        for position in self.first_kept()..self.len {
            for head in 0..self.heads {
                bytes.extend_from_slice(E::bytes(row(pages, self.dim, head, position)));
            }
        }
        bytes
    }

    /// What [`Self::to_bytes`] gave, for `len` positions of which those from `first` on are there.
    pub fn from_bytes(
        (heads, dim): (usize, usize),
        storage: Precision,
        (first, len): (usize, usize),
        bytes: &[u8],
    ) -> Result<Self> {
        let mut rows = Self::new(heads, dim, storage);
        let count = len.saturating_sub(first) * rows.bytes_per_position();
        if bytes.len() != count || !first.is_multiple_of(PAGE) {
            return Err(AttentionError::Count { what: "keys and values", got: bytes.len(), expected: count });
        }
        (rows.len, rows.first_page) = (len, first / PAGE);
        match &mut rows.stored {
            Stored::F32(pages) => *pages = paged(heads, dim, first, len, bytes),
            Stored::Bf16(pages) => *pages = paged(heads, dim, first, len, bytes),
        }
        Ok(rows)
    }

    /// `out` = the softmax-weighted values of `candidates`, positions that are kept, of which there is at least one;
    /// the scores are left in `scores`.
    pub fn attend(
        &self,
        head: usize,
        q: &[f32],
        candidates: impl Iterator<Item = u32>,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        match &self.stored {
            Stored::F32(pages) => self.attend_in(pages, head, q, candidates, scores, out),
            Stored::Bf16(pages) => self.attend_in(pages, head, q, candidates, scores, out),
        }
    }

    fn attend_in<E: Element>(
        &self,
        pages: &Pages<E>,
        head: usize,
        q: &[f32],
        candidates: impl Iterator<Item = u32>,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        // In a long context every row is a miss of the caches: all are asked for before the first is read.
        let asked = |row: &&[E]| prefetch(row);
        let rows = candidates.map(|j| row(pages, self.dim, head, j as usize)).inspect(asked);
        let rows: Vec<&[E]> = rows.collect();
        scores.clear();
        scores.resize(rows.len(), 0.0);
        tile::gathered_dots(q, &rows, scores);
        // One pass each for maximum, sum and values: the scores are few and in the cache, the rows are not read again.
        let max = tile::row_max(scores);
        let sum = tile::row_exp_sum(scores, max);
        tile::gathered_sum(scores, &rows, self.dim, out);
        tile::scale(out, 1.0 / sum);
    }

    /// `out` = the value at a position that is kept.
    pub fn value(&self, head: usize, position: usize, out: &mut [f32]) {
        fn widen<E: Element>(row: &[E], out: &mut [f32]) {
            out.iter_mut().zip(row).for_each(|(o, x)| *o = x.get());
        }
        match &self.stored {
            Stored::F32(pages) => widen(&row(pages, self.dim, head, position)[self.dim..], out),
            Stored::Bf16(pages) => widen(&row(pages, self.dim, head, position)[self.dim..], out),
        }
    }
}

/// Key and value of one head at a position.
#[inline]
fn row<E>(pages: &Pages<E>, dim: usize, head: usize, position: usize) -> &[E] {
    let page = pages[position / PAGE].as_ref().expect("steps reach only positions that are kept");
    &page[(head * PAGE + position % PAGE) * 2 * dim..][..2 * dim]
}

fn append<E: Element>(
    pages: &mut Pages<E>,
    (heads, dim, len): (usize, usize, usize),
    k: View<'_>,
    v: View<'_>,
    keys: Keys,
) {
    for t in 0..k.rows() {
        let position = len + t;
        // Pages come one at a time as positions do: a state must not reserve for a context that may never come.
        if position / PAGE == pages.len() {
            pages.push(Some(std::iter::repeat_n(E::default(), heads * PAGE * 2 * dim).collect()));
        }
        let page = pages[position / PAGE].as_mut().expect("the last page is never given back");
        // Copies the page if a fork holds it too, and only then.
        let page = Arc::make_mut(page);
        for head in 0..heads {
            let columns = head * dim..(head + 1) * dim;
            let (x, value) = (&k.row(t)[columns.clone()], &v.row(t)[columns]);
            // Scaled now, once, instead of at each of the steps that will read it.
            let scale = keys.scale(x);
            let (to_k, to_v) = page[(head * PAGE + position % PAGE) * 2 * dim..][..2 * dim].split_at_mut(dim);
            to_k.iter_mut().zip(x).for_each(|(k, &x)| *k = E::of(scale * x));
            to_v.iter_mut().zip(value).for_each(|(v, &x)| *v = E::of(x));
        }
    }
}

fn paged<E: Element>(heads: usize, dim: usize, first: usize, len: usize, bytes: &[u8]) -> Pages<E> {
    let width = 2 * dim * size_of::<E>();
    let mut pages: Pages<E> = vec![None; len.div_ceil(PAGE)];
    for (at, position) in (first..len).enumerate() {
        let fresh = || std::iter::repeat_n(E::default(), heads * PAGE * 2 * dim).collect();
        let page = Arc::make_mut(pages[position / PAGE].get_or_insert_with(fresh));
        for head in 0..heads {
            let from = &bytes[(at * heads + head) * width..][..width];
            let to = &mut page[(head * PAGE + position % PAGE) * 2 * dim..][..2 * dim];
            E::bytes_mut(to).copy_from_slice(from);
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use reformer_tensor::Matrix;

    use super::*;
    use crate::config::KeyNorm;

    fn filled(len: usize, storage: Precision) -> KeyValues {
        let mut rows = KeyValues::new(2, 3, storage);
        let x = Matrix::from_fn(len, 6, |i, j| (i * 6 + j) as f32);
        rows.extend(x.view(), x.view(), Keys::Separate).unwrap();
        rows
    }

    fn value(rows: &KeyValues, head: usize, position: usize) -> [f32; 3] {
        let mut out = [0.0; 3];
        rows.value(head, position, &mut out);
        out
    }

    #[test]
    fn a_fork_shares_pages_until_one_side_writes() {
        let mut original = filled(PAGE + 3, Precision::F32);
        let fork = original.clone();
        let Stored::F32(pages) = &fork.stored else { panic!("stored as asked") };
        assert!(pages.iter().flatten().all(|page| Arc::strong_count(page) == 2));
        let one = Matrix::from_fn(1, 6, |_, _| -1.0);
        original.truncate(PAGE + 2);
        original.extend(one.view(), one.view(), Keys::Separate).unwrap();
        assert_eq!(value(&original, 1, PAGE + 2), [-1.0; 3]);
        assert_eq!(value(&fork, 1, PAGE + 2), [399.0, 400.0, 401.0]);
        let counts: Vec<usize> = pages.iter().flatten().map(Arc::strong_count).collect();
        assert_eq!(counts, [2, 1], "the first page is still shared");
    }

    #[test]
    fn pages_are_given_back_whole_and_the_rest_stays() {
        let mut rows = filled(4 * PAGE, Precision::Bf16);
        let all = rows.bytes();
        rows.forget_before(2 * PAGE + 5);
        assert_eq!(rows.first_kept(), 2 * PAGE);
        assert!(rows.bytes() < all * 3 / 5);
        assert_eq!(value(&rows, 0, 2 * PAGE), [768.0; 3]);
        rows.forget_before(0);
        assert_eq!(rows.first_kept(), 2 * PAGE);
    }

    #[test]
    fn bytes_go_out_and_come_back() {
        for storage in [Precision::F32, Precision::Bf16] {
            let mut rows = filled(3 * PAGE + 7, storage);
            rows.forget_before(PAGE);
            let bytes = rows.to_bytes();
            let back = KeyValues::from_bytes((2, 3), storage, (PAGE, rows.len()), &bytes).unwrap();
            assert_eq!((back.len(), back.first_kept(), back.to_bytes()), (rows.len(), PAGE, bytes.clone()));
            assert!(KeyValues::from_bytes((2, 3), storage, (PAGE, rows.len()), &bytes[1..]).is_err());
        }
    }

    #[test]
    fn keys_are_stored_as_attention_uses_them() {
        let mut rows = KeyValues::new(1, 2, Precision::F32);
        let x = Matrix::from_vec(1, 2, vec![3.0, 4.0]);
        rows.extend(x.view(), x.view(), Keys::Shared(KeyNorm::Rms)).unwrap();
        let (mut scores, mut out) = (Vec::new(), [0.0; 2]);
        rows.attend(0, &[1.0, 0.0], std::iter::once(0), &mut scores, &mut out);
        assert_eq!(out, [3.0, 4.0]);
        let Stored::F32(pages) = &rows.stored else { panic!("stored as asked") };
        assert!((row(pages, 2, 0, 0)[0] - 0.6).abs() < 1e-6);
        let wrong = Matrix::zeros(1, 3);
        assert!(rows.extend(wrong.view(), wrong.view(), Keys::Separate).is_err());
    }
}
