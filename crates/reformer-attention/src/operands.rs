//! Where batches and heads lie in a matrix, the operands of a call, and their cutting into one piece per head.
//!
//! # Shapes
//! - every matrix: `[batch·len, heads·head_dim]`; row `b·len + t`, columns `h·head_dim..(h+1)·head_dim`
//! - `z`: `[batch·heads, len]`; token mask: `[batch, len]`; pair mask: `[batch, len, len]`

use reformer_tensor::elementwise::all_finite;
use reformer_tensor::{Address, Cpu, View, ViewMut};

use crate::error::{AttentionError, Result};

/// The sizes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sequences.
    pub batch: usize,
    /// Positions of each.
    pub len: usize,
    /// Heads.
    pub heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
}

impl Layout {
    /// Rows of every matrix.
    pub const fn rows(&self) -> usize {
        self.batch * self.len
    }

    /// Columns of every matrix.
    pub const fn cols(&self) -> usize {
        self.heads * self.head_dim
    }

    /// `batch·heads`: independent pieces of work.
    pub const fn head_count(&self) -> usize {
        self.batch * self.heads
    }

    /// One head of one sequence, `[len, head_dim]`; `index = b·heads + h`.
    pub fn head<'a>(&self, matrix: View<'a>, index: usize) -> View<'a> {
        let (b, h) = (index / self.heads, index % self.heads);
        matrix
            .rows_range(b * self.len..(b + 1) * self.len)
            .columns(h * self.head_dim..(h + 1) * self.head_dim)
    }

    /// All heads of a matrix to write, in the order of [`Layout::head`].
    pub fn heads_mut<'a>(&self, matrix: ViewMut<'a>) -> Vec<ViewMut<'a>> {
        // A matrix without rows or columns cannot be cut into pieces of zero.
        if self.head_count() == 0 || self.len == 0 || self.head_dim == 0 {
            return Vec::new();
        }
        matrix.row_panels(self.len).into_iter().flat_map(|rows| rows.split_columns(self.head_dim)).collect()
    }

    pub(crate) fn check(&self, what: &'static str, got_rows: usize, got_cols: usize) -> Result<()> {
        let (rows, cols) = (self.rows(), self.cols());
        if (got_rows, got_cols) == (rows, cols) {
            return Ok(());
        }
        Err(AttentionError::Shape { what, got_rows, got_cols, rows, cols })
    }

    pub(crate) fn check_view(&self, what: &'static str, view: View<'_>) -> Result<()> {
        self.check(what, view.rows(), view.cols())
    }
}

pub(crate) fn check_count(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(AttentionError::Count { what, got, expected })
}

/// Looks for the first NaN or infinity of a matrix that is known or suspected to hold one.
pub(crate) fn check_finite(cpu: &Cpu, what: &'static str, view: View<'_>) -> Result<()> {
    const ROWS: usize = 256;
    let panels: Vec<_> = view.row_panels(ROWS).into_iter().enumerate().collect();
    // The first in the order of rows, whichever thread finds one first: the message must not change from run to run.
    let first = cpu.threads.map(panels, |(p, panel)| {
        (0..panel.rows()).find(|&i| !all_finite(panel.row(i))).map(|i| p * ROWS + i)
    });
    let Some(row) = first.into_iter().flatten().next() else { return Ok(()) };
    let col = view.row(row).iter().position(|x| !x.is_finite());
    let col = col.expect("a row that is not finite holds such a number");
    Err(AttentionError::NonFinite { what, value: view.row(row)[col], row, col })
}

/// Who may be seen, by position.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masks<'a> {
    /// `[batch, len]`, true for tokens, false for padding. Padded keys are seen by nobody.
    pub tokens: Option<&'a [bool]>,
    /// `[batch, len, len]`, true where the query (row) may see the key (column).
    pub pairs: Option<&'a [bool]>,
}

impl<'a> Masks<'a> {
    /// Padding only.
    pub const fn tokens(tokens: Option<&'a [bool]>) -> Self {
        Self { tokens, pairs: None }
    }

    fn check(&self, layout: &Layout) -> Result<()> {
        if let Some(tokens) = self.tokens {
            check_count("token mask", tokens.len(), layout.rows())?;
        }
        if let Some(pairs) = self.pairs {
            check_count("pair mask", pairs.len(), layout.rows() * layout.len)?;
        }
        Ok(())
    }

    pub(crate) fn of_head(&self, layout: &Layout, index: usize) -> Masks<'a> {
        let (b, len) = (index / layout.heads, layout.len);
        Masks {
            tokens: self.tokens.map(|t| &t[b * len..(b + 1) * len]),
            pairs: self.pairs.map(|p| &p[b * len * len..(b + 1) * len * len]),
        }
    }
}

/// What attention is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Queries, or the shared query/key vectors.
    pub q: View<'a>,
    /// Keys, unless shared.
    pub k: Option<View<'a>>,
    /// Values.
    pub v: View<'a>,
    /// Padding and pairs.
    pub masks: Masks<'a>,
    /// Where this call's dropout masks are; `None` switches dropout off.
    pub dropout: Option<Address>,
}

impl<'a> Inputs<'a> {
    /// Shared queries and keys, no masks, no dropout.
    pub fn shared(qk: View<'a>, v: View<'a>) -> Self {
        Self { q: qk, k: None, v, masks: Masks::default(), dropout: None }
    }

    /// Separate queries and keys, no masks, no dropout.
    pub fn separate(q: View<'a>, k: View<'a>, v: View<'a>) -> Self {
        Self { k: Some(k), ..Self::shared(q, v) }
    }

    /// The same with a token mask.
    pub fn with_tokens(mut self, tokens: Option<&'a [bool]>) -> Self {
        self.masks.tokens = tokens;
        self
    }

    /// The same with dropout at an address.
    pub fn with_dropout(mut self, address: Option<Address>) -> Self {
        self.dropout = address;
        self
    }

    pub(crate) fn check(&self, layout: &Layout, shared: bool) -> Result<()> {
        if shared && self.k.is_some() {
            return Err(AttentionError::Keys(
                "keys are given, but the configuration shares queries and keys; pass None",
            ));
        }
        if !shared && self.k.is_none() {
            return Err(AttentionError::Keys("separate keys are configured, but none are given"));
        }
        self.masks.check(layout)?;
        for (what, view) in [("q", Some(self.q)), ("k", self.k), ("v", Some(self.v))] {
            let Some(view) = view else { continue };
            layout.check_view(what, view)?;
        }
        Ok(())
    }

    /// Reports the first NaN or infinity.
    pub(crate) fn check_finite(&self, cpu: &Cpu) -> Result<()> {
        for (what, view) in [("q", Some(self.q)), ("k", self.k), ("v", Some(self.v))] {
            view.map_or(Ok(()), |view| check_finite(cpu, what, view))?;
        }
        Ok(())
    }
}

/// What the backward pass knows of the forward pass and of the loss.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// The forward pass's output.
    pub out: View<'a>,
    /// The forward pass's logsumexp of every row.
    pub z: &'a [f32],
    /// The gradient of the loss with respect to the output.
    pub dout: View<'a>,
}

impl Upstream<'_> {
    pub(crate) fn check(&self, layout: &Layout) -> Result<()> {
        layout.check_view("out", self.out)?;
        layout.check_view("dout", self.dout)?;
        check_count("z", self.z.len(), layout.head_count() * layout.len)
    }
}

/// Where gradients are added to.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the queries, or of the shared query/key vectors.
    pub dq: ViewMut<'a>,
    /// Of the keys, unless shared.
    pub dk: Option<ViewMut<'a>>,
    /// Of the values.
    pub dv: ViewMut<'a>,
}

impl<'a> Gradients<'a> {
    pub(crate) fn check(&self, layout: &Layout, shared: bool) -> Result<()> {
        if shared == self.dk.is_some() {
            return Err(AttentionError::Keys("dk must be given exactly where keys are"));
        }
        layout.check_view("dq", self.dq.as_view())?;
        layout.check_view("dv", self.dv.as_view())?;
        self.dk.as_ref().map_or(Ok(()), |dk| layout.check_view("dk", dk.as_view()))
    }

    pub(crate) fn into_heads(self, layout: &Layout) -> Vec<Gradients<'a>> {
        let dq = layout.heads_mut(self.dq);
        let dv = layout.heads_mut(self.dv);
        // One entry a head in any case, so that the three can be gone through side by side.
        let dk: Vec<_> = match self.dk {
            Some(dk) => layout.heads_mut(dk).into_iter().map(Some).collect(),
            None => dq.iter().map(|_| None).collect(),
        };
        dq.into_iter().zip(dk).zip(dv).map(|((dq, dk), dv)| Gradients { dq, dk, dv }).collect()
    }
}
