//! From a call to its bands: one piece of work per sequence and head, the same for all three kinds.
//!
//! NaN and infinity are noticed where rows are gathered anyway; only then is the place looked for, which reads everything.
//! What is common is here: starting `z` at `−∞`, the rows that see nothing but themselves after all rounds, `D = dO·O`,
//! and handing each band its disjoint columns. Inside a band work is cut by fixed sizes, so results do not depend on
//! how many threads there are.

use core::sync::atomic::{AtomicBool, Ordering};

use reformer_tensor::simd::{Simd, rows};
use reformer_tensor::{Cpu, View, ViewMut};

use crate::config::{ALONE, Keys};
use crate::dropout::Dropout;
use crate::error::Result;
use crate::layout::{Gradients, Inputs, Layout, Upstream, check_count, check_finite};
use crate::mask::Sight;

/// One head of one sequence, to read.
#[derive(Clone, Copy)]
pub(crate) struct Band<'a> {
    pub(crate) q: View<'a>,
    /// What keys are made of.
    pub(crate) k: View<'a>,
    pub(crate) v: View<'a>,
    pub(crate) keys: Keys,
    pub(crate) sight: Sight<'a>,
    pub(crate) dropout: Option<Dropout>,
    /// Set when something that has been gathered was no finite number.
    pub(crate) poisoned: &'a AtomicBool,
}

impl Band<'_> {
    pub(crate) fn len(&self) -> usize {
        self.q.rows()
    }

    pub(crate) fn dim(&self) -> usize {
        self.q.cols()
    }

    /// Tells that the gathered rows, whose [`crate::key::doubts`] these are, hold NaN or infinity.
    #[inline(always)]
    pub(crate) fn report<S: Simd>(&self, s: S, doubt: S::V) {
        if s.sum(doubt) != 0.0 {
            self.poisoned.store(true, Ordering::Relaxed);
        }
    }
}

/// The running result of one band.
pub(crate) struct Running<'a> {
    pub(crate) out: ViewMut<'a>,
    /// `−∞` until a row has seen something.
    pub(crate) z: &'a mut [f32],
}

/// What the backward pass of one band knows.
pub(crate) struct Known<'a> {
    pub(crate) dout: View<'a>,
    pub(crate) z: &'a [f32],
    /// `dO·O` of every row.
    pub(crate) d: &'a [f32],
}

/// Where the gradients of one band go.
pub(crate) struct Sinks<'a> {
    pub(crate) dq: ViewMut<'a>,
    /// `None`: keys are the queries.
    pub(crate) dk: Option<ViewMut<'a>>,
    pub(crate) dv: ViewMut<'a>,
}

/// What a kind of attention does with one band. It may use all threads: while one band's rounds wait for one another, the
/// others' fill the gap.
pub(crate) trait Pass: Sync {
    fn forward(&self, band_index: usize, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>);
    fn backward(
        &self,
        band_index: usize,
        cpu: &Cpu,
        band: &Band<'_>,
        known: &Known<'_>,
        into: &mut Sinks<'_>,
    );
}

/// Rows of which one thread takes `D`.
const ROWS: usize = 4096;

/// The settings that all kinds have.
#[derive(Clone, Copy)]
pub(crate) struct Common {
    pub(crate) layout: Layout,
    pub(crate) keys: Keys,
    pub(crate) causal: bool,
    pub(crate) causal_len: Option<usize>,
    pub(crate) mask_queries: bool,
    pub(crate) unmaskable: usize,
    pub(crate) dropout: f32,
}

impl Common {
    fn band<'a>(&self, inputs: &Inputs<'a>, index: usize, poisoned: &'a AtomicBool) -> Band<'a> {
        let masks = inputs.masks.of_band(&self.layout, index);
        let address = inputs.dropout.filter(|_| self.dropout > 0.0);
        Band {
            q: self.layout.band(inputs.q, index),
            k: self.layout.band(inputs.k.unwrap_or(inputs.q), index),
            v: self.layout.band(inputs.v, index),
            keys: self.keys,
            sight: Sight {
                causal_below: self.causal.then(|| self.causal_len.unwrap_or(usize::MAX)),
                self_if_alone: self.keys.self_if_alone(),
                mask_queries: self.mask_queries,
                unmaskable: self.unmaskable,
                tokens: masks.tokens,
                pairs: masks.pairs,
            },
            dropout: address.map(|a| Dropout { address: a.sub(index as u64), rate: self.dropout }),
            poisoned,
        }
    }

    /// Runs a forward pass over all bands.
    pub(crate) fn forward(
        &self,
        cpu: &Cpu,
        pass: &impl Pass,
        inputs: &Inputs<'_>,
        out: ViewMut<'_>,
        z: &mut [f32],
    ) -> Result<()> {
        let layout = &self.layout;
        inputs.check(layout, self.keys.self_if_alone())?;
        layout.check("out", out.rows(), out.cols())?;
        check_count("z", z.len(), layout.bands() * layout.len)?;
        if layout.len == 0 {
            return Ok(());
        }
        let poisoned = AtomicBool::new(false);
        let bands: Vec<_> =
            layout.bands_mut(out).into_iter().zip(z.chunks_exact_mut(layout.len)).enumerate().collect();
        cpu.threads.for_each(bands, |(index, (out, z))| {
            let band = self.band(inputs, index, &poisoned);
            z.fill(f32::NEG_INFINITY);
            let mut running = Running { out, z };
            pass.forward(index, cpu, &band, &mut running);
            finish(&band, &mut running);
        });
        if poisoned.into_inner() { inputs.check_finite(cpu) } else { Ok(()) }
    }

    /// Runs a backward pass over all bands.
    pub(crate) fn backward(
        &self,
        cpu: &Cpu,
        pass: &impl Pass,
        inputs: &Inputs<'_>,
        upstream: &Upstream<'_>,
        gradients: Gradients<'_>,
    ) -> Result<()> {
        let layout = &self.layout;
        let shared = self.keys.self_if_alone();
        inputs.check(layout, shared)?;
        upstream.check(layout)?;
        gradients.check(layout, shared)?;
        if layout.len == 0 {
            return Ok(());
        }
        let poisoned = AtomicBool::new(false);
        let bands: Vec<_> = gradients.into_bands(layout).into_iter().enumerate().collect();
        cpu.threads.for_each(bands, |(index, gradients)| {
            let band = self.band(inputs, index, &poisoned);
            let (out, dout) = (layout.band(upstream.out, index), layout.band(upstream.dout, index));
            let z = &upstream.z[index * layout.len..(index + 1) * layout.len];
            let mut d = cpu.workspace.take(layout.len);
            cpu.threads.for_each(d.chunks_mut(ROWS).enumerate().collect(), |(p, d): (usize, &mut [f32])| {
                for (i, d) in d.iter_mut().enumerate() {
                    *d = rows::dot(out.row(p * ROWS + i), dout.row(p * ROWS + i));
                }
            });
            let mut into = Sinks { dq: gradients.dq, dk: gradients.dk, dv: gradients.dv };
            let known = Known { dout, z, d: &d };
            pass.backward(index, cpu, &band, &known, &mut into);
            finish_backward(&band, dout, z, &mut into.dv);
        });
        if poisoned.into_inner() {
            inputs.check_finite(cpu)?;
            check_finite(cpu, "dout", upstream.dout)?;
        }
        Ok(())
    }
}

/// Rows that have seen nothing take their own value where the rules let them, else 0.
fn finish(band: &Band<'_>, running: &mut Running<'_>) {
    for i in 0..band.len() {
        if running.z[i] != f32::NEG_INFINITY {
            continue;
        }
        let out = running.out.row_mut(i);
        if band.sight.self_if_alone && band.sight.sees(i) {
            running.z[i] = ALONE;
            let kept = own_share(band, i);
            for (out, v) in out.iter_mut().zip(band.v.row(i)) {
                *out = kept * v;
            }
        } else {
            out.fill(0.0);
        }
    }
}

/// The rows of [`finish`]: `o_i = v_i`, so `dv_i = dO_i`, and the score has no gradient since its weight is always 1.
fn finish_backward(band: &Band<'_>, dout: View<'_>, z: &[f32], dv: &mut ViewMut<'_>) {
    for i in (0..band.len()).filter(|&i| z[i] == ALONE) {
        let kept = own_share(band, i);
        for (dv, dout) in dv.row_mut(i).iter_mut().zip(dout.row(i)) {
            *dv += kept * dout;
        }
    }
}

fn own_share(band: &Band<'_>, i: usize) -> f32 {
    band.dropout.map_or(1.0, |dropout| dropout.factor(Dropout::ALONE, i, i))
}
