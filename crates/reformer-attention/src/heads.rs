//! From a call to its heads: one piece of work per head of each sequence, the same for all three kinds of attention.
//!
//! ```text
//! forward    z ← −∞;  the walk accumulates (out, z);  rows that saw nothing take their own value or 0
//! backward   D = dO·O;  the walk adds dq, dk, dv;     rows that saw only themselves add dO to their own dv
//! ```
//! What a walk over positions is, and which positions it shows to one another, is the caller's; what is common to all
//! walks is here. Heads run in parallel and own disjoint columns; inside a head work is cut by fixed sizes, so results
//! do not depend on how many threads there are.
//!
//! NaN and infinity are noticed where rows are gathered anyway, not in a pass of their own; only then is the place
//! looked for, which reads everything.

use core::sync::atomic::{AtomicBool, Ordering};

use reformer_tensor::simd::{Simd, rows};
use reformer_tensor::{Cpu, View, ViewMut};

use crate::config::{ALONE, Keys};
use crate::dropout::Dropout;
use crate::error::Result;
use crate::operands::{Gradients, Inputs, Layout, Upstream, check_count, check_finite};
use crate::visibility::Visibility;
use crate::visibility::mask::SequenceMask;

/// One head of one sequence, to read.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) q: View<'a>,
    /// What keys are made of.
    pub(crate) k: View<'a>,
    pub(crate) v: View<'a>,
    pub(crate) keys: Keys,
    pub(crate) mask: SequenceMask<'a>,
    pub(crate) dropout: Option<Dropout>,
    /// Set when something that has been gathered was no finite number.
    not_finite: &'a AtomicBool,
}

impl Head<'_> {
    pub(crate) fn len(&self) -> usize {
        self.q.rows()
    }

    pub(crate) fn dim(&self) -> usize {
        self.q.cols()
    }

    /// Tells whether the gathered rows held NaN or infinity, of which `found` is the trace
    /// ([`reformer_tensor::simd::row::non_finite`]).
    #[inline(always)]
    pub(crate) fn report<S: Simd>(&self, s: S, found: S::V) {
        if s.sum(found) != 0.0 {
            self.not_finite.store(true, Ordering::Relaxed);
        }
    }
}

/// The running result of one head.
pub(crate) struct HeadOutput<'a> {
    pub(crate) out: ViewMut<'a>,
    /// `−∞` until a row has seen something.
    pub(crate) z: &'a mut [f32],
}

/// What the backward pass of one head knows.
pub(crate) struct HeadUpstream<'a> {
    pub(crate) dout: View<'a>,
    pub(crate) z: &'a [f32],
    /// `dO·O` of every row.
    pub(crate) d: &'a [f32],
}

/// Where the gradients of one head go.
pub(crate) struct HeadGradients<'a> {
    pub(crate) dq: ViewMut<'a>,
    /// `None`: keys are the queries.
    pub(crate) dk: Option<ViewMut<'a>>,
    pub(crate) dv: ViewMut<'a>,
}

impl HeadGradients<'_> {
    /// Where the gradient of what a position's key is made of goes.
    pub(crate) fn key_row(&mut self, position: usize) -> &mut [f32] {
        self.dk.as_mut().unwrap_or(&mut self.dq).row_mut(position)
    }
}

/// Rows per task when `D` is computed.
const ROWS: usize = 4096;

/// What the heads of one call have in common.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) layout: Layout,
    pub(crate) keys: Keys,
    pub(crate) visibility: Visibility,
    pub(crate) dropout: f32,
}

impl Call {
    fn head<'a>(&self, inputs: &Inputs<'a>, index: usize, not_finite: &'a AtomicBool) -> Head<'a> {
        let masks = inputs.masks.of_head(&self.layout, index);
        let address = inputs.dropout.filter(|_| self.dropout > 0.0);
        Head {
            q: self.layout.head(inputs.q, index),
            k: self.layout.head(inputs.k.unwrap_or(inputs.q), index),
            v: self.layout.head(inputs.v, index),
            keys: self.keys,
            mask: SequenceMask {
                rules: self.visibility,
                self_if_alone: self.keys.are_shared(),
                tokens: masks.tokens,
                pairs: masks.pairs,
            },
            dropout: address.map(|a| Dropout { address: a.sub(index as u64), rate: self.dropout }),
            not_finite,
        }
    }

    /// Runs `walk(index, head, output)` over all heads. It may use all threads: while one head's rounds wait for one
    /// another, other heads' fill the gap.
    pub(crate) fn forward(
        &self,
        cpu: &Cpu,
        inputs: &Inputs<'_>,
        out: ViewMut<'_>,
        z: &mut [f32],
        walk: impl Fn(usize, &Head<'_>, &mut HeadOutput<'_>) + Sync,
    ) -> Result<()> {
        let layout = &self.layout;
        inputs.check(layout, self.keys.are_shared())?;
        layout.check("out", out.rows(), out.cols())?;
        check_count("z", z.len(), layout.head_count() * layout.len)?;
        // Nothing to cut into heads.
        if layout.len == 0 {
            return Ok(());
        }
        // Relaxed is enough: the threads are joined before it is read.
        let not_finite = AtomicBool::new(false);
        let heads: Vec<_> =
            layout.heads_mut(out).into_iter().zip(z.chunks_exact_mut(layout.len)).enumerate().collect();
        cpu.threads.for_each(heads, |(index, (out, z))| {
            let head = self.head(inputs, index, &not_finite);
            // `out` needs no clearing: a row is overwritten by what it sees first (`tile/accumulate.rs`).
            z.fill(f32::NEG_INFINITY);
            let mut output = HeadOutput { out, z };
            walk(index, &head, &mut output);
            finish(&head, &mut output);
        });
        if not_finite.into_inner() { inputs.check_finite(cpu) } else { Ok(()) }
    }

    /// Runs `walk(index, head, upstream, gradients)` over all heads.
    pub(crate) fn backward(
        &self,
        cpu: &Cpu,
        inputs: &Inputs<'_>,
        upstream: &Upstream<'_>,
        gradients: Gradients<'_>,
        walk: impl Fn(usize, &Head<'_>, &HeadUpstream<'_>, &mut HeadGradients<'_>) + Sync,
    ) -> Result<()> {
        let layout = &self.layout;
        let shared = self.keys.are_shared();
        inputs.check(layout, shared)?;
        upstream.check(layout)?;
        gradients.check(layout, shared)?;
        if layout.len == 0 {
            return Ok(());
        }
        let not_finite = AtomicBool::new(false);
        let heads: Vec<_> = gradients.into_heads(layout).into_iter().enumerate().collect();
        cpu.threads.for_each(heads, |(index, gradients)| {
            let head = self.head(inputs, index, &not_finite);
            let (out, dout) = (layout.head(upstream.out, index), layout.head(upstream.dout, index));
            let z = &upstream.z[index * layout.len..(index + 1) * layout.len];
            // Once per row here instead of once per tile: a query meets several tiles in every round.
            let mut d = cpu.workspace.take(layout.len);
            cpu.threads.for_each(d.chunks_mut(ROWS).enumerate().collect(), |(p, d): (usize, &mut [f32])| {
                for (i, d) in d.iter_mut().enumerate() {
                    *d = rows::dot(out.row(p * ROWS + i), dout.row(p * ROWS + i));
                }
            });
            let mut into = HeadGradients { dq: gradients.dq, dk: gradients.dk, dv: gradients.dv };
            walk(index, &head, &HeadUpstream { dout, z, d: &d }, &mut into);
            finish_backward(&head, dout, z, &mut into.dv);
        });
        // `dout` last: a NaN in the operands has made it NaN too, and the cause is what should be named.
        if not_finite.into_inner() {
            inputs.check_finite(cpu)?;
            check_finite(cpu, "dout", upstream.dout)?;
        }
        Ok(())
    }
}

/// Rows that have seen nothing take their own value where the rules let them, else 0. Only after all rounds: what one
/// round does not show another may.
fn finish(head: &Head<'_>, output: &mut HeadOutput<'_>) {
    for i in 0..head.len() {
        if output.z[i] != f32::NEG_INFINITY {
            continue;
        }
        let out = output.out.row_mut(i);
        if head.mask.self_if_alone && head.mask.sees(i) {
            output.z[i] = ALONE;
            let kept = own_share(head, i);
            for (out, v) in out.iter_mut().zip(head.v.row(i)) {
                *out = kept * v;
            }
        } else {
            out.fill(0.0);
        }
    }
}

/// The rows of [`finish`]: `o_i = v_i`, so `dv_i = dO_i`, and the score has no gradient since its weight is always 1.
fn finish_backward(head: &Head<'_>, dout: View<'_>, z: &[f32], dv: &mut ViewMut<'_>) {
    for i in (0..head.len()).filter(|&i| z[i] == ALONE) {
        let kept = own_share(head, i);
        for (dv, dout) in dv.row_mut(i).iter_mut().zip(dout.row(i)) {
            *dv += kept * dout;
        }
    }
}

fn own_share(head: &Head<'_>, i: usize) -> f32 {
    head.dropout.map_or(1.0, |dropout| dropout.factor(Dropout::ALONE, i, i))
}
