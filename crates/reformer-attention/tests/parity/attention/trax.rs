//! One example and one head of trax's `LSHSelfAttention` and `SelfAttention`: `w_q`, `w_v`, `w_o`, all `[in, out]`.

use reformer_attention::{
    FullConfig, Inputs, KeyNorm, Keys, Layout, LocalConfig, LshConfig, Visibility, Wrap,
};
use reformer_lsh::Buckets;
use reformer_tensor::Matrix;
use reformer_testing::fixture::{Report, Tensors};
use serde_json::Value;

use super::{
    Attended, attend, compare_rows, compare_weight, count, flag, lone_weight, matrix, product, sum,
    transposed,
};

/// trax marks padding by sign, and cannot mark the first two positions.
const TRAX: Visibility = Visibility { unmaskable: 2, ..Visibility::CAUSAL };

struct Head {
    layout: Layout,
    x: Matrix,
    q: Matrix,
    k: Option<Matrix>,
    v: Matrix,
    dout: Matrix,
    mask: Option<Vec<bool>>,
}

impl Head {
    fn new(config: &Value, tensors: &Tensors) -> Result<Self, String> {
        let x = matrix(tensors, "x")?;
        let project = |name: &str| Ok::<_, String>(product(x.view(), matrix(tensors, name)?.view()));
        let w_o = matrix(tensors, "w_o")?;
        Ok(Self {
            layout: Layout { batch: 1, len: x.rows(), heads: 1, head_dim: count(config, "d_qk", 64) },
            q: project("w_q")?,
            k: if tensors.has("w_k") { Some(project("w_k")?) } else { None },
            v: project("w_v")?,
            dout: product(matrix(tensors, "grad_out")?.view(), transposed(w_o.view()).view()),
            mask: tensors.mask("mask")?,
            x,
        })
    }

    fn inputs(&self) -> Inputs<'_> {
        let mut inputs = Inputs::shared(self.q.view(), self.v.view()).with_tokens(self.mask.as_deref());
        inputs.k = self.k.as_ref().map(Matrix::view);
        inputs
    }

    fn compare(&self, tensors: &Tensors, attended: &Attended) -> Result<Report, String> {
        let token = |row: usize| self.mask.as_ref().is_none_or(|m| m[row]);
        let lone = |row: usize| attended.lone(self.layout, row);
        let mut report = Report::default();
        let out = product(attended.out.view(), matrix(tensors, "w_o")?.view());
        compare_rows(&mut report, "out", (&out, tensors.f32("out")?), lone, token);
        let grad_out = matrix(tensors, "grad_out")?;
        let dw_o = product(transposed(attended.out.view()).view(), grad_out.view());
        let slack = lone_weight(&attended.out, &grad_out, lone);
        compare_weight(&mut report, "grad_w_o", (&dw_o, tensors.f32("grad_w_o")?), Some(&slack));
        let mut parts = Vec::new();
        for (name, dy) in [("w_q", &attended.dq), ("w_k", &attended.dk), ("w_v", &attended.dv)] {
            if !tensors.has(name) {
                continue;
            }
            parts.push(product(dy.view(), transposed(matrix(tensors, name)?.view()).view()));
            let dw = product(transposed(self.x.view()).view(), dy.view());
            // Through its own score as well: trax keeps the dot of a self-target, so the slack is on every weight.
            let slack = lone_weight(&self.x, &self.dout, lone);
            let key = format!("grad_{name}");
            compare_weight(&mut report, &key, (&dw, tensors.f32(&key)?), Some(&slack));
        }
        let dx = sum(&parts.iter().collect::<Vec<_>>());
        compare_rows(&mut report, "grad_x", (&dx, tensors.f32("grad_x")?), lone, |_| true);
        Ok(report)
    }
}

pub fn lsh_head(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let head = Head::new(config, tensors)?;
    let settings = LshConfig {
        visibility: TRAX.with_causal(flag(config, "causal")?),
        chunks_before: count(config, "n_chunks_before", 1),
        chunks_after: count(config, "n_chunks_after", 0),
        ..LshConfig::trax(count(config, "chunk_len", 64))
    };
    let total: usize = match &config["n_buckets"] {
        Value::Array(factors) => factors.iter().map(|f| f.as_u64().unwrap_or(0) as usize).product(),
        n => n.as_u64().unwrap_or(0) as usize,
    };
    let num_buckets = total + usize::from(flag(config, "masked")?);
    let (rounds, len) = (count(config, "n_hashes", 1), head.layout.len);
    let ids = tensors.i64("buckets")?.iter().enumerate();
    let ids = ids.map(|(e, &id)| (id as usize - e / len * num_buckets) as u32).collect();
    let buckets = [Buckets::given(rounds, len, num_buckets, ids).map_err(|e| e.to_string())?];
    let inputs = head.inputs();
    let attended = attend(settings, head.layout, &inputs, &buckets, head.dout.view())?;
    head.compare(tensors, &attended)
}

pub fn self_attention_head(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let head = Head::new(config, tensors)?;
    let inputs = head.inputs();
    let causal = flag(config, "causal")?;
    let keys = if flag(config, "share_qk")? { Keys::Shared(KeyNorm::Rms) } else { Keys::Separate };
    let attended = if let Some(chunk) = config["chunk_len"].as_u64() {
        let settings = LocalConfig {
            visibility: TRAX.with_causal(causal),
            keys,
            wrap: Wrap::Circular,
            chunks_before: count(config, "n_chunks_before", 0),
            chunks_after: count(config, "n_chunks_after", 0),
            ..LocalConfig::causal(chunk as usize)
        };
        attend(settings, head.layout, &inputs, &[], head.dout.view())?
    } else {
        let settings = FullConfig { visibility: TRAX.with_causal(causal), keys, ..FullConfig::causal() };
        attend(settings, head.layout, &inputs, &[], head.dout.view())?
    };
    head.compare(tensors, &attended)
}
