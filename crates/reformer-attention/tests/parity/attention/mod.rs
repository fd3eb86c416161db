//! Checks of attention fixtures: projections by plain loops, attention by the crate, gradients all the way back.
//!
//! Allowances: operands and accumulations are f32 on both sides, over at most 64·4 keys and projections of width 16,
//! so 2e-5 of the tensor's largest magnitude holds with room. Rows that see nothing but themselves are exact here,
//! while the others weigh them by `exp(−1e5 − logsumexp(…))`, whose last place is 1/128 (−5e4: 1/256): with several
//! rounds such rows, and their part of the gradients, may be off by `e^(1/256)`, 0.4 %.

#![allow(unreachable_pub)] // other test crates take this folder in with `#[path]`

mod hf;
mod lucid;
mod predict;
mod trax;
mod trax_memory;

use reformer_attention::{ALONE, Attention, Gradients, Inputs, Layout, Upstream};
use reformer_lsh::Buckets;
use reformer_tensor::{Cpu, Matrix, View};
use reformer_testing::fixture::{Report, Tensors};

/// `None` for kinds that are not attention.
pub fn check(kind: &str, config: &serde_json::Value, tensors: &Tensors) -> Option<Result<Report, String>> {
    Some(match kind {
        "hf_lsh_attention" => hf::lsh(config, tensors),
        "hf_local_attention" => hf::local(config, tensors),
        "trax_predict_head" => predict::trax_head(config, tensors),
        "trax_lsh_head" => trax::lsh_head(config, tensors),
        "trax_self_attention_head" => trax::self_attention_head(config, tensors),
        "lucid_lsh_attention" => lucid::lsh(config, tensors),
        "lucid_full_qk" => lucid::full_qk(config, tensors),
        "lucid_layer" => lucid::layer(config, tensors),
        _ => return None,
    })
}

/// What round-off may do, relative to the largest magnitude.
const CLOSE: f64 = 2e-5;
/// What the others' rounding of a lone self-target may do to its row.
const LONE: f64 = 4e-3;

/// What one attention call gave.
struct Attended {
    out: Matrix,
    z: Vec<f32>,
    dq: Matrix,
    dk: Matrix,
    dv: Matrix,
}

impl Attended {
    /// Whether any head of row `b·len + t` sees nothing but itself.
    fn lone(&self, layout: Layout, row: usize) -> bool {
        let (b, t) = (row / layout.len, row % layout.len);
        (0..layout.heads).any(|h| self.z[(b * layout.heads + h) * layout.len + t] == ALONE)
    }
}

/// Runs attention forward and backward.
fn attend(
    attention: impl Into<Attention>,
    layout: Layout,
    inputs: &Inputs<'_>,
    buckets: &[Buckets],
    dout: View<'_>,
) -> Result<Attended, String> {
    let attention = attention.into();
    let cpu = Cpu::new(2).map_err(|e| e.to_string())?;
    let zeros = || Matrix::zeros(layout.rows(), layout.cols());
    let (mut out, mut z) = (zeros(), vec![0.0; layout.head_count() * layout.len]);
    attention.forward(&cpu, layout, inputs, buckets, out.view_mut(), &mut z).map_err(|e| e.to_string())?;
    let (mut dq, mut dk, mut dv) = (zeros(), zeros(), zeros());
    let gradients = Gradients { dq: dq.view_mut(), dk: inputs.k.map(|_| dk.view_mut()), dv: dv.view_mut() };
    let upstream = Upstream { out: out.view(), z: &z, dout };
    attention.backward(&cpu, layout, inputs, buckets, &upstream, gradients).map_err(|e| e.to_string())?;
    Ok(Attended { out, z, dq, dk, dv })
}

/// `a·b`, summed in f64.
fn product(a: View<'_>, b: View<'_>) -> Matrix {
    let sum = |i: usize, j: usize| {
        (0..a.cols()).map(|k| f64::from(a.row(i)[k]) * f64::from(b.row(k)[j])).sum::<f64>()
    };
    Matrix::from_fn(a.rows(), b.cols(), |i, j| sum(i, j) as f32)
}

fn transposed(a: View<'_>) -> Matrix {
    Matrix::from_fn(a.cols(), a.rows(), |i, j| a.row(j)[i])
}

fn sum(parts: &[&Matrix]) -> Matrix {
    Matrix::from_fn(parts[0].rows(), parts[0].cols(), |i, j| parts.iter().map(|p| p.row(i)[j]).sum())
}

/// A tensor as a matrix of its last axis.
fn matrix(tensors: &Tensors, name: &str) -> Result<Matrix, String> {
    let cols = tensors.shape(name)?.last().copied().unwrap_or(1);
    let values = tensors.f32(name)?;
    Ok(Matrix::from_vec(values.len() / cols, cols, values.to_vec()))
}

fn count(config: &serde_json::Value, key: &str, default: usize) -> usize {
    config[key].as_u64().map_or(default, |n| n as usize)
}

fn flag(config: &serde_json::Value, key: &str) -> Result<bool, String> {
    config[key].as_bool().ok_or_else(|| format!("config key {key} is missing"))
}

/// Compares `[rows, cols]` tensors: lone rows with their slack, rows that are not tokens left out.
fn compare_rows(
    report: &mut Report,
    what: &str,
    (got, expected): (&Matrix, &[f32]),
    lone: impl Fn(usize) -> bool,
    token: impl Fn(usize) -> bool,
) {
    let cols = got.cols();
    let allowance = |e: usize| token(e / cols).then(|| if lone(e / cols) { LONE } else { CLOSE });
    report.compare_where(what, got.as_slice(), expected, allowance);
}

/// Compares the gradient of a weight `xᵀ·dy`, to which lone rows bring their slack.
fn compare_weight(
    report: &mut Report,
    what: &str,
    (got, expected): (&Matrix, &[f32]),
    slack: Option<&Matrix>,
) {
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |m, x| m.max(x.abs()));
    let extra = |e: usize| slack.map_or(0.0, |s| LONE * f64::from(s.as_slice()[e] / scale));
    report.compare_where(what, got.as_slice(), expected, |e| Some(CLOSE + extra(e)));
}

/// `Σ |x_i|ᵀ|dy_i|` over the lone rows: what their rounding can move in `xᵀ·dy`.
fn lone_weight(x: &Matrix, dy: &Matrix, lone: impl Fn(usize) -> bool) -> Matrix {
    let pick = |m: &Matrix| {
        Matrix::from_fn(m.rows(), m.cols(), |i, j| if lone(i) { m.row(i)[j].abs() } else { 0.0 })
    };
    product(transposed(pick(x).view()).view(), pick(dy).view())
}
