//! reformer-pytorch: `LSHAttention`, `FullQKAttention`, and the whole `LSHSelfAttention` layer.

use reformer_attention::{
    Causal, Duplicates, FullConfig, Inputs, KeyNorm, Keys, Layout, LocalConfig, LshConfig, Visibility,
};
use reformer_lsh::{BucketCount, Buckets, Rotations, hash_vectors};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::fixture::{Report, Tensors};
use serde_json::Value;

use super::{
    attend, compare_rows, compare_weight, count, flag, lone_weight, matrix, product, sum, transposed,
};

/// `[rows, len, dim]` operands: a batch of single heads.
fn rows_of_heads(tensors: &Tensors) -> Result<Layout, String> {
    let shape = tensors.shape("qk")?;
    Ok(Layout { batch: shape[0], len: shape[1], heads: 1, head_dim: shape[2] })
}

pub fn lsh(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let layout = rows_of_heads(tensors)?;
    let chunk = count(config, "bucket_size", 64);
    let keep = flag(config, "allow_duplicate_attention")?;
    let lucid = LshConfig::lucid(chunk);
    let settings = LshConfig {
        visibility: lucid.visibility.with_causal(flag(config, "causal")?),
        same_bucket: !flag(config, "attend_across_buckets")?,
        duplicates: if keep { Duplicates::Keep } else { Duplicates::Correct },
        ..lucid
    };
    let (rounds, num_buckets) = (count(config, "n_hashes", 8), layout.len / chunk);
    let of_head = |ids: &[i64]| {
        let plain = ids.iter().map(|&id| (id as usize % num_buckets) as u32).collect();
        Buckets::given(rounds, layout.len, num_buckets, plain).map_err(|e| e.to_string())
    };
    let ids = tensors.i64("buckets")?.chunks_exact(rounds * layout.len);
    let buckets: Vec<Buckets> = ids.map(of_head).collect::<Result<_, _>>()?;
    let (tokens, pairs) = (tensors.mask("input_mask")?, tensors.mask("input_attn_mask")?);
    let (qk, v) = (matrix(tensors, "qk")?, matrix(tensors, "v")?);
    let mut inputs = Inputs::shared(qk.view(), v.view()).with_tokens(tokens.as_deref());
    inputs.masks.pairs = pairs.as_deref();
    let attended = attend(settings, layout, &inputs, &buckets, matrix(tensors, "grad_out")?.view())?;
    let token = |row: usize| tokens.as_ref().is_none_or(|m| m[row]);
    let lone = |row: usize| attended.lone(layout, row);
    let mut report = Report::default();
    compare_rows(&mut report, "out", (&attended.out, tensors.f32("out")?), lone, token);
    compare_rows(&mut report, "grad_qk", (&attended.dq, tensors.f32("grad_qk")?), lone, |_| true);
    compare_rows(&mut report, "grad_v", (&attended.dv, tensors.f32("grad_v")?), lone, |_| true);
    Ok(report)
}

pub fn full_qk(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let layout = rows_of_heads(tensors)?;
    let visibility = Visibility::CAUSAL.with_causal(flag(config, "causal")?);
    let settings = FullConfig { visibility, ..FullConfig::shared(KeyNorm::UnitScaled) };
    let (qk, v) = (matrix(tensors, "qk")?, matrix(tensors, "v")?);
    let inputs = Inputs::shared(qk.view(), v.view());
    let attended = attend(settings, layout, &inputs, &[], matrix(tensors, "grad_out")?.view())?;
    let mut report = Report::default();
    for (what, got) in [("out", &attended.out), ("grad_qk", &attended.dq), ("grad_v", &attended.dv)] {
        compare_rows(&mut report, what, (got, tensors.f32(what)?), |_| false, |_| true);
    }
    Ok(report)
}

/// Rows `first..first + count` of every one of `batch` sequences of `len` rows.
fn rows(x: &Matrix, len: usize, first: usize, count: usize) -> Matrix {
    let batch = x.rows() / len;
    Matrix::from_fn(batch * count, x.cols(), |i, j| x.row(i / count * len + first + i % count)[j])
}

/// The inverse of [`rows`]: zeros elsewhere.
fn place(x: &Matrix, count: usize, len: usize, first: usize) -> Matrix {
    let batch = x.rows() / count;
    Matrix::from_fn(batch * len, x.cols(), |i, j| {
        let t = i % len;
        if (first..first + count).contains(&t) { x.row(i / len * count + t - first)[j] } else { 0.0 }
    })
}

fn columns(x: &Matrix, first: usize, count: usize) -> Matrix {
    Matrix::from_fn(x.rows(), count, |i, j| x.row(i)[first + j])
}

fn beside(a: &Matrix, b: &Matrix) -> Matrix {
    Matrix::from_fn(a.rows(), a.cols() + b.cols(), |i, j| {
        if j < a.cols() { a.row(i)[j] } else { b.row(i)[j - a.cols()] }
    })
}

pub fn layer(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let shape = tensors.shape("x")?;
    let (batch, t) = (shape[0], shape[1]);
    let (heads, dim) = (count(config, "heads", 1), count(config, "dim_head", 64));
    let (chunk, local_heads) = (count(config, "bucket_size", 64), count(config, "n_local_attn_heads", 0));
    let causal = flag(config, "causal")?;
    let keys_len = if tensors.has("keys") { tensors.shape("keys")?[1] } else { 0 };
    let memory_len = if tensors.has("mem_kv") { tensors.shape("mem_kv")?[1] } else { 0 };
    let len = t + memory_len + keys_len;

    // x, memory (the same for every row), keys.
    let mut parts = vec![place(&matrix(tensors, "x")?, t, len, 0)];
    if memory_len > 0 {
        let memory = matrix(tensors, "mem_kv")?;
        let repeated =
            Matrix::from_fn(batch * memory_len, memory.cols(), |i, j| memory.row(i % memory_len)[j]);
        parts.push(place(&repeated, memory_len, len, t));
    }
    if keys_len > 0 {
        parts.push(place(&matrix(tensors, "keys")?, keys_len, len, t + memory_len));
    }
    let x = sum(&parts.iter().collect::<Vec<_>>());

    let (w_qk, w_v) = (matrix(tensors, "toqk.weight")?, matrix(tensors, "tov.weight")?);
    let qk = product(x.view(), transposed(w_qk.view()).view());
    let narrow = product(x.view(), transposed(w_v.view()).view());
    let v = Matrix::from_fn(narrow.rows(), heads * dim, |i, j| narrow.row(i)[j % narrow.cols()]);
    let grad_out = matrix(tensors, "grad_out")?;
    let w_out = matrix(tensors, "to_out.weight")?;
    let dmerged = product(grad_out.view(), w_out.view());

    // The LSH heads, over all positions; only the first t rows are put out.
    let (first, width) = (local_heads * dim, (heads - local_heads) * dim);
    let layout = Layout { batch, len, heads: heads - local_heads, head_dim: dim };
    let lucid = LshConfig::lucid(chunk);
    let end = if causal { Causal::Below(t) } else { Causal::No };
    let settings = LshConfig { visibility: Visibility { causal: end, ..lucid.visibility }, ..lucid };
    let rounds = count(config, "n_hashes", 8);
    let (lsh_qk, lsh_v) = (columns(&qk, first, width), columns(&v, first, width));
    let buckets = hash(tensors, layout, &lsh_qk, rounds)?;
    let inputs = Inputs::shared(lsh_qk.view(), lsh_v.view());
    let lsh = attend(
        settings,
        layout,
        &inputs,
        &buckets,
        place(&columns(&dmerged, first, width), t, len, 0).view(),
    )?;
    let lsh_out = rows(&lsh.out, len, 0, t);
    let lone_token = |row: usize| lsh.lone(layout, row / t * len + row % t);
    let lone_any = |row: usize| row % len < t && lsh.lone(layout, row);

    // The local heads, over the t tokens.
    let (merged, dqk, dv) = if local_heads > 0 {
        let layout = Layout { batch, len: t, heads: local_heads, head_dim: dim };
        let settings = LocalConfig {
            visibility: Visibility::CAUSAL.with_causal(causal),
            keys: Keys::Shared(KeyNorm::UnitScaled),
            chunks_after: usize::from(!causal),
            ..LocalConfig::causal(2 * chunk)
        };
        let (qk, v) = (rows(&columns(&qk, 0, first), len, 0, t), rows(&columns(&v, 0, first), len, 0, t));
        let inputs = Inputs::shared(qk.view(), v.view());
        let local = attend(settings, layout, &inputs, &[], columns(&dmerged, 0, first).view())?;
        let whole = |part: &Matrix| place(part, t, len, 0);
        (beside(&local.out, &lsh_out), beside(&whole(&local.dq), &lsh.dq), beside(&whole(&local.dv), &lsh.dv))
    } else {
        (lsh_out, lsh.dq.clone(), lsh.dv.clone())
    };

    let mut report = Report::default();
    let bias = tensors.f32("to_out.bias")?;
    let plain = product(merged.view(), transposed(w_out.view()).view());
    let out = Matrix::from_fn(plain.rows(), plain.cols(), |i, j| plain.row(i)[j] + bias[j]);
    compare_rows(&mut report, "out", (&out, tensors.f32("out")?), lone_token, |_| true);
    let dbias: Vec<f32> =
        (0..bias.len()).map(|j| (0..grad_out.rows()).map(|i| grad_out.row(i)[j]).sum()).collect();
    report.compare("grad_to_out.bias", &dbias, tensors.f32("grad_to_out.bias")?, super::CLOSE);
    let weight = |report: &mut Report, name: &str, dy: &Matrix, x: &Matrix, slack: &Matrix| {
        let key = format!("grad_{name}.weight");
        let got = product(transposed(dy.view()).view(), x.view());
        compare_weight(report, &key, (&got, tensors.f32(&key)?), Some(slack));
        Ok::<_, String>(())
    };
    weight(&mut report, "to_out", &grad_out, &merged, &lone_weight(&grad_out, &merged, lone_token))?;
    let dnarrow = Matrix::from_fn(dv.rows(), narrow.cols(), |i, j| {
        (j..dv.cols()).step_by(narrow.cols()).map(|c| dv.row(i)[c]).sum()
    });
    let dmerged = place(&dmerged, t, len, 0);
    let slack = |width: usize| {
        let folded = Matrix::from_fn(dmerged.rows(), width, |i, j| {
            (j..dmerged.cols()).step_by(width).map(|c| dmerged.row(i)[c].abs()).sum()
        });
        lone_weight(&folded, &x, lone_any)
    };
    weight(&mut report, "toqk", &dqk, &x, &slack(dqk.cols()))?;
    weight(&mut report, "tov", &dnarrow, &x, &slack(dnarrow.cols()))?;
    let dx = sum(&[&product(dqk.view(), w_qk.view()), &product(dnarrow.view(), w_v.view())]);
    compare_rows(&mut report, "grad_x", (&rows(&dx, len, 0, t), tensors.f32("grad_x")?), lone_token, |_| {
        true
    });
    if memory_len > 0 {
        let per_row = rows(&dx, len, t, memory_len);
        let dmemory = Matrix::from_fn(memory_len, dx.cols(), |i, j| {
            (0..batch).map(|b| per_row.row(b * memory_len + i)[j]).sum()
        });
        let expected = tensors.f32("grad_mem_kv")?;
        compare_rows(&mut report, "grad_mem_kv", (&dmemory, expected), |_| false, |_| true);
    }
    Ok(report)
}

/// One set of rotations `[1, dim, rounds, num_buckets/2]` for all rows and heads.
fn hash(tensors: &Tensors, layout: Layout, qk: &Matrix, rounds: usize) -> Result<Vec<Buckets>, String> {
    let cpu = Cpu::single();
    let num_buckets = 2 * tensors.shape("rotations")?[3];
    let count = BucketCount::new(&[num_buckets]).map_err(|e| e.to_string())?;
    let rotations = Rotations::given(layout.head_dim, rounds, count, tensors.f32("rotations")?.to_vec());
    let rotations = rotations.map_err(|e| e.to_string())?;
    let of_head = |index| {
        hash_vectors(&cpu, layout.head(qk.view(), index), &rotations, None).map_err(|e| e.to_string())
    };
    (0..layout.head_count()).map(of_head).collect()
}
